"""The formulas of the internal scores, on rows that are all in clusters: how compact clusters are, and how far apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 32 << 20
DAVIES_BOULDIN_WORST = 1e6

Formula = Callable[[NDArray[np.float64], NDArray[np.int64], "NDArray[np.int64] | None"], tuple[float, float]]
"""(x [n, d], labels [n] in 0 … k − 1 with 2 ≤ k < n, rows to average over or None for all) → value, its standard error.
A metric that is no mean over rows ignores `rows`, and its error is 0."""


def mean_silhouette(
    x: NDArray[np.float64], labels: NDArray[np.int64], rows: NDArray[np.int64] | None
) -> tuple[float, float]:
    """Mean silhouette, Rousseeuw 1987: distances in blocks of rows by matrix products, summed a cluster at a time.

    Memory is bounded by `BLOCK_BYTES`, whatever n.
    """
    n = len(x)
    order = np.argsort(labels, kind="stable")
    own, points = labels[order], x[order] - x.mean(axis=0)
    at = np.arange(n) if rows is None else np.flatnonzero(np.isin(order, rows))
    squares = np.einsum("ij,ij->i", points, points)
    sizes = np.bincount(labels)
    starts = np.cumsum(sizes) - sizes
    each = np.empty(len(at))
    step = max(1, BLOCK_BYTES // (8 * n))
    for start in range(0, len(at), step):
        block = at[start : start + step]
        distances = points[block] @ points.T
        distances *= -2
        distances += squares
        distances += squares[block, None]
        np.maximum(distances, 0, out=distances)
        distances[np.arange(len(block)), block] = 0
        np.sqrt(distances, out=distances)
        each[start : start + step] = _of_rows(np.add.reduceat(distances, starts, axis=1), own[block], sizes)
    unseen = 1 - len(at) / n
    return float(each.mean()), float(each.std() * np.sqrt(unseen / len(at)))


def _of_rows(sums: NDArray[np.float64], own: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Silhouette of rows from the sums [b, k] of their distances to each cluster; 0 for a row alone in its cluster."""
    here = np.arange(len(own))
    within = sums[here, own] / np.maximum(sizes[own] - 1, 1)
    means = sums / sizes
    means[here, own] = np.inf
    nearest = means.min(axis=1)
    widest = np.maximum(within, nearest)
    ratio = np.divide(nearest - within, widest, out=np.zeros_like(widest), where=widest > 0)
    return np.where(sizes[own] > 1, ratio, 0.0)


def ratio_of_variances(
    x: NDArray[np.float64], labels: NDArray[np.int64], rows: NDArray[np.int64] | None
) -> tuple[float, float]:
    """Calinski-Harabasz: variance between clusters over variance within, Caliński and Harabasz 1974."""
    sizes, centroids, offsets = _centroids(x, labels)
    n, k = len(x), len(sizes)
    between = float(sizes @ ((centroids - x.mean(axis=0)) ** 2).sum(axis=1))
    within = float(np.einsum("ij,ij->", offsets, offsets))
    if within == 0:
        return (1.0 if between > 0 else 0.0), 0.0
    return between / within * (n - k) / (k - 1), 0.0


def ratio_of_spreads(
    x: NDArray[np.float64], labels: NDArray[np.int64], rows: NDArray[np.int64] | None
) -> tuple[float, float]:
    """Davies-Bouldin: mean over clusters of the worst (spread + spread) / distance of centroids, Davies and Bouldin 1979.

    Clusters on one point, or with one centroid, are not apart at all: the worst score, where sklearn gives its best.
    """
    _, centroids, offsets = _centroids(x, labels)
    spread = np.bincount(labels, np.sqrt(np.einsum("ij,ij->i", offsets, offsets))) / np.bincount(labels)
    worst = np.empty(len(centroids))
    for here, centroid in enumerate(centroids):
        apart = np.sqrt(((centroids - centroid) ** 2).sum(axis=1))
        ratios = np.divide(spread + spread[here], apart, out=np.full(len(apart), np.inf), where=apart > 0)
        worst[here] = np.delete(ratios, here).max()
    return float(min(worst.mean(), DAVIES_BOULDIN_WORST)), 0.0


def _centroids(
    x: NDArray[np.float64], labels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Sizes [k], centroids [k, d], and each row's offset from its own centroid [n, d]."""
    sizes = np.bincount(labels)
    order = np.argsort(labels, kind="stable")
    centroids = np.add.reduceat(x[order], np.cumsum(sizes) - sizes, axis=0) / sizes[:, None]
    return sizes, centroids, x - centroids[labels]
