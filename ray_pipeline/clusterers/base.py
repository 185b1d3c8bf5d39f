"""What every clusterer gives back, and the order its labels come in."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.errors import TrainingError

NOISE = -1


@dataclass(frozen=True)
class Clustering:
    """labels int32 [n_tracks], -1 = noise; centres float32 [k, dim], row i the mean of the members of cluster i."""

    labels: NDArray[np.int32]
    centres: NDArray[np.float32]
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, x: NDArray[np.float32], labels: NDArray[np.integer], notes: list[str] | None = None) -> Clustering:
        """A Clustering with labels in stable order and the centres that go with them."""
        stable = stable_labels(labels)
        k = int(stable.max(initial=NOISE)) + 1
        centres = [x[stable == c].mean(axis=0, dtype=np.float64) for c in range(k)]
        return cls(stable, np.array(centres, np.float32).reshape(k, x.shape[1]), notes or [])


def stable_labels(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """The same partition numbered by size, largest first, ties by first member; noise stays -1.

    Equal partitions of the same tracks then have equal labels, whatever numbers the algorithm drew.
    """
    found, first, size = np.unique(labels[labels != NOISE], return_index=True, return_counts=True)
    stable = np.full(len(labels), NOISE, np.int32)
    for new, i in enumerate(np.lexsort((first, -size))):
        stable[labels == found[i]] = new
    return stable


def check_matrix(x: NDArray[np.float32]) -> None:
    """Raise TrainingError where `x` is not a finite matrix [n_tracks >= 1, dim >= 1]."""
    if x.ndim != 2 or 0 in x.shape:
        raise TrainingError(f"nothing to cluster: a matrix of shape {list(x.shape)}")
    if not np.isfinite(x).all():
        raise TrainingError(
            f"NaN or infinity in {int((~np.isfinite(x)).any(axis=1).sum())} of {len(x)} rows to cluster"
        )
