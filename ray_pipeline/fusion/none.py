"""No fusion: every view goes to the model under its own name, standardised, its mask beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.errors import TrainingError
from ray_pipeline.fusion.base import Masks, Views
from ray_pipeline.fusion.zscore import Array, ZScore, check_names, take, tensor
from ray_pipeline.shelf import Params as Base


class Params(Base):
    kind: str = "none"
    views: tuple[str, ...] = ()


class PassOn:
    """Views in, the same views out.

    A vector [n_tracks, dim] is z-scored column by column. A sequence or image [n_tracks, …, …] keeps its shape and has
    one mean and one standard deviation: its own contrasts are its content.
    """

    def __init__(self, params: Params) -> None:
        self.params = params
        self._scalers: dict[str, ZScore | Whole] = {}
        self._left_out: list[str] = []

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the views wanted; none means whatever is given."""
        return self.params.views

    @property
    def required(self) -> tuple[str, ...]:
        """The view that is read alone: tracks without it would all be the same point."""
        return self.params.views if len(self.params.views) == 1 else ()

    @property
    def notes(self) -> list[str]:
        return self._left_out + [note for scaler in self._scalers.values() for note in scaler.notes]

    def fit(self, views: Views, masks: Masks) -> None:
        self._scalers, self._left_out = {}, []
        for name in self.needs or tuple(sorted(views)):
            x, present = take(views, masks, name)
            scaler = ZScore(name) if x.ndim == 2 else Whole(name)
            scaler.fit(x, present)
            if scaler.dim:
                self._scalers[name] = scaler
            else:
                self._left_out.append(f"view '{name}': nothing varies over {present.sum()} tracks, so it is left out")
        if not self._scalers:
            raise TrainingError("no view varies, so there is nothing to cluster: " + "; ".join(self._left_out))

    def transform(self, views: Views, masks: Masks) -> tuple[Views, Masks]:
        out: Views = {}
        seen: Masks = {}
        for name, scaler in self._scalers.items():
            x, seen[name] = take(views, masks, name)
            out[name] = scaler.transform(x, seen[name])
        return out, seen

    def state(self) -> dict[str, Array]:
        return {key: array for scaler in self._scalers.values() for key, array in scaler.state().items()}

    def load_state(self, state: dict[str, Array]) -> None:
        scalers: dict[str, ZScore | Whole] = {}
        for name in sorted({key.rpartition(".")[0] for key in state}):
            scalers[name] = Whole(name) if f"{name}.whole" in state else ZScore(name)
            scalers[name].load_state(state)
        check_names(state, {key for scaler in scalers.values() for key in scaler.state()})
        self._scalers, self._left_out = scalers, []


class Whole:
    """One mean and one standard deviation for all values of a view [n_tracks, …]."""

    def __init__(self, view: str) -> None:
        self.view = view
        self._mean_sd: Array = np.zeros(2, np.float32)
        self.notes: list[str] = []

    @property
    def dim(self) -> int:
        return int(self._mean_sd[1] > 0)

    def fit(self, x: NDArray, present: NDArray[np.bool_]) -> None:
        seen = x[present]
        mean, sd = (seen.mean(dtype=np.float64), seen.std(dtype=np.float64)) if seen.size else (0.0, 0.0)
        self._mean_sd = np.array([mean, sd], np.float32)

    def transform(self, x: NDArray, present: NDArray[np.bool_]) -> Array:
        out = (x.astype(np.float32) - self._mean_sd[0]) / self._mean_sd[1]
        out[~present] = 0
        return out

    def state(self) -> dict[str, Array]:
        return {f"{self.view}.whole": self._mean_sd}

    def load_state(self, state: dict[str, Array]) -> None:
        found = tensor(state, f"{self.view}.whole", ndim=1)
        if found.shape != (2,) or not found[1] > 0:
            raise TrainingError(f"fusion tensor '{self.view}.whole' is not a mean and a standard deviation above 0")
        self._mean_sd = found
