"""The second half of an Experiment: latents → clusters → scores, each with what chance would have scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline import shelf
from ray_pipeline.clusterers.base import Clustering, KParams
from ray_pipeline.clusterers.choice import automatic, chosen
from ray_pipeline.collection import Collection, yardstick
from ray_pipeline.config import LABEL, Config, Scoring
from ray_pipeline.fusion import LYRICS, FusionPart
from ray_pipeline.metrics.score import LEAK, Score, shelf_name
from ray_pipeline.metrics.score import notes as together
from ray_pipeline.models.condition import CONDITION, condition_of
from ray_pipeline.models.contract import Latents, Model, joined
from ray_pipeline.shelf import Params

if TYPE_CHECKING:
    from ray_pipeline.metrics.calibration import Cluster


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


def evaluate(collection: Collection, fitted: Fitted, latents: Latents, config: Config, seed: int) -> Evaluation:
    """Cluster the latents, and score the clusters against what chance would have scored."""
    from ray_pipeline import metrics

    found, again = _clustered(latents.mu, config.clusterer, seed)
    scoring, leak = config.scoring, _leak(collection, fitted, seed)
    matrix, mask = _rebuilt(collection, fitted)
    scores = metrics.internal_scores(
        latents.mu,
        found.labels,
        cluster=again,
        x_input=yardstick(collection),
        null_draws=scoring.null_draws,
        seed=seed,
    )
    scores = [_searched(score, found.curve) for score in scores]
    # What a clusterer did otherwise than its name says stands beside each score of its clusters.
    scores = [replace(score, note=together(score.note, *found.notes)) for score in scores]
    scores += metrics.latent_scores(
        latents.mu, kl_per_dim=latents.kl_per_dim, recon_error=latents.recon_error, matrix=matrix, mask=mask
    )
    external = _external(collection, found.labels, scoring, seed)
    scores += [_leaked(score) for score in external] if leak else external
    artists, unknown = _artists(collection, found.labels, scoring, seed)
    factors, unheld = _factors(collection, latents.mu, scoring, leak, seed)
    scores += [*artists, *factors]
    if LYRICS in collection.masks:
        present = collection.masks[LYRICS]
        scores.append(metrics.missingness_score(found.labels, present, permutations=scoring.permutations, seed=seed))
    if fitted.card.get("status") == "diverged":
        scores = [_worst(score) for score in scores]
    notes = [*found.notes, *(note for note in (leak, unknown, unheld) if note)]
    distance = _distances(latents.mu, found.labels, found.centres)
    return Evaluation(found.labels, distance, scores, notes, found.curve)


def _rebuilt(collection: Collection, fitted: Fitted) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What the model was trained to rebuild, weighed as its loss weighs it: float32 [n, D], and bool [n, D], True = present."""
    views, masks = fitted.fusion.transform(collection.views, collection.masks)
    scales = getattr(fitted.model, "scales", {})
    weighed = {name: x * np.float32(np.sqrt(scales[name])) if name in scales else x for name, x in views.items()}
    shapes = {name: shape for name, shape in fitted.model.shapes.items() if name != CONDITION}
    return joined(weighed, masks, shapes)


