"""What every clusterer gives back, and the order its labels come in."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from ray_pipeline.errors import TrainingError
from ray_pipeline.shelf import Params

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

NOISE = -1


@dataclass(frozen=True)
class Clustering:
    """labels int32 [n_tracks], -1 = noise; centres float32 [k, dim], row i the mean of the members of cluster i.

    `curve` has one row a k where k was found automatically: the fields of `choice.Tried`, and `chosen`.
    """

    labels: NDArray[np.int32]
    centres: NDArray[np.float32]
    notes: list[str] = field(default_factory=list)
    curve: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, x: NDArray[np.float32], labels: NDArray[np.integer], notes: list[str] | None = None) -> Clustering:
        """A Clustering with labels in stable order and the centres that go with them."""
        stable = stable_labels(labels)
        k = int(stable.max(initial=NOISE)) + 1
        centres = [x[stable == c].mean(axis=0, dtype=np.float64) for c in range(k)]
        return cls(stable, np.array(centres, np.float32).reshape(k, x.shape[1]), notes or [])


class KParams(Params):
    """Settings of the clusterers that are told how many clusters to find."""

    n_clusters: Annotated[int, Field(ge=2)] | Literal["auto"] = Field(
        8, description="auto: the k of k_range that stands out from structureless data and comes back in subsamples"
    )
    k_range: tuple[int, int] = Field((2, 16), description="first and last k that auto tries")

    @field_validator("k_range")
    @classmethod
    def _rises(cls, k_range: tuple[int, int]) -> tuple[int, int]:
        if not 2 <= k_range[0] <= k_range[1]:
            raise ValueError("two numbers from 2 up are needed, the smaller first, for example [2, 16]")
        return k_range


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


def check_count(x: NDArray[np.float32], params: KParams) -> int:
    """The number of clusters to find in `x`, a matrix that `check_matrix` passes.

    Raises
    ------
    TrainingError
        Fewer tracks than clusters; a matrix of which `check_matrix` says so; `auto`, which `choice.automatic` resolves.
    """
    check_matrix(x)
    if params.n_clusters == "auto":
        raise TrainingError("n_clusters is auto: call choice.automatic, which calls this clusterer for each k")
    if len(x) < params.n_clusters:
        raise TrainingError(f"{len(x)} tracks for {params.n_clusters} clusters: lower clusterer.n_clusters")
    return params.n_clusters


@contextmanager
def reproducible() -> Iterator[None]:
    """One thread, since sums over several come in no fixed order; and no warnings, since clusterers have notes."""
    with _threads().limit(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def _threads() -> ThreadpoolController:
    """Finding the thread pools takes longer than clustering a few hundred tracks, hence once a process."""
    import sklearn.cluster  # noqa: F401 — loads the libraries whose pools are to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def noise_notes(labels: NDArray[np.integer]) -> list[str]:
    """What is to be said of the noise in `labels` [n], and of a clusterer that found one cluster or none."""
    n, noise = len(labels), int((labels == NOISE).sum())
    n_clusters = len(np.unique(labels[labels != NOISE]))
    notes = [f"noise share {noise / n:.1%}, coverage {1 - noise / n:.1%}: {noise:,} of {n:,} tracks are noise"]
    if n_clusters == 0:
        return ["every track is noise: no cluster was found", *notes]
    return ["one cluster only was found", *notes] if n_clusters == 1 else notes if noise else []
