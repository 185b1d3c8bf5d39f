"""What training and experiments know of any model, a VAE or a baseline; no torch in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.errors import TrainingError
from ray_pipeline.shelf import Params

Shapes = dict[str, tuple[int, ...]]
"""View name -> shape of one track's array."""

Views = dict[str, NDArray]
Masks = dict[str, NDArray[np.bool_]]
State = dict[str, NDArray]


@dataclass(frozen=True)
class Latents:
    """What a model knows of each track.

    mu: float32 [n_tracks, latent_dim]; logvar: the same shape, None where a model has no posterior;
    recon_error: float32 [n_tracks], sum of squared errors over the values present;
    kl_per_dim: float32 [latent_dim], nats, mean over tracks, None where there is no posterior.
    """

    mu: NDArray[np.float32]
    logvar: NDArray[np.float32] | None
    recon_error: NDArray[np.float32]
    kl_per_dim: NDArray[np.float32] | None


class Model(Protocol):
    """A mask is bool [n_tracks] or bool of the view's own shape, True = present; no mask = all present."""

    @property
    def params(self) -> Params: ...

    @property
    def shapes(self) -> Shapes: ...

    @property
    def n_parameters(self) -> int: ...

    def encode(self, views: Views, masks: Masks) -> Latents: ...

    def state(self) -> State: ...

    def load_state(self, state: State) -> None: ...


@runtime_checkable
class ClosedForm(Protocol):
    """A model that is fitted at once, without epochs."""

    def fit(self, views: Views, masks: Masks) -> None: ...


def joined(views: Views, masks: Masks, shapes: Shapes) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """All views side by side in order of name, float32 [n_tracks, dim], missing values 0; and bool [n_tracks, dim]."""
    rows, seen = [], []
    for name in sorted(shapes):
        check_view(views, name, shapes[name])
        x = views[name]
        mask = masks.get(name, np.ones(len(x), np.bool_))
        present = np.broadcast_to(mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)), x.shape)
        rows.append(np.where(present, x, 0).reshape(len(x), -1).astype(np.float32))
        seen.append(present.reshape(len(x), -1))
    return np.concatenate(rows, axis=1), np.concatenate(seen, axis=1)


def check_view(views: Views, name: str, shape: tuple[int, ...]) -> None:
    """Raise TrainingError where the view is absent or not of the shape the model was built for."""
    if name not in views:
        raise TrainingError(f"the model needs view '{name}'; given: {', '.join(sorted(views)) or 'none'}")
    if tuple(views[name].shape[1:]) != tuple(shape):
        raise TrainingError(
            f"view '{name}' is {list(views[name].shape[1:])} a track, the model was built for {list(shape)}"
        )


def check_state(expected: dict[str, tuple[tuple[int, ...], np.dtype]], state: State) -> None:
    """Compare saved tensors with the model's own, name -> (shape, dtype).

    Raises
    ------
    TrainingError
        Names the first tensor that is missing, unexpected, of the wrong shape or dtype, or not finite.
    """
    for name in sorted(set(expected) - set(state)):
        raise TrainingError(f"model tensor '{name}' is missing")
    for name in sorted(set(state) - set(expected)):
        raise TrainingError(f"model tensor '{name}' is unexpected")
    for name, (shape, dtype) in expected.items():
        found = state[name]
        if found.shape != shape or found.dtype != dtype:
            raise TrainingError(f"model tensor '{name}' is {found.dtype}{list(found.shape)}, not {dtype}{list(shape)}")
        if not np.isfinite(found).all():
            raise TrainingError(f"model tensor '{name}' holds NaN or infinity")