def stability(
    config: Config,
    seeds: Sequence[int],
    latents: Sequence[Latents],
    found: Sequence[Evaluation],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[int, list[Score]]:
    """Seed → whether its clusters come back: `stability_bootstrap` of each, and `stability` over all with the first.

    Not part of `evaluate`: it clusters a hundred times and more, and the second half asks for every seed.
    """
    from ray_pipeline import metrics

    draws = config.scoring.null_draws
    clusters = [_again(config.clusterer, one.curve) for one in found]
    mus = [one.mu for one in latents]
    scores: dict[int, list[Score]] = {}
    for seed, mu, one, again in zip(seeds, mus, found, clusters, strict=True):
        progress(len(scores), len(seeds))
        scores[seed] = [metrics.bootstrap_stability(mu, one.labels, cluster=again, null_draws=draws, seed=seed)]
    progress(len(seeds), len(seeds))
    over_seeds = metrics.seeds_stability(
        mus, [one.labels for one in found], clusters=clusters, seeds=seeds, null_draws=draws
    )
    if over_seeds is not None:
        scores[seeds[0]].insert(0, over_seeds)
    return scores


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


def _clustered(x: NDArray[np.float32], params: Params, seed: int) -> tuple[Clustering, Cluster]:
    """Clusters of `x` [n, dim], and what finds as many in structureless data."""
    from ray_pipeline import metrics
    from ray_pipeline.metrics.calibration import gaussian_like
    from ray_pipeline.metrics.internal import silhouette

    part = shelf.part("clusterer", params.kind)
    if not (isinstance(params, KParams) and params.n_clusters == "auto"):
        return part(x, params, seed), _again(params, [])
    found = automatic(
        x,
        part,
        params,
        seed,
        silhouette=lambda x, labels: silhouette(x, labels).value,
        null=gaussian_like,
        agreement=metrics.agreement,
    )
    return found, _again(params, found.curve)


def _again(params: Params, curve: list[dict[str, Any]]) -> Cluster:
    """The clusterer of `params` with the k that was chosen, where one was to be."""
    part = shelf.part("clusterer", params.kind)
    if isinstance(params, KParams) and params.n_clusters == "auto":
        best = chosen(curve)
        params = params.model_copy(update={"n_clusters": best["k"] if best else params.k_range[0]})
    return lambda x, seed: part(x, params, seed).labels


def _external(collection: Collection, labels: NDArray[np.int32], scoring: Scoring, seed: int) -> list[Score]:
    """Clusters against the label, on all tracks and on one track an artist."""
    from ray_pipeline import metrics

    if not (collection.label and any(collection.labels)):
        return []
    classes, draws = collection.labels, scoring.permutations
    found = metrics.external_scores(labels, classes, permutations=draws, seed=seed)
    if not collection.artists:
        return found
    return found + metrics.filtered_scores(labels, classes, collection.artists, permutations=draws, seed=seed)


def _artists(collection: Collection, labels: NDArray[np.int32], scoring: Scoring, seed: int) -> tuple[list[Score], str]:
    """What clusters know of artists, or what is to be said where no artist is known."""
    from ray_pipeline import metrics

    artists = collection.artists or [None] * len(collection)
    score = metrics.artist_share_score(labels, artists, permutations=scoring.permutations, seed=seed)
    return ([score], "") if score else ([], "no artists are known: whether clusters follow artists cannot be told")


def _factors(
    collection: Collection, mu: NDArray[np.float32], scoring: Scoring, leak: str, seed: int
) -> tuple[list[Score], str]:
    """Whether single latents stand for the factors, or what is to be said where none can be held against them."""
    from ray_pipeline import metrics

    if not collection.factors:
        return [], ""
    scores = metrics.disentanglement_scores(
        mu, collection.factors, permutations=scoring.permutations, null_draws=scoring.null_draws, seed=seed
    )
    names = ", ".join(collection.factors)
    if not scores:
        return [], f"latents were held against no factor: of {names} too little is known, or the latents are not finite"
    return [_leaked(score) for score in scores] if leak and LABEL in collection.factors else scores, ""


def _worst(score: Score) -> Score:
    """The score of a model whose training diverged: whatever its clusters look like, nothing was learnt."""
    metric = shelf.part("metric", shelf_name(score.metric))
    note = together(f"training diverged; its clusters alone would have {score.value:.3g}", score.note)
    return Score(score.metric, metric.worst, n=score.n, note=note)


def _searched(score: Score, curve: list[dict[str, Any]]) -> Score:
    """Where k was chosen by search, `p` against structureless data is no smaller than the search's own."""
    best = chosen(curve)
    if best is None or not np.isfinite(score.null_mean):
        return score
    note = together("k was chosen: p is at least that of the search", score.note)
    return replace(score, p=max(score.p, best["p"]), note=note)


def _leak(collection: Collection, fitted: Fitted, seed: int) -> str:
    """What is to be said where the model was given the label that its clusters are held against; else nothing."""
    from ray_pipeline import metrics

    wanted = condition_of(fitted.model.params)
    if wanted is None or not collection.label or not any(collection.labels):
        return ""
    given = collection.condition or [None] * len(collection)
    return metrics.leak(wanted.label, given, collection.label, collection.labels, seed=seed)


def _leaked(score: Score) -> Score:
    return replace(score, note=together(f"{LEAK}: the model was given the label, or one that tells of it", score.note))


def _distances(mu: NDArray[np.float32], labels: NDArray[np.int32], centres: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance of each track to its cluster's centre; NaN for noise."""
    distance = np.full(len(mu), np.nan, np.float32)
    inside = labels >= 0
    distance[inside] = np.linalg.norm(mu[inside] - centres[labels[inside]], axis=1)
    return distance
