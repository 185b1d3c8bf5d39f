"""One Experiment: views → fusion → model → latents → clusters → scores, with one config and one seed. No Ray in it.

Tracks come sorted by the hash of their content, so that neither names nor the order of files have a say in the result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline import shelf
from ray_pipeline.clusterers.base import Clustering, KParams
from ray_pipeline.clusterers.choice import automatic, chosen
from ray_pipeline.config import Config
from ray_pipeline.errors import ConfigError, TrainingError
from ray_pipeline.features import check_together
from ray_pipeline.fusion import LYRICS, FusionPart, check_needs
from ray_pipeline.fusion.base import Masks, Views
from ray_pipeline.metrics.score import LEAK, Score
from ray_pipeline.metrics.score import notes as together
from ray_pipeline.models.condition import CONDITION, classes_of, condition_of, encoded
from ray_pipeline.models.contract import Latents, Model, joined
from ray_pipeline.shelf import Params
from ray_pipeline.store import digest

if TYPE_CHECKING:
    from ray_pipeline.metrics.calibration import Cluster
    from ray_pipeline.training import Epoch

VERSION = 1
FEWEST = 2  # tracks; of one alone nothing can be said


@dataclass(frozen=True)
class Collection:
    """What experiments are made on: one row a distinct, sound track.

    `views` {name: float32 [n, …]}; `masks` {name: bool [n]}, True = present; `labels` are the classes that clusters are held
    against, None where a track has none, and `label` is their name. `condition` holds the classes that a conditional model
    is given, None where a track has none; without such a model it is empty.
    """

    track_ids: list[str]
    contents: list[str]
    views: Views
    masks: Masks
    labels: list[str | None] = field(default_factory=list)
    label: str | None = None
    condition: list[str | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.contents)

    def digest(self) -> str:
        """Changes with any number a model could see, and with nothing else: a renamed track is the same track."""
        seen = hashlib.blake2b(digest_size=8)
        for name in sorted(self.views):
            seen.update(name.encode())
            seen.update(np.ascontiguousarray(self.views[name]).tobytes())
            seen.update(np.ascontiguousarray(self.masks[name]).tobytes())
        if self.condition:
            seen.update(json.dumps(self.condition).encode())
        return seen.hexdigest()


@dataclass(frozen=True)
class Fitted:
    """A fitted model with its fusion, and its `card`: what it was fitted on and how that went."""

    model: Model
    fusion: FusionPart
    card: dict[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """Clusters of the latents and their scores: `labels` int32 [n], `distance` float32 [n] to the cluster's centre.

    `curve` has a row for each k that was tried, where k was chosen automatically.
    """

    labels: NDArray[np.int32]
    distance: NDArray[np.float32]
    scores: list[Score]
    notes: list[str]
    curve: list[dict[str, Any]] = field(default_factory=list)


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


def evaluate(collection: Collection, fitted: Fitted, latents: Latents, config: Config, seed: int) -> Evaluation:
    """Cluster the latents, and score the clusters against what chance would have scored."""
    from ray_pipeline import metrics

    found, again = _clustered(latents.mu, config.clusterer, seed)
    scoring, leak = config.scoring, _leak(collection, fitted)
    rebuilt = {name: shape for name, shape in fitted.model.shapes.items() if name != CONDITION}
    matrix, mask = joined(*fitted.fusion.transform(collection.views, collection.masks), rebuilt)
    scores = metrics.internal_scores(
        latents.mu,
        found.labels,
        cluster=again,
        x_input=yardstick(collection),
        null_draws=scoring.null_draws,
        seed=seed,
    )
    scores = [_searched(score, found.curve) for score in scores]
    scores += metrics.latent_scores(
        latents.mu, kl_per_dim=latents.kl_per_dim, recon_error=latents.recon_error, matrix=matrix, mask=mask
    )
    if collection.label and any(collection.labels):
        external = metrics.external_scores(
            found.labels, collection.labels, permutations=scoring.permutations, seed=seed
        )
        scores += [_leaked(score) for score in external] if leak else external
    if LYRICS in collection.masks:
        present = collection.masks[LYRICS]
        scores.append(metrics.missingness_score(found.labels, present, permutations=scoring.permutations, seed=seed))
    notes = [*found.notes, *([leak] if leak else [])]
    distance = _distances(latents.mu, found.labels, found.centres)
    return Evaluation(found.labels, distance, scores, notes, found.curve)


def run(
    collection: Collection, config: Config, seed: int, *, fit: Callable[..., Fitted] = fit
) -> tuple[Fitted, Latents, Evaluation]:
    """The whole path; `fit` may be replaced by one that trains elsewhere."""
    fitted = fit(collection, config, seed)
    latents = encode(collection, fitted)
    return fitted, latents, evaluate(collection, fitted, latents, config, seed)


def yardstick(collection: Collection) -> NDArray[np.float32]:
    """Standardised audio features [n, D]: the space in which clusters of any model can be compared.

    Lyrics are left out: most tracks lack them, and distances to a filled gap would reward clusters that follow the gap.
    Where a fusion reads nothing else, they are the yardstick: its tracks all have them.
    """
    names = [name for name in sorted(collection.views) if name != LYRICS] or [LYRICS]
    flat = [collection.views[name].reshape(len(collection), -1).astype(np.float64) for name in names]
    x = np.concatenate(flat, axis=1)
    spread = x.std(axis=0)
    return np.asarray((x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0), np.float32)


def layout(mu: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """A map of the latents: float32 [n, 2], by UMAP (McInnes et al. 2018); by PCA where there are too few for it."""
    if len(mu) < 8 or mu.shape[1] < 3:
        from sklearn.decomposition import PCA

        width = min(2, *mu.shape)
        flat = PCA(width, random_state=seed).fit_transform(mu)
        return np.pad(flat, ((0, 0), (0, 2 - width))).astype(np.float32)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from umap import UMAP

        return np.asarray(UMAP(n_neighbors=min(15, len(mu) - 1), random_state=seed).fit_transform(mu), np.float32)


def _fusion(config: Config) -> FusionPart:
    fusion: FusionPart = shelf.part("fusion", config.fusion.kind)(config.fusion)
    return fusion


def _clustered(x: NDArray[np.float32], params: Params, seed: int) -> tuple[Clustering, Cluster]:
    """Clusters of `x` [n, dim], and what finds as many in structureless data."""
    from ray_pipeline.metrics.calibration import gaussian_like
    from ray_pipeline.metrics.internal import silhouette

    part = shelf.part("clusterer", params.kind)
    if isinstance(params, KParams) and params.n_clusters == "auto":
        found = automatic(
            x, part, params, seed, silhouette=lambda x, labels: silhouette(x, labels).value, null=gaussian_like
        )
        best = chosen(found.curve)
        params = params.model_copy(update={"n_clusters": best["k"] if best else params.k_range[0]})
    else:
        found = part(x, params, seed)
    return found, lambda drawn, draw: part(drawn, params, draw).labels


def _searched(score: Score, curve: list[dict[str, Any]]) -> Score:
    """Where k was chosen by search, `p` against structureless data is no smaller than the search's own."""
    best = chosen(curve)
    if best is None or not np.isfinite(score.null_mean):
        return score
    note = together("k was chosen: p is at least that of the search", score.note)
    return replace(score, p=max(score.p, best["p"]), note=note)


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


def _leak(collection: Collection, fitted: Fitted) -> str:
    """What is to be said where the model was given the label that its clusters are held against; else nothing."""
    wanted = condition_of(fitted.model.params)
    if wanted is None or wanted.label != collection.label:
        return ""
    return f"{LEAK}: the model was given '{wanted.label}', so agreement of its clusters with that label shows nothing"


def _leaked(score: Score) -> Score:
    return replace(score, note=together(f"{LEAK}: the model was given the label", score.note))


def _distances(mu: NDArray[np.float32], labels: NDArray[np.int32], centres: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance of each track to its cluster's centre; NaN for noise."""
    distance = np.full(len(mu), np.nan, np.float32)
    inside = labels >= 0
    distance[inside] = np.linalg.norm(mu[inside] - centres[labels[inside]], axis=1)
    return distance
