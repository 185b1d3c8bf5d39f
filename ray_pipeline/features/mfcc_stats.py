"""Seven statistics of each of 20 MFCCs over frames: the study's 140 numbers, and the set FMA publishes.

Defferrard et al., "FMA: A Dataset for Music Analysis", ISMIR 2017, compute these at each file's native rate, as the feature
`fma_mfcc` does; this one does at ``audio.sample_rate``, so the two are not interchangeable, and no fusion may take both.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ray_pipeline import shelf
from ray_pipeline.features.base import Feature
from ray_pipeline.features.spectra import N_MFCC, Spectra

STATISTICS = ("mean", "std", "skew", "kurtosis", "median", "min", "max")


class Params(shelf.Params):
    """No settings: the study fixes them."""


class MfccStats(Feature):
    version: ClassVar[int] = 1
    shape: ClassVar[tuple[int, ...]] = (len(STATISTICS) * N_MFCC,)

    def __call__(self, spectra: Spectra) -> NDArray[np.float32]:
        """[140]: `STATISTICS` in their order, 20 coefficients each; skew and excess kurtosis as scipy.stats defines them."""
        x = spectra.mfcc.astype(np.float64)
        mean, std = x.mean(axis=0), x.std(axis=0)
        # A coefficient that never changes has no shape: 0, not 0 / 0.
        unit = (x - mean) / np.where(std > 1e-9, std, np.inf)
        skew = (unit**3).mean(axis=0)
        kurtosis = np.where(std > 1e-9, (unit**4).mean(axis=0) - 3.0, 0.0)
        rows = [mean, std, skew, kurtosis, np.median(x, axis=0), x.min(axis=0), x.max(axis=0)]
        return np.concatenate(rows).astype(np.float32)
