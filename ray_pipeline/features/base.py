"""The feature contract."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.features.spectra import Spectra


class Feature(Protocol):
    """`version` goes up when the numbers change; then only this feature is computed again."""

    version: ClassVar[int]
    shape: ClassVar[tuple[int, ...]]

    def __call__(self, spectra: Spectra) -> NDArray[np.float32]:
        """float32 of `shape`, finite for any valid clip."""
        ...
