"""Baseline: no model; the latents are the fused matrix itself, the study's "k-means on the features"."""

from __future__ import annotations

import numpy as np

from ray_pipeline.models.contract import Latents, Masks, Model, Shapes, State, Views, check_state, joined
from ray_pipeline.shelf import Params as Base


class Params(Base):
    kind: str = "raw"


class Raw:
    """mu = all views side by side, missing values 0."""

    n_parameters = 0

    def __init__(self, params: Params, shapes: Shapes) -> None:
        self.params = params
        self.shapes = dict(shapes)

    def fit(self, views: Views, masks: Masks) -> None:
        """Nothing to learn; checks that the views are those it was built for."""
        joined(views, masks, self.shapes)

    def encode(self, views: Views, masks: Masks) -> Latents:
        mu, _ = joined(views, masks, self.shapes)
        return Latents(mu, None, np.zeros(len(mu), np.float32), None)

    def state(self) -> State:
        return {}

    def load_state(self, state: State) -> None:
        check_state({}, state)


def build(params: Params, shapes: Shapes, seed: int) -> Model:
    """The identity for tracks of `shapes`."""
    return Raw(params, shapes)
