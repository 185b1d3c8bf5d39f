"""k-means (section 5.2): scikit-learn's Lloyd algorithm from k-means++ starts."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ray_pipeline.clusterers.base import Clustering, check_matrix
from ray_pipeline.errors import TrainingError
from ray_pipeline.shelf import Params as Base


class Params(Base):
    kind: str = "kmeans"
    n_clusters: int = Field(default=8, ge=2)
    n_init: int = Field(default=10, ge=1, description="starts, of which the tightest is kept")


def cluster(x: NDArray[np.float32], params: Params, seed: int) -> Clustering:
    """Cluster `x` [n_tracks, dim]; where fewer rows are distinct than clusters asked for, a note says so.

    Raises
    ------
    TrainingError
        Fewer tracks than clusters, or values that are not finite.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    check_matrix(x)
    if len(x) < params.n_clusters:
        raise TrainingError(f"{len(x)} tracks for {params.n_clusters} clusters: lower clusterer.n_clusters")
    kmeans = KMeans(params.n_clusters, n_init=params.n_init, random_state=seed)
    # Sums over several threads come in no fixed order; one thread makes a seed mean the same labels everywhere.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = kmeans.fit_predict(np.ascontiguousarray(x, np.float32))
    found = Clustering.of(x, labels)
    if len(found.centres) < params.n_clusters:
        found.notes.append(f"{len(found.centres)} clusters, not {params.n_clusters}: no more rows are distinct")
    return found
