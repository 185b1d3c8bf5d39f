"""k-means (section 5.2): scikit-learn's Lloyd algorithm from k-means++ starts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ray_pipeline.clusterers.base import Clustering, KParams, check_count, reproducible


class Params(KParams):
    kind: str = "kmeans"
    n_init: int = Field(default=10, ge=1, description="starts, of which the tightest is kept")


def cluster(x: NDArray[np.float32], params: Params, seed: int) -> Clustering:
    """Cluster `x` [n_tracks, dim]; where fewer rows are distinct than clusters asked for, a note says so.

    Raises
    ------
    TrainingError
        Fewer tracks than clusters, or values that are not finite.
    """
    from sklearn.cluster import KMeans

    k = check_count(x, params)
    with reproducible():
        labels = KMeans(k, n_init=params.n_init, random_state=seed).fit_predict(np.ascontiguousarray(x, np.float32))
    found = Clustering.of(x, labels)
    if len(found.centres) < k:
        found.notes.append(f"{len(found.centres)} clusters, not {k}: no more rows are distinct")
    return found
