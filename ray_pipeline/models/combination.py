"""Latents of several models → one matrix: side by side, their weighted mean, or principal components (section 5.3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.errors import TrainingError
from ray_pipeline.models.contract import State, check_state

Combine = Literal["concat", "weighted", "pca", "with_genre"]
Blocks = Mapping[str, NDArray[np.float32]]
"""Name → float32 [n_tracks, dim of the block]."""

_FLOAT32 = np.dtype(np.float32)
_COMPONENTS = "combination.components"


class Combination:
    """Each block is centred and scaled to a total variance of 1, so that all count alike, then combined.

    The scale is one number a block: dimension by dimension, those that a model left unused would be blown up to the size of
    the others. `weighted` adds up dimensions of models that have nothing to do with each other, as the study does.
    """

    def __init__(self, how: Combine, weights: Mapping[str, float], n_components: int) -> None:
        self.how = how
        self._weights = dict(weights)
        self._n_components = n_components
        self._means: dict[str, NDArray[np.float32]] = {}
        self._scales: dict[str, NDArray[np.float32]] = {}
        self._components: NDArray[np.float32] | None = None

    def fit(self, blocks: Blocks) -> None:
        """Learn means, scales and components.

        Raises
        ------
        TrainingError
            Blocks of different widths cannot be averaged, or nothing varies in any of them.
        """
        widths = {name: x.shape[1] for name, x in blocks.items()}
        if self.how == "weighted" and len(set(widths.values())) > 1:
            raise TrainingError(
                f"latents of different dimensions cannot be averaged: {widths}", hint="set combine: concat"
            )
        for name, x in blocks.items():
            wide = x.astype(np.float64)
            self._means[name] = wide.mean(axis=0).astype(np.float32)
            self._scales[name] = np.array([np.sqrt(wide.var(axis=0).sum())], np.float32)
        if not any(scale[0] > 0 for scale in self._scales.values()):
            raise TrainingError("nothing varies in the latents of any member, so there is nothing to combine")
        if self.how == "pca":
            self._components = _principal(np.concatenate(self._standardised(blocks), axis=1), self._n_components)

    def transform(self, blocks: Blocks) -> NDArray[np.float32]:
        """float32 [n_tracks, dim]."""
        parts = self._standardised(blocks)
        if self.how == "weighted":
            weights = [self._weights.get(name, 1.0) for name in self._means]
            total = sum(part * weight for part, weight in zip(parts, weights, strict=True))
            return np.asarray(total / sum(weights), np.float32)
        x = np.concatenate(parts, axis=1)
        if self._components is None:
            return x
        # In double, so that a track's numbers do not depend on how many others stand beside it in the product.
        return (x.astype(np.float64) @ self._components.T.astype(np.float64)).astype(np.float32)

    def state(self) -> State:
        found = {_key(name, "mean"): mean for name, mean in self._means.items()}
        found |= {_key(name, "scale"): scale for name, scale in self._scales.items()}
        return found if self._components is None else {**found, _COMPONENTS: self._components}

    def load_state(self, state: State, widths: Mapping[str, int]) -> None:
        """Take over what a Combination of blocks of these `widths` learnt; TrainingError says what does not fit."""
        expected: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        for name, width in widths.items():
            expected |= {_key(name, "mean"): ((width,), _FLOAT32), _key(name, "scale"): ((1,), _FLOAT32)}
        if self.how == "pca":
            n_kept = min(len(state.get(_COMPONENTS, ())), self._n_components)
            expected[_COMPONENTS] = ((n_kept, sum(widths.values())), _FLOAT32)
        check_state(expected, state)
        self._means = {name: state[_key(name, "mean")] for name in widths}
        self._scales = {name: state[_key(name, "scale")] for name in widths}
        self._components = state.get(_COMPONENTS)

    def width(self, widths: Mapping[str, int]) -> int:
        """Dimensions of what it makes of blocks of these `widths`."""
        if self.how == "weighted":
            return next(iter(widths.values()))
        return sum(widths.values()) if self._components is None else len(self._components)

    def _standardised(self, blocks: Blocks) -> list[NDArray[np.float32]]:
        scales = {name: scale if scale[0] > 0 else np.ones_like(scale) for name, scale in self._scales.items()}
        return [(blocks[name] - mean) / scales[name] for name, mean in self._means.items()]


def _key(block: str, what: str) -> str:
    return f"combination.{block}.{what}"


def _principal(x: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """Principal components [k, dim] of centred `x` [n_tracks, dim], highest variance first; none without any."""
    variance, axes = np.linalg.eigh(x.T.astype(np.float64) @ x.astype(np.float64))
    kept = np.flatnonzero(variance > np.finfo(np.float32).eps * variance[-1])[::-1][: min(most, len(x) - 1)]
    found = axes[:, kept].T
    largest = np.take_along_axis(found, np.abs(found).argmax(axis=1)[:, None], axis=1)
    return (found * np.sign(largest)).astype(np.float32, order="C")
