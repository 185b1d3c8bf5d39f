"""Baseline: principal components of the fused matrix, the study's "PCA + k-means"."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ray_pipeline.errors import TrainingError
from ray_pipeline.models.contract import Latents, Masks, Model, Shapes, State, Views, check_state, joined
from ray_pipeline.shelf import Params as Base


class Params(Base):
    kind: str = "pca"
    n_components: int | None = Field(
        32, ge=1, description="at most; no more than the matrix's rank are kept; null: all"
    )


class Pca:
    """mu = components of highest variance; missing values count as the column's mean."""

    def __init__(self, params: Params, shapes: Shapes) -> None:
        self.params = params
        self.shapes = dict(shapes)
        dim = sum(map(prod, shapes.values()))
        self._mean: NDArray[np.float32] = np.zeros(dim, np.float32)
        self._components: NDArray[np.float32] = np.zeros((0, dim), np.float32)

    @property
    def n_parameters(self) -> int:
        return int(self._mean.size + self._components.size)

    def fit(self, views: Views, masks: Masks) -> None:
        """Raises TrainingError where the rows are all the same, so that no component has variance."""
        from sklearn.decomposition import PCA

        x, _ = joined(views, masks, self.shapes)
        n, dim = x.shape
        if n == 0 or not np.ptp(x, axis=0).any():
            raise TrainingError(f"PCA: nothing varies over {n} tracks, so there is no component")
        limit = min(self.params.n_components or dim, n, dim)
        # Both solvers are exact; on tall matrices the covariance is far the cheaper one.
        pca = PCA(limit, svd_solver="covariance_eigh" if n > dim else "full").fit(x.astype(np.float64))
        variance = pca.explained_variance_
        rank = int(np.count_nonzero(variance > np.finfo(np.float32).eps * variance[0]))
        self._mean = pca.mean_.astype(np.float32)
        # Row by row, as they come back from disk: a product's last bits depend on how its factors lie in memory.
        self._components = pca.components_[:rank].astype(np.float32, order="C")

    def encode(self, views: Views, masks: Masks) -> Latents:
        x, present = joined(views, masks, self.shapes)
        centred = x - self._mean
        mu = np.matmul(centred, self._components.T)
        error = np.square(mu @ self._components - centred) * present
        return Latents(mu, None, error.sum(axis=1).astype(np.float32), None)

    def state(self) -> State:
        return {"mean": self._mean, "components": self._components}

    def load_state(self, state: State) -> None:
        dim = self._mean.size
        found = state.get("components", self._components)
        k = min(found.shape[0] if found.ndim else 0, self.params.n_components or dim, dim)
        float32 = np.dtype(np.float32)
        check_state({"mean": ((dim,), float32), "components": ((k, dim), float32)}, state)
        self._mean, self._components = state["mean"], state["components"]


def build(params: Params, shapes: Shapes, seed: int) -> Model:
    """PCA for tracks of `shapes`; it has one solution, whatever the seed."""
    return Pca(params, shapes)
