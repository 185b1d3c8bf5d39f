"""One view by itself, z-scored: what a model of audio alone is given."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ray_pipeline.fusion.base import Masks, Views
from ray_pipeline.fusion.zscore import Array, ZScore, check_names, flat, need_variation
from ray_pipeline.shelf import Params as Base


class Params(Base):
    kind: str = "audio"
    view: str = Field(default="mfcc", description="feature that becomes the view 'fused'")


class Single:
    """View [n_tracks, dim] -> `fused` [n_tracks, columns that vary]."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self._zscore = ZScore(params.view)

    @property
    def required(self) -> tuple[str, ...]:
        """The view: tracks without it would all be the same point."""
        return (self.params.view,)

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.params.view,)

    @property
    def notes(self) -> list[str]:
        return self._zscore.notes

    def fit(self, views: Views, masks: Masks) -> None:
        x, present = flat(views, masks, self.params.view)
        self._zscore.fit(x, present)
        need_variation(self._zscore.dim, self.params.view, int(present.sum()))

    def transform(self, views: Views, masks: Masks) -> tuple[Views, Masks]:
        x, present = flat(views, masks, self.params.view)
        return {"fused": self._zscore.transform(x, present)}, {"fused": np.array(present)}

    def state(self) -> dict[str, Array]:
        return self._zscore.state()

    def load_state(self, state: dict[str, Array]) -> None:
        check_names(state, set(self._zscore.state()))
        self._zscore.load_state(state)
