"""Stability: do the clusters come back with another seed, or from other tracks of the same kind?

A collapsed model is as stable as can be: cutting one long direction into k parts always gives the same parts. So each value
stands beside what the same clusterer scores on structureless data. See von Luxburg, "Clustering stability: an overview", 2010.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.metrics.calibration import Cluster, against_null, gaussian_like, generator
from ray_pipeline.metrics.external import ari
from ray_pipeline.metrics.score import Metric, Score, notes

Rows = NDArray[np.int64]
Partition = tuple[Rows, NDArray[Any]]
"""Rows that were clustered, each once and in order, and the cluster of each; −1 = noise, which is a cluster of its own."""

SEEDS_ROWS, RESAMPLED_ROWS = 10_000, 2_000
RESAMPLES = 5
FEWEST = 10  # tracks
_SUBSAMPLE, _ROWS, _BOOTSTRAP, _GAUSSIAN = 12, 31, 32, 33


@dataclass(frozen=True)
class Stability(Metric):
    """A metric of clusterings of the same tracks: the mean ARI over pairs of them, on the tracks that both have."""

    def __call__(self, partitions: Sequence[Partition]) -> Score:
        """The note has the standard deviation over pairs. Worst, with a note, where no pair shares two tracks."""
        agreed = pairwise(partitions)
        n = len(np.unique(np.concatenate([rows for rows, _ in partitions]))) if partitions else 0
        if not len(agreed):
            return Score(self.name, self.worst, n=n, note="no two clusterings of the same tracks to compare")
        spread = f", sd {agreed.std(ddof=1):.2g}" if len(agreed) > 1 else ""
        return Score(
            self.name, float(agreed.mean()), n=n, note=f"mean of {len(agreed)} pair{'s' if spread else ''}{spread}"
        )


def pairwise(partitions: Sequence[Partition]) -> NDArray[np.float64]:
    """ARI of each pair of `partitions` on the tracks that both have; pairs that share fewer than two are left out.

    One cluster for all agrees with nothing: 0, where scikit-learn has 1.
    """
    found = []
    for (rows, labels), (other_rows, other_labels) in combinations(partitions, 2):
        _, at, other_at = np.intersect1d(rows, other_rows, assume_unique=True, return_indices=True)
        if len(at) > 1:
            found.append(float(ari.formula(_table(labels[at], other_labels[other_at])[None])[0]))
    return np.array(found)


def agreement(x: NDArray[np.float32], cluster: Cluster, n_subsamples: int, share: float, seed: int) -> float:
    """Mean ARI over pairs of clusterings of `n_subsamples` subsamples, each a `share` of the rows of `x` [n, d].

    Ben-Hur, Elisseeff and Guyon 2002. 0 where no two of them share two rows.
    """
    size = int(np.ceil(share * len(x)))
    rngs = [generator(seed, _SUBSAMPLE, number) for number in range(n_subsamples)]
    agreed = pairwise([_resampled(x, cluster, rng, size, False) for rng in rngs])
    return float(agreed.mean()) if len(agreed) else 0.0


def bootstrapped(x: NDArray[np.float32], cluster: Cluster, n_resamples: int, seed: int) -> list[Partition]:
    """Clusterings of `n_resamples` sets of as many rows, drawn from `x` [n, d] with replacement.

    A row that was drawn twice is clustered twice and counts once. To clusterers by density that is a dense place, in the
    null as in the data.
    """
    rngs = [generator(seed, _BOOTSTRAP, number) for number in range(n_resamples)]
    return [_resampled(x, cluster, rng, len(x), True) for rng in rngs]


def bootstrap_stability(
    x: NDArray[Any], labels: NDArray[Any], *, cluster: Cluster, null_draws: int = 20, seed: int = 0
) -> Score:
    """`stability_bootstrap` of `cluster` on `x` [n, d], which it gave `labels` [n]: `RESAMPLES` bootstrap resamples,
    beside the same on Gaussians of the covariance of `x`. Past 2,000 rows both are of 2,000 drawn at random.
    """
    why = _fault(x, [labels], RESAMPLED_ROWS)
    if why:
        return Score(stability_bootstrap.name, stability_bootstrap.worst, n=len(x), note=why)
    rows, sampled = _rows(len(x), RESAMPLED_ROWS, seed)
    points = np.asarray(x, np.float32)[rows]

    def measure(points: NDArray[np.float32], seed: int) -> Score:
        return stability_bootstrap(bootstrapped(points, cluster, RESAMPLES, seed))

    draws = _structureless(points, null_draws, seed)
    null = [measure(drawn, int(rng.integers(2**31))).value for drawn, rng in draws]
    score = replace(measure(points, seed), n=len(points))
    return _beside(stability_bootstrap, score, np.array(null), sampled)


def seeds_stability(
    latents: Sequence[NDArray[Any]],
    labels: Sequence[NDArray[Any]],
    *,
    clusters: Sequence[Cluster],
    seeds: Sequence[int],
    null_draws: int = 20,
) -> Score | None:
    """`stability` over seeds: each has `latents` [n, d] of the same n tracks, the `labels` [n] found there, and the
    clusterer that found them. None for a single seed.

    Structureless here is a Gaussian of the covariance of *all* seeds' latents side by side, of which each seed is given its
    own columns. What one seed's latents tell of another's then stays, as far as it is linear: models that agree on one long
    direction agree there too. Past 10,000 tracks, 10,000 drawn at random are clustered anew, in place of `labels`.
    """
    if len(latents) < 2:
        return None
    why = next((why for x in latents if (why := _fault(x, labels, SEEDS_ROWS))), "")
    n = len(latents[0])
    if why:
        return Score(stability.name, stability.worst, n=n, note=why)
    rows, sampled = _rows(n, SEEDS_ROWS, seeds[0])
    points = [np.asarray(x, np.float32)[rows] for x in latents]

    def measure(points: Sequence[NDArray[np.float32]]) -> Score:
        found = zip(clusters, points, seeds, strict=True)
        return stability([(rows, np.asarray(cluster(x, seed))) for cluster, x, seed in found])

    score = measure(points) if sampled else stability([(rows, np.asarray(one)) for one in labels])
    ends = np.cumsum([x.shape[1] for x in points])[:-1]
    draws = _structureless(np.concatenate(points, axis=1), null_draws, seeds[0])
    null = [measure(np.split(drawn, ends, axis=1)).value for drawn, _ in draws]
    return _beside(stability, score, np.array(null), sampled)


def _table(labels: NDArray[Any], others: NDArray[Any]) -> NDArray[np.int64]:
    """Contingency table of two clusterings of the same tracks."""
    row, column = (np.unique(one, return_inverse=True)[1] for one in (labels, others))
    width = int(column.max()) + 1
    return np.bincount(row * width + column, minlength=(int(row.max()) + 1) * width).reshape(-1, width)


def _resampled(
    x: NDArray[np.float32], cluster: Cluster, rng: np.random.Generator, size: int, replace: bool
) -> Partition:
    drawn = np.sort(rng.choice(len(x), size, replace=replace))
    labels = np.asarray(cluster(x[drawn], int(rng.integers(2**31))))
    rows, first = np.unique(drawn, return_index=True)
    return rows, labels[first]


def _structureless(
    x: NDArray[np.float32], n_draws: int, seed: int
) -> Iterator[tuple[NDArray[np.float32], np.random.Generator]]:
    draw: Callable[[np.random.Generator], NDArray[np.float32]] = gaussian_like(x)
    for number in range(n_draws):
        rng = generator(seed, _GAUSSIAN, number)
        yield draw(rng), rng


def _rows(n: int, most: int, seed: int) -> tuple[Rows, str]:
    """Rows to look at, and what is to be said where those are not all."""
    if n <= most:
        return np.arange(n), ""
    return np.sort(
        generator(seed, _ROWS).choice(n, most, replace=False)
    ), f"on {most:,} of {n:,} tracks drawn at random"


def _fault(x: NDArray[Any], labels: Sequence[NDArray[Any]], most: int) -> str:
    """Why no stability can be told of `most` rows, or nothing."""
    if len(x) < FEWEST:
        return f"{len(x)} tracks are too few to tell stability"
    if not np.isfinite(x).all():
        return "values that are not finite"
    counts = [len(np.unique(one)) for one in labels]
    if max(counts) > min(len(x), most):
        return f"{max(counts):,} clusters are more than the {most:,} tracks that are looked at"
    return "one cluster only: nothing that could come back" if min(counts) < 2 else ""


def _beside(metric: Stability, score: Score, null: NDArray[np.float64], sampled: str) -> Score:
    return against_null(replace(score, note=notes(score.note, sampled)), metric, null, "Gaussians")


stability = Stability("stability", "stability", True, 0.0)
stability_bootstrap = Stability("stability_bootstrap", "stability", True, 0.0)
