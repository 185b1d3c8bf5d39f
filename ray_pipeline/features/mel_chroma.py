"""What sounds how loud: means of 128 mel bands and of 12 pitch classes, the study's other 140 numbers (3.1)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ray_pipeline import shelf
from ray_pipeline.features.base import Feature
from ray_pipeline.features.chroma import N_CHROMA
from ray_pipeline.features.spectra import N_MELS, Spectra


class Params(shelf.Params):
    """No settings: the study fixes them."""


class MelChroma(Feature):
    shape: ClassVar[tuple[int, ...]] = (N_MELS + N_CHROMA,)

    def __call__(self, spectra: Spectra) -> NDArray[np.float32]:
        """[140]: mean over frames of 128 mel bands in dB, lowest first, then of 12 pitch classes (0–1), C first."""
        means = [spectra.mel_db.mean(axis=0, dtype=np.float64), spectra.chroma.mean(axis=0, dtype=np.float64)]
        return np.concatenate(means).astype(np.float32)
