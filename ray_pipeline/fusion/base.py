"""The fusion contract: views in, views out, with what was fitted kept as arrays."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Views = dict[str, NDArray[np.float32]]
"""View name → float32 [n_tracks, …]."""

Masks = dict[str, NDArray[np.bool_]]
"""View name → bool [n_tracks], or bool [n_tracks, dim] where parts of a row are missing. True = present."""


class Fusion(Protocol):
    """Fitted on training tracks, applied to any; `state` and `load_state` move it to and from safetensors."""

    def fit(self, views: Views, masks: Masks) -> None: ...

    def transform(self, views: Views, masks: Masks) -> tuple[Views, Masks]: ...

    def state(self) -> dict[str, NDArray[np.float32]]: ...

    def load_state(self, state: dict[str, NDArray[np.float32]]) -> None: ...
