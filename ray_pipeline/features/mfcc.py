"""20 MFCCs, each averaged over the clip: the study's audio features (3.1)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ray_pipeline import shelf
from ray_pipeline.features.base import Feature
from ray_pipeline.features.spectra import N_MFCC, Spectra


class Params(shelf.Params):
    """No settings: the study fixes them."""


class Mfcc(Feature):
    version: ClassVar[int] = 1
    shape: ClassVar[tuple[int, ...]] = (N_MFCC,)

    def __call__(self, spectra: Spectra) -> NDArray[np.float32]:
        """Mean of each coefficient over frames: [20]."""
        return spectra.mfcc.mean(axis=0, dtype=np.float64).astype(np.float32)
