"""The feature contract."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.features.spectra import Spectra

Rate = Literal["common", "native"]


class Feature(Protocol):
    """Features inherit this, and say what differs from it.

    `version` goes up when the numbers change; then only this feature is computed again. `rate` is what the spectra are made at:
    ``audio.sample_rate``, the same for all files, or each file's own. All features of a rate share one `Spectra`.
    """

    version: ClassVar[int] = 1
    shape: ClassVar[tuple[int, ...]]
    dtype: ClassVar[type[np.floating[Any]]] = np.float32
    rate: ClassVar[Rate] = "common"

    def __call__(self, spectra: Spectra) -> NDArray[np.floating[Any]]:
        """An array of `shape` and `dtype`, finite for any valid clip."""
        ...
