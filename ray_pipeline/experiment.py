"""One Experiment: views → fusion → model → latents → clusters → scores, with one config and one seed. No Ray in it.

Tracks come sorted by the hash of their content, so that neither names nor the order of files have a say in the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_pipeline import shelf
from ray_pipeline.collection import Collection, yardstick
from ray_pipeline.config import Config
from ray_pipeline.errors import TrainingError
from ray_pipeline.evaluation import Evaluation, Fitted, evaluate, layout
from ray_pipeline.fusion import FusionPart
from ray_pipeline.fusion.base import Masks, Views
from ray_pipeline.late_model import Late
from ray_pipeline.models.condition import CONDITION, classes_of, condition_of, encoded, label_share_of, shown
from ray_pipeline.models.contract import Latents, Model, State
from ray_pipeline.needs import fusion_of, required, views_needed, views_required
from ray_pipeline.shelf import Params
from ray_pipeline.store import Folder, digest

if TYPE_CHECKING:
    from ray_pipeline.training import Epoch, History

__all__ = [
    "Collection", "Evaluation", "Fitted", "encode", "evaluate", "experiment_id", "fit", "layout", "model_id", "run",
    "views_needed", "views_required", "yardstick",
]  # fmt: skip

Trained = tuple[State, dict[str, Any]]
"""A member of late fusion as it was trained: its weights, and what a card says of its course."""

VERSION = 2
FEWEST = 2  # tracks; of one alone nothing can be said


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
    checkpoint: Path | Folder | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    trained: dict[str, Trained] | None = None,
    fusion: FusionPart | None = None,
) -> Fitted:
    """Fuse the views and train the config's model on them.

    `trained` has members of late fusion, by name, that were trained on the same collection with the same settings and seed,
    and need not be again; those that are trained now are added. `fusion` is the config's, where the caller has one that
    remembers what it was fitted on.

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
    fusion = fusion or fusion_of(config.fusion)
    fusion.fit(collection.views, collection.masks)
    told, classes = _told(collection, config.model, seed)
    views, masks = _given(told, fusion, config.model, classes)
    shapes = {name: tuple(view.shape[1:]) for name, view in views.items()}
    model: Model = shelf.part("model", config.model.kind)(config.model, shapes, seed)
    train = partial(training.fit, training=config.training, seed=seed, device=device, on_epoch=on_epoch)
    if isinstance(model, Late):
        course = _train_members(model, views, masks, train, checkpoint, {} if trained is None else trained)
    else:
        course = _course(train(model, views, masks, checkpoint=checkpoint))
    card = {
        "seed": seed,
        "n_tracks": len(collection),
        **course,
        "training": config.training.model_dump(mode="json"),
        "classes": classes,
        "notes": [*course["notes"], *_hidden(collection, told, config.model)],
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


def _course(history: History) -> dict[str, Any]:
    """What a card says of one training."""
    return {
        "status": history.status,
        "precision": history.precision,
        "history": [asdict(epoch) for epoch in history.epochs],
        "kl_per_dim": history.kl_per_dim,
        "notes": [] if history.status == "ok" else [f"diverged at epoch {history.diverged_at}"],
    }


def _train_members(
    model: Late,
    views: Views,
    masks: Masks,
    train: Callable[..., History],
    checkpoint: Path | Folder | None,
    trained: dict[str, Trained],
) -> dict[str, Any]:
    """Fit late fusion, each member that is not in `trained` by `train`; what a card says of it."""
    courses: dict[str, dict[str, Any]] = {}

    def one(name: str, member: Model, views: Views, masks: Masks) -> None:
        if name in trained:
            member.load_state(trained[name][0])
        else:
            course = _course(train(member, views, masks, checkpoint=checkpoint / name if checkpoint else None))
            trained[name] = member.state(), course
        courses[name] = trained[name][1]

    model.fit(views, masks, one)
    diverged = [f"member '{name}': {note}" for name, course in courses.items() for note in course["notes"]]
    return {
        "status": "diverged" if diverged else "ok",
        "precision": next((course["precision"] for course in courses.values()), "fp32"),
        "history": [],
        "kl_per_dim": [],
        "members": courses,
        "notes": [*diverged, *model.notes],
    }


def _told(collection: Collection, model: Params, seed: int) -> tuple[Collection, list[str]]:
    """The collection with the labels that the model is shown, and their classes; untouched where it is shown none."""
    wanted = condition_of(model)
    if wanted is None:
        return collection, []
    labels = shown(collection.condition, label_share_of(model), seed)
    return replace(collection, condition=labels), classes_of(labels, wanted.label)


def _hidden(collection: Collection, told: Collection, model: Params) -> list[str]:
    """What a reader should know where the model was shown a part of the labels."""
    wanted = condition_of(model)
    n_there, n_told = (sum(map(bool, labels)) for labels in (collection.condition, told.condition))
    if wanted is None or n_told == n_there:
        return []
    return [f"the model was shown '{wanted.label}' of {n_told:,} of the {n_there:,} tracks that have it"]


def _given(collection: Collection, fusion: FusionPart, model: Params, classes: list[str]) -> tuple[Views, Masks]:
    """What the model sees: the fused views and, where it asks for a label, the class of each track.

    Raises
    ------
    TrainingError
        Tracks lack a view without which the fusion knows nothing of them.
    """
    for name in required(fusion, model):
        lacking = int((~collection.masks[name]).sum())
        if lacking:
            raise TrainingError(
                f"{lacking:,} of {len(collection):,} tracks lack view '{name}', "
                "and without it they cannot be placed: leave them out"
            )
    views, masks = fusion.transform(collection.views, collection.masks)
    wanted = condition_of(model)
    if wanted is None:
        return views, masks
    labels = collection.condition or [None] * len(collection)
    return {**views, CONDITION: encoded(labels, classes, wanted.encoding)}, masks
