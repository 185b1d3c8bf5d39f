"""DBSCAN (Ester et al. 1996): clusters are places where tracks lie dense, and what lies between is noise.

Distances are taken in blocks by matrix products, so that memory is bounded also where everything is near everything;
scikit-learn keeps every pair within eps, which at 25,000 tracks may be 5 GB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ray_pipeline.clusterers.base import NOISE, Clustering, check_matrix, noise_notes, reproducible
from ray_pipeline.shelf import Params as Base

BLOCK_BYTES = 32 << 20
FLOAT32_STEP = 1.2e-7  # of the farthest track's distance: float32 tells no two places apart that are nearer


class Params(Base):
    kind: str = "dbscan"
    eps: float | None = Field(
        default=None,
        gt=0,
        description="how near neighbours are; default: the knee of the distances to the min_samples-th",
    )
    min_samples: int = Field(
        default=5, ge=1, description="tracks within eps, itself among them, that make a place dense"
    )


def cluster(x: NDArray[np.float32], params: Params, seed: int) -> Clustering:
    """Cluster `x` [n_tracks, dim]; noise is -1 and its share in the notes. Nothing is random: `seed` changes nothing.

    A track that is near several clusters without being dense itself goes to the nearest, so that the order of tracks has no
    say. All noise and one cluster are answers like others.

    Raises
    ------
    TrainingError
        Values that are not finite.
    """
    check_matrix(x)
    if len(x) < params.min_samples:
        nowhere = np.full(len(x), NOISE, np.int32)
        few = f"{len(x)} tracks, where a dense place needs {params.min_samples}"
        return Clustering.of(x, nowhere, [few, *noise_notes(nowhere)])
    points = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    with reproducible():
        reach = _nearest(points, points, params.min_samples)[0][:, -1]
        eps = knee(reach) if params.eps is None else params.eps
        labels = _labels(points, reach, eps)
    chosen = [f"eps {eps:.4g}, the knee of the distances to the {params.min_samples}th nearest"]
    return Clustering.of(x, labels, [*(chosen if params.eps is None else []), *noise_notes(labels)])


def knee(reach: NDArray[np.float64]) -> float:
    """The value of `reach` [n] where its sorted curve turns up: farthest below its chord (Satopää et al. 2011)."""
    curve = np.sort(reach)
    rise = curve[-1] - curve[0]
    if rise == 0:
        return float(curve[-1])
    across = np.linspace(0, 1, len(curve))
    return float(curve[np.argmax(across - (curve - curve[0]) / rise)])


def _labels(points: NDArray[np.float64], reach: NDArray[np.float64], eps: float) -> NDArray[np.int64]:
    """Labels [n] of `points`, whose `min_samples`-th nearest lies at the distance `reach` [n]."""
    near = eps + FLOAT32_STEP * float(np.sqrt((points**2).sum(axis=1).max()))
    core, rest = np.flatnonzero(reach <= near), np.flatnonzero(reach > near)
    labels = np.full(len(points), NOISE, np.int64)
    if len(core):
        labels[core] = _components(points[core], near)
    if len(core) and len(rest):
        distance, nearest = _nearest(points[core], points[rest], 1)
        labels[rest] = np.where(distance[:, 0] <= near, labels[core][nearest[:, 0]], NOISE)
    return labels


def _components(points: NDArray[np.float64], near: float) -> NDArray[np.int64]:
    """Which points [m] are linked, by steps no longer than `near`."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    m = len(points)
    component = np.arange(m)
    squares = np.einsum("ij,ij->i", points, points)
    step = max(1, BLOCK_BYTES // (8 * m))
    for start in range(0, m, step):
        block = slice(start, start + step)
        apart = squares[block, None] + squares - 2 * (points[block] @ points.T)
        linked = (apart <= near**2) & (component[block, None] != component)
        row, column = np.nonzero(linked)
        pairs = (component[block][row], component[column])
        n = int(component.max()) + 1
        component = connected_components(coo_matrix((np.ones(len(row), np.int8), pairs), shape=(n, n)), directed=False)[
            1
        ][component]
    return component.astype(np.int64)


def _nearest(
    among: NDArray[np.float64], of: NDArray[np.float64], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distances [n, k] and numbers [n, k] of the `k` rows of `among` that are nearest to each row `of` [n]."""
    from sklearn.neighbors import NearestNeighbors

    distance, nearest = NearestNeighbors(n_neighbors=k).fit(among).kneighbors(of)
    return distance, nearest
