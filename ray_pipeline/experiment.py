"""One Experiment: views → fusion → model → latents → clusters → scores, with one config and one seed. No Ray in it.

Tracks come sorted by the hash of their content, so that neither names nor the order of files have a say in the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ray_pipeline import shelf
from ray_pipeline.collection import Collection, yardstick
from ray_pipeline.config import Config
from ray_pipeline.errors import ConfigError, TrainingError
from ray_pipeline.evaluation import Evaluation, Fitted, evaluate, layout
from ray_pipeline.features import check_together
from ray_pipeline.fusion import LYRICS, FusionPart, check_needs
from ray_pipeline.fusion.base import Masks, Views
from ray_pipeline.models.condition import CONDITION, classes_of, condition_of, encoded
from ray_pipeline.models.contract import Latents, Model
from ray_pipeline.shelf import Params
from ray_pipeline.store import digest

if TYPE_CHECKING:
    from ray_pipeline.training import Epoch

__all__ = [
    "Collection", "Evaluation", "Fitted", "encode", "evaluate", "experiment_id", "fit", "layout", "model_id", "run",
    "views_needed", "views_required", "yardstick",
]  # fmt: skip

VERSION = 1
FEWEST = 2  # tracks; of one alone nothing can be said


def views_needed(config: Config) -> tuple[str, ...]:
    """Names of the views that the config's fusion reads.

    Raises
    ------
    ConfigError
        It needs a view that is not among the features, takes two that must not be joined, or cannot do without lyrics
        where there are none.
    """
    fusion = _fusion(config)
    check_needs(fusion.params, fusion.needs, config.features)
    lyrics = (LYRICS,) if config.lyrics.kind != "none" else ()
    if LYRICS in fusion.required and not lyrics:
        raise ConfigError(f"fusion.kind: '{config.fusion.kind}' needs lyrics, and lyrics.backend is none")
    views = fusion.needs or (*config.features, *lyrics)
    check_together(views)
    return views


def views_required(config: Config) -> tuple[str, ...]:
    """Names of the views without which a track has no place in the config's fusion."""
    return _fusion(config).required


def model_id(config: Config, data: str, seed: int) -> str:
    """Names the fitted model: of data with this `Collection.digest`, fusion, model, training and seed."""
    training = config.training.model_dump(mode="json", exclude={"num_workers", "use_gpu"})
    parts = {"fusion": config.fusion.model_dump(mode="json"), "model": config.model.model_dump(mode="json")}
    return digest({"version": VERSION, "data": data, "training": training, "seed": seed, **parts})


def experiment_id(config: Config, model: str, seed: int) -> str:
    """Names the whole path up to the clusters."""
    clusterer = config.clusterer.model_dump(mode="json")
    return digest({"version": VERSION, "model": model, "clusterer": clusterer, "seed": seed})


def fit(
    collection: Collection,
    config: Config,
    seed: int,
    *,
    device: str = "cpu",
    checkpoint: Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Fitted:
    """Fuse the views and train the config's model on them.

    Raises
    ------
    TrainingError
        Too few tracks, nothing varies in what the model would see, or no track has the label that it is to be given.
    """
    from ray_pipeline import training

    if len(collection) < FEWEST:
        raise TrainingError(
            f"{len(collection)} tracks with features are too few to cluster",
            hint="`ray-pipeline status STORE` tells what became of the others",
        )
    fusion = _fusion(config)
    fusion.fit(collection.views, collection.masks)
    wanted = condition_of(config.model)
    classes = classes_of(collection.condition, wanted.label) if wanted else []
    views, masks = _given(collection, fusion, config.model, classes)
    shapes = {name: tuple(view.shape[1:]) for name, view in views.items()}
    model: Model = shelf.part("model", config.model.kind)(config.model, shapes, seed)
    history = training.fit(
        model, views, masks, config.training, seed=seed, device=device, checkpoint=checkpoint, on_epoch=on_epoch
    )
    card = {
        "seed": seed,
        "n_tracks": len(collection),
        "status": history.status,
        "precision": history.precision,
        "history": [asdict(epoch) for epoch in history.epochs],
        "kl_per_dim": history.kl_per_dim,
        "training": config.training.model_dump(mode="json"),
        "classes": classes,
        "notes": [] if history.status == "ok" else [f"diverged at epoch {history.diverged_at}"],
    }
    return Fitted(model, fusion, card)


def encode(collection: Collection, fitted: Fitted) -> Latents:
    """Latents of every track of the collection; a class that a conditional model was not fitted on counts as none."""
    classes = fitted.card.get("classes", [])
    return fitted.model.encode(*_given(collection, fitted.fusion, fitted.model.params, classes))


def run(
    collection: Collection, config: Config, seed: int, *, fit: Callable[..., Fitted] = fit
) -> tuple[Fitted, Latents, Evaluation]:
    """The whole path; `fit` may be replaced by one that trains elsewhere."""
    fitted = fit(collection, config, seed)
    latents = encode(collection, fitted)
    return fitted, latents, evaluate(collection, fitted, latents, config, seed)


def _fusion(config: Config) -> FusionPart:
    fusion: FusionPart = shelf.part("fusion", config.fusion.kind)(config.fusion)
    return fusion


def _given(collection: Collection, fusion: FusionPart, model: Params, classes: list[str]) -> tuple[Views, Masks]:
    """What the model sees: the fused views and, where it asks for a label, the class of each track.

    Raises
    ------
    TrainingError
        Tracks lack a view without which the fusion knows nothing of them.
    """
    for name in fusion.required:
        lacking = int((~collection.masks[name]).sum())
        if lacking:
            raise TrainingError(
                f"{lacking:,} of {len(collection):,} tracks lack view '{name}', "
                f"and fusion '{fusion.params.kind}' cannot place them: leave them out"
            )
    views, masks = fusion.transform(collection.views, collection.masks)
    wanted = condition_of(model)
    if wanted is None:
        return views, masks
    labels = collection.condition or [None] * len(collection)
    return {**views, CONDITION: encoded(labels, classes, wanted.encoding)}, masks
