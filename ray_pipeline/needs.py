"""Which views a config's fusion and model read, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence

from ray_pipeline import shelf
from ray_pipeline.config import Config
from ray_pipeline.errors import ConfigError
from ray_pipeline.features import check_together
from ray_pipeline.fusion import LYRICS, FusionPart, check_needs
from ray_pipeline.members import Params as LateParams
from ray_pipeline.shelf import Params


def views_needed(config: Config) -> tuple[str, ...]:
    """Names of the views that the config's fusion reads; with late fusion, those that its members read.

    Raises
    ------
    ConfigError
        It needs a view that is not among the features, takes two that must not be joined, or cannot do without lyrics
        where there are none; or the model needs a view that the fusion does not pass on.
    """
    lyrics = config.lyrics.kind != "none"
    views = _read(config.fusion, config.model, config.features, lyrics)
    if not isinstance(config.model, LateParams):
        return views
    if config.fusion.kind != "none":
        raise ConfigError("fusion.kind: members of late fusion have fusions of their own; set fusion.kind: none")
    features = [name for name in views if name != LYRICS]
    found: set[str] = set()
    for name, member in config.model.of.items():
        try:
            found.update(_read(member.fusion, member.model, features, lyrics))
        except ConfigError as error:
            raise ConfigError(f"model.of.{name}.{error}") from None
    return tuple(sorted(found))


def views_required(config: Config) -> tuple[str, ...]:
    """Names of the views without which a track has no place in the config's fusion, or in that of a member."""
    return required(fusion_of(config.fusion), config.model)


def required(fusion: FusionPart, model: Params) -> tuple[str, ...]:
    """`views_required` of a fusion and of a model's settings."""
    alone = getattr(model, "view", None)  # some models read one view, whatever else there is
    found = {*fusion.required, *((alone,) if alone else ())}
    for member in model.of.values() if isinstance(model, LateParams) else ():
        found.update(required(fusion_of(member.fusion), member.model))
    return tuple(sorted(found))


def fusion_of(params: Params) -> FusionPart:
    """The fusion of these settings, not fitted."""
    fusion: FusionPart = shelf.part("fusion", params.kind)(params)
    return fusion


def _read(fusing: Params, model: Params, features: Sequence[str], lyrics: bool) -> tuple[str, ...]:
    """What a fusion reads of `features` and lyrics, where the model can do with what it gives."""
    fusion = fusion_of(fusing)
    check_needs(fusion.params, fusion.needs, features)
    if LYRICS in fusion.required and not lyrics:
        raise ConfigError(f"fusion.kind: '{fusing.kind}' needs lyrics, and lyrics.backend is none")
    everything = (*features, *((LYRICS,) if lyrics else ()))
    wanted = getattr(model, "view", None)
    if wanted is None:
        views = fusion.needs or everything
        if not isinstance(model, LateParams):
            check_together(views)
        return views
    if fusing.kind != "none":
        raise ConfigError(f"fusion.kind: model '{model.kind}' takes view '{wanted}' as it is; set fusion.kind: none")
    if wanted not in (fusion.needs or everything):
        raise ConfigError(f"model.view: '{wanted}' is not among features: [{', '.join(fusion.needs or everything)}]")
    return fusion.needs or (wanted,)
