"""How many clusters: the k whose clusters stand out most from structureless data, of those that come back in subsamples.

For each k of the range the data is clustered, and so are `NULL_DRAWS` sets of structureless data. A k is kept where

- its silhouette beats what the search over *all* k finds in structureless data (Westfall and Young 1993, single step): looking
  at 15 values of k gives chance 15 tries, and the largest deviation of each draw is what the data's is held against;
- clusterings of subsamples agree (mean ARI over pairs, Ben-Hur, Elisseeff and Guyon 2002) by `MIN_STABILITY` or more.

Of what is kept, the largest lift wins: silhouette less its mean on structureless data of the same k. Where nothing is kept, no
structure was found, and all tracks are one cluster.

The scores' own nulls then hold k at what was chosen, since silhouettes of different k cannot be compared: where each draw
searched anew, it answered with a k of its own, mostly a larger one with a lower silhouette, and the lift of 90 real clips came
out 1.8 times as large. That the data had many tries where these nulls have one is paid for above: structureless data gets past
the search once in 21 times, whatever the k. So the p of a score is at least the p of the search.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.clusterers.base import Clustering, KParams, check_matrix, reproducible

Part = Callable[[NDArray[np.float32], Any, int], Clustering]
Silhouette = Callable[[NDArray[np.float32], NDArray[Any]], float]
Null = Callable[[NDArray[np.float32]], Callable[[np.random.Generator], NDArray[np.float32]]]
"""x [n, d] → draws of structureless data of the same size and covariance."""
Agreement = Callable[[NDArray[np.float32], Callable[[NDArray[np.float32], int], NDArray[Any]], int, float, int], float]
"""(x [n, d], clusterer of (rows, seed), number of subsamples, their share of the rows, seed) → mean ARI over their pairs."""

ROWS = 2_000  # tracks that k is chosen on at most; the clusters are then of all
NULL_DRAWS = 20
ALPHA = 0.05
SUBSAMPLES, SHARE = 4, 0.8
MIN_STABILITY = 0.5
NO_STRUCTURE = "no structure found"
_DRAW, _ROWS = 11, 13


@dataclass(frozen=True)
class Tried:
    """What came of one k; `p` is against the best k of each draw, `stability` the mean ARI of pairs of subsamples."""

    k: int
    silhouette: float
    null_mean: float
    null_sd: float
    lift: float
    p: float
    stability: float


@dataclass(frozen=True)
class Search:
    """Clusterings of the same data by one clusterer with every k of `ks`."""

    part: Part
    params: KParams
    silhouette: Silhouette
    agreement: Agreement
    ks: list[int]

    def labels(self, x: NDArray[np.float32], k: int, seed: int) -> NDArray[np.int32]:
        return self.part(x, self.params.model_copy(update={"n_clusters": k}), seed).labels

    def silhouettes(self, x: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
        """The silhouette of each k: [len(ks)]."""
        return np.array([self.silhouette(x, self.labels(x, k, seed)) for k in self.ks])


@reproducible()
def automatic(
    x: NDArray[np.float32],
    part: Part,
    params: KParams,
    seed: int,
    *,
    silhouette: Silhouette,
    null: Null,
    agreement: Agreement,
) -> Clustering:
    """Cluster `x` [n, dim] with the k that is chosen, or as one cluster where no structure was found.

    `silhouette`, `null` and `agreement` come from the metrics. The Clustering's `curve` has a `Tried` for every k, its notes
    say what was chosen or why nothing was.

    Raises
    ------
    TrainingError
        Values that are not finite.
    """
    check_matrix(x)
    sample = _rows(x, seed)
    ks = [k for k in range(params.k_range[0], params.k_range[1] + 1) if k < SHARE * len(sample)]
    search = Search(part, params, silhouette, agreement, ks)
    if not ks or not (sample != sample[0]).any():
        why = "all rows are the same" if ks else f"{len(x)} tracks are too few to choose a number of clusters for"
        return _one_cluster(x, why, [])
    tried = _try_all(sample, search, null, seed)
    kept = [one for one in tried if one.p <= ALPHA and one.stability >= MIN_STABILITY]
    best = max(kept, key=lambda one: one.lift, default=None)
    curve = [asdict(one) | {"chosen": one is best} for one in tried]
    if best is None:
        return _one_cluster(x, _why_none(tried), curve)
    found = part(x, params.model_copy(update={"n_clusters": best.k}), seed)
    notes = [*_chosen_notes(best.k, ks, len(x), len(sample)), *found.notes]
    return Clustering(found.labels, found.centres, notes, curve)


def chosen(curve: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The row of `curve` that was chosen, if one was."""
    return next((row for row in curve if row["chosen"]), None)


