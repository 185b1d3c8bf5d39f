"""HDBSCAN (Campello, Moulavi and Sander 2013): the clusters that last longest as the density they ask for rises."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ray_pipeline.clusterers.base import NOISE, Clustering, check_matrix, noise_notes, reproducible
from ray_pipeline.shelf import Params as Base


class Params(Base):
    kind: str = "hdbscan"
    min_cluster_size: int = Field(default=5, ge=2, description="tracks; a smaller group is noise")
    min_samples: int | None = Field(
        default=None, ge=1, description="neighbours that make a place dense; default: min_cluster_size"
    )
    selection: Literal["eom", "leaf"] = Field(
        default="eom", description="eom: few, lasting clusters; leaf: many, small"
    )
    allow_single_cluster: bool = False


def cluster(x: NDArray[np.float32], params: Params, seed: int) -> Clustering:
    """Cluster `x` [n_tracks, dim]; noise is -1 and its share in the notes. Nothing is random: `seed` changes nothing.

    Raises
    ------
    TrainingError
        Values that are not finite.
    """
    from sklearn.cluster import HDBSCAN

    check_matrix(x)
    needed = max(params.min_cluster_size, params.min_samples or params.min_cluster_size)
    if len(x) < needed:
        labels = np.full(len(x), NOISE, np.int32)
        return Clustering.of(x, labels, [f"{len(x)} tracks, where a cluster needs {needed}", *noise_notes(labels)])
    hdbscan = HDBSCAN(
        min_cluster_size=params.min_cluster_size,
        min_samples=params.min_samples,
        cluster_selection_method=params.selection,
        allow_single_cluster=params.allow_single_cluster,
        copy=True,
    )
    with reproducible():
        labels = hdbscan.fit_predict(x.astype(np.float64))
    return Clustering.of(x, labels, noise_notes(labels))
