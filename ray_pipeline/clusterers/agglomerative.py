"""Agglomerative clustering (section 5.2) by Ward's criterion (1963): merge what adds least to the variance within.

Full Ward keeps all distances, 16 bytes a pair of tracks at its peak. Past `full_up_to` tracks only neighbours in a graph may
merge, which is another clustering, so its notes say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ray_pipeline.clusterers.base import Clustering, KParams, check_count, reproducible

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class Params(KParams):
    kind: str = "agglomerative"
    full_up_to: int = Field(default=20_000, ge=2, le=50_000, description="tracks; past it, Ward on a neighbour graph")
    n_neighbors: int = Field(default=15, ge=1, description="of each track in that graph")


def cluster(x: NDArray[np.float32], params: Params, seed: int) -> Clustering:
    """Cluster `x` [n_tracks, dim]; nothing is random, so `seed` changes nothing.

    Raises
    ------
    TrainingError
        Fewer tracks than clusters, or values that are not finite.
    """
    from sklearn.cluster import AgglomerativeClustering

    k = check_count(x, params)
    points, of = np.unique(x, axis=0, return_inverse=True)
    if len(points) <= k:
        # Ward would deal tracks that are the same to several clusters.
        few = [f"{len(points)} clusters, not {k}: no more rows are distinct"] if len(points) < k else []
        return Clustering.of(x, of.reshape(-1), few)
    full = len(x) <= params.full_up_to
    with reproducible():
        graph = None if full else neighbours(x, params.n_neighbors)
        labels = AgglomerativeClustering(k, linkage="ward", connectivity=graph).fit_predict(x)
    note = f"Ward among {params.n_neighbors} nearest neighbours: full Ward stops at {params.full_up_to:,} tracks"
    return Clustering.of(x, labels, [] if full else [note])


def neighbours(x: NDArray[np.float32], n_neighbors: int) -> csr_matrix:
    """A connected graph [n, n] of each row's nearest neighbours, and of rows next to each other on the first axis.

    Islands that share no neighbour could never merge; the path along the axis joins them, and only ever allows more merges,
    so it brings the result nearer to full Ward.
    """
    from scipy.sparse import csr_matrix
    from sklearn.neighbors import kneighbors_graph

    n = len(x)
    graph = kneighbors_graph(x, min(n_neighbors, n - 1), include_self=False)
    centred = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    path = np.argsort(centred @ axis, kind="stable")
    return graph + csr_matrix((np.ones(n - 1), (path[:-1], path[1:])), shape=(n, n))