def _try_all(x: NDArray[np.float32], search: Search, null: Null, seed: int) -> list[Tried]:
    draw = null(x)
    rngs = [np.random.default_rng([seed, number, _DRAW]) for number in range(NULL_DRAWS)]
    drawn = np.array([search.silhouettes(draw(rng), int(rng.integers(2**31))) for rng in rngs])
    seen = search.silhouettes(x, seed)
    p = _adjusted_p(seen, drawn)
    mean, sd = drawn.mean(axis=0), drawn.std(axis=0, ddof=1)
    stable = _stability(x, search, seed)
    columns = (seen, mean, sd, seen - mean, p, stable)
    return [Tried(k, *map(float, row)) for k, *row in zip(search.ks, *columns, strict=True)]


def _adjusted_p(seen: NDArray[np.float64], drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """p of each k [K] against the largest deviation over all k of each draw [draws, K].

    Data and draws are standardised by the same mean and deviation, of all of them together: so structureless data is one draw
    more, and has p = 1 / (1 + draws) exactly that often.
    """
    pool = np.vstack([seen, drawn])
    sd = pool.std(axis=0)
    z = np.divide(pool - pool.mean(axis=0), sd, out=np.zeros_like(pool), where=sd > 0)
    largest = z[1:].max(axis=1)
    return np.asarray((1 + (largest[:, None] >= z[0]).sum(axis=0)) / len(pool))


def _stability(x: NDArray[np.float32], search: Search, seed: int) -> NDArray[np.float64]:
    """Mean ARI [K] between clusterings of `SUBSAMPLES` subsamples, the same for each k, on the tracks that a pair shares."""

    def of(k: int) -> float:
        return search.agreement(x, lambda rows, draw: search.labels(rows, k, draw), SUBSAMPLES, SHARE, seed)

    return np.array([of(k) for k in search.ks])


def _rows(x: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """`x`, or `ROWS` of its rows drawn at random where there are more."""
    if len(x) <= ROWS:
        return x
    return x[np.sort(np.random.default_rng([seed, 0, _ROWS]).choice(len(x), ROWS, replace=False))]


def _one_cluster(x: NDArray[np.float32], why: str, curve: list[dict[str, Any]]) -> Clustering:
    one = Clustering.of(x, np.zeros(len(x), np.int32), [f"{NO_STRUCTURE}: {why}; all tracks are one cluster"])
    return Clustering(one.labels, one.centres, one.notes, curve)


def _why_none(tried: list[Tried]) -> str:
    span = f"{tried[0].k} to {tried[-1].k} clusters"
    apart = [one for one in tried if one.p <= ALPHA]
    if not apart:
        return f"no clustering of {span} stands out from structureless data"
    return f"of {span}, those that stand out from structureless data do not come back in subsamples"


def _chosen_notes(k: int, ks: list[int], n: int, n_sampled: int) -> list[str]:
    sampled = f", on {n_sampled:,} tracks drawn at random" if n_sampled < n else ""
    said = f"n_clusters auto: {k} chosen of {ks[0]} to {ks[-1]}{sampled}"
    at_end = f"{k} clusters are the most that were tried: a longer clusterer.k_range may find more"
    return [said, at_end] if k == ks[-1] and len(ks) > 1 else [said]
