"""Columns at mean 0 and standard deviation 1, from what is present; columns that never vary are dropped, and said."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.errors import TrainingError
from ray_pipeline.fusion.base import Masks, Views

Array = NDArray[np.float32]

# float32 carries seven digits: a spread below this share of the column's size is rounding, not variation.
_ROUNDING = 1e-6


class ZScore:
    """The z-score of one flat view: `mean` [dim] and `scale` [dim], whose zeros are the columns dropped."""

    def __init__(self, view: str) -> None:
        self.view = view
        self.mean: Array = np.zeros(0, np.float32)
        self.scale: Array = np.zeros(0, np.float32)

    @property
    def dim(self) -> int:
        """Columns that are kept."""
        return int(np.count_nonzero(self.scale))

    @property
    def notes(self) -> list[str]:
        dropped = np.flatnonzero(self.scale == 0)
        if not dropped.size:
            return []
        shown = ", ".join(map(str, dropped[:10])) + (", …" if dropped.size > 10 else "")
        return [f"view '{self.view}': {dropped.size} of {self.scale.size} columns never vary and are left out: {shown}"]

    def fit(self, x: Array, present: NDArray[np.bool_]) -> None:
        """Learn from `x` [n_tracks, dim] where `present` [n_tracks]."""
        self.mean = np.zeros(x.shape[1], np.float32)
        self.scale = np.zeros(x.shape[1], np.float32)
        if not present.any():
            return
        seen = x[present].astype(np.float64)
        mean, sd = seen.mean(axis=0), seen.std(axis=0)
        varies = sd > _ROUNDING * np.abs(mean)
        self.mean = mean.astype(np.float32)
        self.scale = np.where(varies, sd, 0.0).astype(np.float32)

    def transform(self, x: Array, present: NDArray[np.bool_]) -> Array:
        """float32 [n_tracks, kept columns]; rows that are not `present` are 0, the mean."""
        if x.shape[1] != self.scale.size:
            raise TrainingError(f"view '{self.view}': {x.shape[1]} columns, fitted on {self.scale.size}")
        kept = self.scale > 0
        out = (x[:, kept] - self.mean[kept]) / self.scale[kept]
        return np.where(present[:, None], out, np.float32(0)).astype(np.float32)

    def state(self) -> dict[str, Array]:
        return {f"{self.view}.mean": self.mean, f"{self.view}.scale": self.scale}

    def load_state(self, state: dict[str, Array]) -> None:
        mean, scale = (tensor(state, f"{self.view}.{part}", ndim=1) for part in ("mean", "scale"))
        if mean.shape != scale.shape or (scale < 0).any():
            raise TrainingError(f"fusion tensors '{self.view}.mean' and '{self.view}.scale' do not fit each other")
        self.mean, self.scale = mean, scale


def tensor(state: dict[str, Array], name: str, ndim: int) -> Array:
    """The tensor `name` of a saved fusion, checked; TrainingError says what is wrong with it."""
    if name not in state:
        raise TrainingError(f"fusion tensor '{name}' is missing")
    found = state[name]
    if found.ndim != ndim or found.dtype != np.float32 or not np.isfinite(found).all():
        raise TrainingError(
            f"fusion tensor '{name}' is {found.dtype}{list(found.shape)}: {ndim} axes of finite float32"
        )
    return found


def check_names(state: dict[str, Array], known: set[str]) -> None:
    """Refuse tensors that the fusion never wrote."""
    for name in sorted(set(state) - known):
        raise TrainingError(f"fusion tensor '{name}' is unexpected")


def take(views: Views, masks: Masks, name: str) -> tuple[NDArray, NDArray[np.bool_]]:
    """The view `name` and which tracks have it, bool [n_tracks]; what is there must be finite.

    Raises
    ------
    TrainingError
        The view is absent, or holds NaN or infinity in a row that is said to be present.
    """
    if name not in views:
        raise TrainingError(f"view '{name}' is not among the views: {', '.join(sorted(views)) or 'none'}")
    x = views[name]
    present = _every(masks.get(name, np.ones(len(x), np.bool_)))
    finite = _every(np.isfinite(x))
    if (present & ~finite).any():
        raise TrainingError(f"view '{name}': NaN or infinity in {(present & ~finite).sum()} tracks")
    return x, present


def flat(views: Views, masks: Masks, name: str) -> tuple[Array, NDArray[np.bool_]]:
    """`take`, with every track's array laid out as one row: float32 [n_tracks, dim]."""
    x, present = take(views, masks, name)
    return x.reshape(len(x), -1).astype(np.float32, copy=False), present


def need_variation(dim: int, view: str, n: int) -> None:
    if dim == 0:
        raise TrainingError(f"view '{view}': nothing varies over {n} tracks, so there is nothing to cluster")


def _every(values: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which rows are True throughout, bool [n_tracks]."""
    return np.logical_and.reduce(values, axis=tuple(range(1, values.ndim)))
