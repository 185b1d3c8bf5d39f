"""k-means on small random batches (Sculley 2010): for collections that k-means takes too long over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ray_pipeline.clusterers.base import Clustering, KParams, check_count, reproducible


class Params(KParams):
    kind: str = "minibatch_kmeans"
    n_init: int = Field(default=10, ge=1, description="starts, of which the tightest on a sample is kept")
    batch_size: int = Field(default=1024, ge=1)
    max_iter: int = Field(default=100, ge=1, description="passes over the tracks at most")


def cluster(x: NDArray[np.float32], params: Params, seed: int) -> Clustering:
    """Cluster `x` [n_tracks, dim]; a note says where clusters ended up empty.

    Raises
    ------
    TrainingError
        Fewer tracks than clusters, or values that are not finite.
    """
    from sklearn.cluster import MiniBatchKMeans

    k = check_count(x, params)
    kmeans = MiniBatchKMeans(
        k, n_init=params.n_init, batch_size=params.batch_size, max_iter=params.max_iter, random_state=seed
    )
    with reproducible():
        labels = kmeans.fit_predict(np.ascontiguousarray(x, np.float32))
    found = Clustering.of(x, labels)
    if len(found.centres) < k:
        found.notes.append(f"{len(found.centres)} clusters, not {k}: no track is nearest to the other centres")
    return found
