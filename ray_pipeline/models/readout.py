"""What a linear map can tell of the views from latents: the reconstruction of a model that has no decoder of its own."""

from __future__ import annotations

from collections import defaultdict
from math import prod

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.models.contract import Masks, Shapes, State, Views, check_state, joined


class Readout:
    """Least squares from latents to all views, on what is present.

    Latents of r directions cannot do better than r principal components, so where this is worse than two components, the
    latents hold next to nothing. With as many dimensions as tracks it rebuilds everything; then it says nothing.
    """

    TENSORS = ("readout",)

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes
        self._weights: NDArray[np.float32] = np.zeros((0, sum(map(prod, shapes.values()))), np.float32)

    def fit(self, mu: NDArray[np.float32], views: Views, masks: Masks) -> None:
        x, present = joined(views, masks, self.shapes)
        design = _design(mu)
        weights = np.zeros((design.shape[1], x.shape[1]))
        for rows, columns in _alike(present):
            seen = design[rows]
            weights[:, columns] = np.linalg.pinv(seen.T @ seen, hermitian=True) @ (seen.T @ x[np.ix_(rows, columns)])
        self._weights = weights.astype(np.float32)

    def errors(self, mu: NDArray[np.float32], views: Views, masks: Masks) -> NDArray[np.float32]:
        """Sum of squared errors of each track over the values present: float32 [n_tracks]."""
        x, present = joined(views, masks, self.shapes)
        error = np.square(_design(mu) @ self._weights - x) * present
        return error.sum(axis=1).astype(np.float32)

    def state(self) -> State:
        return {"readout": self._weights}

    def load_state(self, state: State, width: int) -> None:
        """Take over the weights for latents of `width` dimensions; TrainingError says what does not fit."""
        check_state({"readout": ((width + 1, self._weights.shape[1]), np.dtype(np.float32))}, state)
        self._weights = state["readout"]


def _design(mu: NDArray[np.float32]) -> NDArray[np.float64]:
    """[n_tracks, 1 + latent_dim], ones first."""
    return np.concatenate([np.ones((len(mu), 1)), mu], axis=1)


def _alike(present: NDArray[np.bool_]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Columns that the same rows have, with those rows."""
    packed = np.packbits(present, axis=0).T
    groups: dict[bytes, list[int]] = defaultdict(list)
    for column, key in enumerate(packed):
        groups[key.tobytes()].append(column)
    return [(np.flatnonzero(present[:, columns[0]]), np.array(columns)) for columns in groups.values()]
