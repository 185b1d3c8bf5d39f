"""Principal components of a matrix, kept as arrays; a part of the fusions that reduce."""

from __future__ import annotations

import numpy as np

from ray_pipeline.errors import TrainingError
from ray_pipeline.fusion.zscore import Array, tensor


class Principal:
    """`mean` [dim] and `components` [k, dim], of highest variance first.

    Each component's largest loading is positive, so that the same data have the same signs everywhere.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.mean: Array = np.zeros(0, np.float32)
        self.components: Array = np.zeros((0, 0), np.float32)

    def fit(self, x: Array, most: int, variance: float = 1.0) -> None:
        """Keep `most` components of `x` [n_tracks, dim], fewer where n_tracks − 1, the rank or a share of the
        `variance` is reached before.

        Raises
        ------
        TrainingError
            Nothing varies.
        """
        from sklearn.decomposition import PCA

        n, dim = x.shape
        if n < 2 or not np.ptp(x, axis=0).any():
            raise TrainingError(f"nothing varies over {n} tracks, so there is nothing to cluster")
        # Both solvers are exact; on tall matrices the covariance is far the cheaper one.
        pca = PCA(min(n - 1, dim), svd_solver="covariance_eigh" if n > dim else "full").fit(x.astype(np.float64))
        values, ratios = pca.explained_variance_, pca.explained_variance_ratio_
        rank = int(np.count_nonzero(values > np.finfo(np.float32).eps * values[0]))
        enough = int(np.searchsorted(np.cumsum(ratios), variance - np.finfo(np.float32).eps)) + 1
        kept = pca.components_[: min(most, rank, enough)]
        largest = np.take_along_axis(kept, np.abs(kept).argmax(axis=1)[:, None], axis=1)
        self.mean = pca.mean_.astype(np.float32)
        self.components = (kept * np.sign(largest)).astype(np.float32, order="C")

    def transform(self, x: Array) -> Array:
        """float32 [n_tracks, k]."""
        if x.shape[1] != self.mean.size:
            raise TrainingError(f"{x.shape[1]} columns to reduce, fitted on {self.mean.size}")
        # In double, so that a track's numbers do not depend on how many others stand beside it in the product.
        return ((x.astype(np.float64) - self.mean) @ self.components.T.astype(np.float64)).astype(np.float32)

    def state(self) -> dict[str, Array]:
        return {f"{self.name}.mean": self.mean, f"{self.name}.components": self.components}

    def load_state(self, state: dict[str, Array], dim: int) -> None:
        """Take over the arrays of a fusion whose columns are `dim`."""
        mean, components = tensor(state, f"{self.name}.mean", 1), tensor(state, f"{self.name}.components", 2)
        if mean.size != dim or components.shape[1] != dim:
            raise TrainingError(
                f"fusion tensors '{self.name}.mean' and '{self.name}.components' are of {mean.size} and "
                f"{components.shape[1]} columns, not {dim}"
            )
        self.mean, self.components = mean, components
