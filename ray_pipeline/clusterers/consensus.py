"""Consensus clustering (Monti et al. 2003): how often two tracks end up together when k-means is run on many subsamples.

Where k-means answers differently each time, what its answers agree on is kept: the share of runs in which two tracks were
together is their similarity, and average linkage on it, cut at `n_clusters`, gives the clusters. With more `run_clusters` than
clusters it is the evidence accumulation of Fred and Jain (2005), which also follows clusters that are long or bent.

The similarities and their linkage take 16 bytes a pair of tracks. Past `full_up_to` tracks they are of that many, drawn at
random, and each other track goes to the nearest centre of these; the notes say so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ray_pipeline.clusterers.base import Clustering, KParams, check_count, reproducible

SHARE = 0.8  # of the tracks in each run (Monti et al. 2003)
BLOCK_BYTES = 64 << 20
_ROWS, _RUN = 14, 15


class Params(KParams):
    kind: str = "consensus"
    n_runs: int = Field(default=50, ge=2, le=1000, description="runs of k-means, each on 80 % of the tracks")
    run_clusters: int | None = Field(
        default=None, ge=2, description="clusters of each run; default: n_clusters. More: long or bent clusters too"
    )
    full_up_to: int = Field(
        default=10_000, ge=2, le=20_000, description="tracks; past it, consensus of so many, drawn at random"
    )


def cluster(x: NDArray[np.float32], params: Params, seed: int) -> Clustering:
    """Cluster `x` [n_tracks, dim]; notes say where only a sample was looked at, and where fewer clusters came out.

    Raises
    ------
    TrainingError
        Fewer tracks than clusters, or values that are not finite.
    """
    k = check_count(x, params)
    most = max(params.full_up_to, k)
    whole = len(x) <= most
    rows = np.arange(len(x)) if whole else np.sort(_rng(seed, _ROWS).choice(len(x), most, replace=False))
    with reproducible():
        labels = _linked(apart(x[rows], params, max(params.run_clusters or k, k), seed), k)
        found = Clustering.of(x[rows], labels)
        if not whole:
            found = Clustering.of(x, _nearest(x, found.centres))
    if not whole:
        found.notes.append(
            f"consensus of {most:,} of {len(x):,} tracks drawn at random; the others went to the nearest of its centres"
        )
    if len(found.centres) < k:
        found.notes.append(f"{len(found.centres)} clusters, not {k}: the runs never part the tracks within them")
    return found


def apart(x: NDArray[np.float32], params: Params, k: int, seed: int) -> NDArray[np.float64]:
    """Share of the runs with both tracks in which they were not together: condensed, [n (n − 1) / 2] for `x` [n, dim].

    A pair that no run had together is 1 apart.
    """
    n = len(x)
    member, seen = _runs(x, params.n_runs, k, seed)
    out = np.empty(n * (n - 1) // 2)
    step, end = max(1, BLOCK_BYTES // (8 * n)), 0
    for start in range(0, n, step):
        block = slice(start, start + step)
        together, both = (member[block] @ member.T).toarray(), seen[block] @ seen.T
        distance = 1 - together / np.maximum(both, 1)
        for i, row in enumerate(distance, start=start):
            out[end : end + n - 1 - i] = row[i + 1 :]
            end += n - 1 - i
    return out


def _runs(x: NDArray[np.float32], n_runs: int, k: int, seed: int) -> tuple[NDArray, NDArray[np.float32]]:
    """Which cluster of each run a track was in, sparse [n, n_runs · k] of ones, and which runs had it [n, n_runs]."""
    from scipy.sparse import csr_matrix
    from sklearn.cluster import KMeans

    n = len(x)
    size = max(int(np.ceil(SHARE * n)), min(k, n))
    rows, columns, seen = [], [], np.zeros((n, n_runs), np.float32)
    for run in range(n_runs):
        rng = _rng(seed, _RUN, run)
        drawn = np.sort(rng.choice(n, size, replace=False))
        kmeans = KMeans(min(k, size), n_init=1, random_state=int(rng.integers(2**31)))
        rows.append(drawn)
        columns.append(run * k + kmeans.fit_predict(np.ascontiguousarray(x[drawn], np.float32)))
        seen[drawn, run] = 1
    at = (np.concatenate(rows), np.concatenate(columns))
    return csr_matrix((np.ones(len(at[0]), np.float32), at), shape=(n, n_runs * k)), seen


def _linked(distance: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Labels [n] of average linkage cut at `k` clusters, or fewer: tracks 0 apart are never dealt to several."""
    from scipy.cluster.hierarchy import fcluster, linkage

    return np.asarray(fcluster(linkage(distance, "average"), k, "maxclust"), np.int64)


def _nearest(x: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.int64]:
    from sklearn.metrics import pairwise_distances_argmin

    return np.asarray(pairwise_distances_argmin(x, centres), np.int64)


def _rng(seed: int, purpose: int, number: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, number, purpose])
