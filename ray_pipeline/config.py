"""One YAML file → one frozen `Config`.

`load(path, overrides)` reads the file, applies ``--set key=value``, checks every part's settings against that part's own
`Params`, and answers a mistake with ``file:line: key: what is wrong``. No heavy library is imported on the way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SerializeAsAny, ValidationError, ValidationInfo, field_validator

from ray_pipeline import shelf
from ray_pipeline.errors import ConfigError
from ray_pipeline.mistakes import dotted, explain, misread, shown
from ray_pipeline.overrides import PARTS, override, with_keys
from ray_pipeline.s3_address import check_store, is_s3
from ray_pipeline.sections import FACTORS, LABEL, Audio, Resources, Scoring, Section, Text, Training
from ray_pipeline.shelf import Params
from ray_pipeline.space import NO_MATTER, SEARCHED, Tune
from ray_pipeline.yaml_source import Lines, Origin, read_yaml

__all__ = [
    "FACTORS",
    "LABEL",
    "Audio",
    "Config",
    "Resources",
    "Scoring",
    "Text",
    "Training",
    "check",
    "load",
    "with_keys",
]


class Config(Section):
    """Everything a run is told."""

    store: str = Field("./out", validate_default=True)
    seed: int = Field(0, ge=0, lt=2**31)
    source: SerializeAsAny[Params]
    audio: Audio = Audio()
    features: tuple[str, ...] = ("mfcc", "mfcc_stats")
    lyrics: SerializeAsAny[Params]
    text: Text = Text()
    fusion: SerializeAsAny[Params]
    model: SerializeAsAny[Params]
    training: Training = Training()
    clusterer: SerializeAsAny[Params]
    scoring: Scoring = Scoring()
    resources: Resources = Resources()
    max_bad_fraction: float = Field(0.2, ge=0, le=1)
    tune: Tune | None = Field(None, description="what a sweep searches; other commands take no notice of it")

    @field_validator("features")
    @classmethod
    def _known_features(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names:
            raise ValueError("name at least one feature")
        if len(set(names)) < len(names):
            raise ValueError("a feature is named twice")
        return names

    @field_validator("scoring")
    @classmethod
    def _yardstick_is_of_features(cls, scoring: Scoring, info: ValidationInfo) -> Scoring:
        for name in scoring.yardstick:
            if name not in info.data.get("features", (name,)):
                raise ValueError(f"yardstick: '{name}' is not among features")
        return scoring

    @field_validator("scoring")
    @classmethod
    def _factors_come_of_features(cls, scoring: Scoring, info: ValidationInfo) -> Scoring:
        seen = {
            view
            for _, value in info.data.get("fusion") or ()
            for view in (value if isinstance(value, tuple) else [value])
        }
        for factor in scoring.factors:
            feature = FACTORS.get(factor)
            if feature and feature not in info.data.get("features", (feature,)):
                raise ValueError(f"factor '{factor}' is read from the feature '{feature}', which is not among features")
            if feature and feature in seen:
                raise ValueError(
                    f"factor '{factor}' is read from '{feature}', which the fusion takes: it would be given away"
                )
        return scoring

    @field_validator("store")
    @classmethod
    def _expand_store(cls, store: str) -> str:
        if not store.strip() or "\0" in store:
            raise ValueError("name a folder")
        if is_s3(store):
            return check_store(store)
        if "://" in store:
            raise ValueError("a store is a folder that every node sees, or s3://bucket/prefix")
        try:
            return str(Path(store).expanduser().absolute())
        except RuntimeError:
            raise ValueError("there is no such user here; write the whole path") from None

    def plain(self) -> dict[str, Any]:
        """The whole config as JSON-ready values."""
        return self.model_dump(mode="json", by_alias=True)


def load(path: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Config:
    """Read `path`, apply `overrides` (``"model.beta=4"``; values are YAML), check everything.

    Raises
    ------
    ConfigError
        With one line a mistake: ``file:line: key: what is wrong; did you mean …``.
    """
    raw, lines = read_yaml(Path(path))
    for text in overrides:
        override(raw, lines, text)
    return check(raw, lines)


def check(raw: dict[str, Any], lines: Lines | None = None) -> Config:
    """A `Config` from plain values; `lines` says where each key was written."""
    lines = lines or Lines(Origin("config"))
    mistakes: list[str] = []
    values = dict(raw)
    for section, (name, key, default) in PARTS.items():
        values[section] = _part(values.get(section, {}), section, name, key, default, lines, mistakes)
    features = values.get("features")
    for i, feature in enumerate(features if isinstance(features, list | tuple) else []):
        _known("feature", feature, ("features", i), lines, mistakes)
    values["tune"] = _tune(raw, lines, mistakes)
    try:
        config = Config.model_validate({k: v for k, v in values.items() if v is not None})
    except ValidationError as error:
        mistakes += explain(error, (), lines, Config, skip=set(PARTS))
        raise ConfigError("\n".join(mistakes)) from None
    mistakes += misread(raw, config, (), lines)
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return config


def _part(
    raw: Any, section: str, name: str, key: str, default: str, lines: Lines, mistakes: list[str]
) -> Params | None:
    if not isinstance(raw, dict):
        mistakes.append(f"{lines.where((section,))}: {section}: a mapping with '{key}:' is needed, not {shown(raw)}")
        return None
    kind = raw.get(key, default)
    if not _known(name, kind, (section, key), lines, mistakes):
        return None
    params = shelf.params_of(name, kind)
    try:
        return params.model_validate({**raw, key: kind})
    except ValidationError as error:
        mistakes += explain(error, (section,), lines, params)
        return None


def _tune(raw: dict[str, Any], lines: Lines, mistakes: list[str]) -> Tune | None:
    """The ``tune:`` block, every value of its space tried as a config."""
    given = raw.get("tune")
    if given is None:
        return None
    if not isinstance(given, dict):
        mistakes.append(f"{lines.where(('tune',))}: tune: a mapping of keys is needed, not {shown(given)}")
        return None
    try:
        tune = Tune.model_validate(given)
    except ValidationError as error:
        mistakes += explain(error, ("tune",), lines, Tune, passed={"space"})
        return None
    mistakes += _not_searched(tune, lines)
    fixed = {key: value for key, value in raw.items() if key != "tune"}
    for point in tune.examples():
        try:
            check(with_keys(fixed, point), Lines(Origin(lines.where(("tune", list(point)[-1])))))
        except ConfigError as error:
            mistakes += [line for line in str(error).splitlines() if line not in mistakes]
    return tune


def _not_searched(tune: Tune, lines: Lines) -> list[str]:
    """A line for each key of the space that trials must share, or that makes no difference to them."""
    out = []
    for key in tune.searched():
        where = f"{lines.where(('tune', key) if key in tune.space else ('tune', 'together'))}: {key}"
        if key in NO_MATTER:
            out.append(f"{where}: changes no result, so there is nothing to search")
        elif key.split(".")[0] not in SEARCHED:
            out.append(
                f"{where}: a sweep searches {', '.join(SEARCHED[:-1])} and {SEARCHED[-1]}; trials share the rest"
            )
    return out


def _known(name: str, kind: Any, at: tuple[str | int, ...], lines: Lines, mistakes: list[str]) -> bool:
    try:
        shelf.params_of(name, kind if isinstance(kind, str) else str(kind))
    except ConfigError as error:
        mistakes.append(f"{lines.where(at)}: {dotted(at)}: {error}")
        return False
    return True
