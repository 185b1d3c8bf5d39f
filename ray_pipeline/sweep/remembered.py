"""A fusion that is fitted once: trials that fuse alike need not do it again, and each asks for the result thrice."""

from __future__ import annotations

from numpy.typing import NDArray

from ray_pipeline.fusion import FusionPart
from ray_pipeline.fusion.base import Masks, Views
from ray_pipeline.shelf import Params


class Remembered:
    """A `FusionPart` that keeps what it made of the views it was fitted on, for as long as it is given these very views."""

    def __init__(self, fusion: FusionPart) -> None:
        self.fusion = fusion
        self.fits = 0
        self._fitted_on: Views | None = None
        self._made: tuple[Views, Masks] | None = None

    @property
    def params(self) -> Params:
        return self.fusion.params

    @property
    def needs(self) -> tuple[str, ...]:
        return self.fusion.needs

    @property
    def required(self) -> tuple[str, ...]:
        return self.fusion.required

    @property
    def notes(self) -> list[str]:
        return self.fusion.notes

    def fit(self, views: Views, masks: Masks) -> None:
        if self._fitted_on is views:
            return
        self.fusion.fit(views, masks)
        self.fits += 1
        self._fitted_on, self._made = views, None

    def transform(self, views: Views, masks: Masks) -> tuple[Views, Masks]:
        if self._fitted_on is not views:
            return self.fusion.transform(views, masks)
        if self._made is None:
            self._made = self.fusion.transform(views, masks)
        made, seen = self._made
        return dict(made), dict(seen)

    def state(self) -> dict[str, NDArray]:
        return self.fusion.state()

    def load_state(self, state: dict[str, NDArray]) -> None:
        self.fusion.load_state(state)
        self._fitted_on = self._made = None
