"""Brightness: where the middle of the spectrum lies, which listeners hear as bright or dull.

Grey and Gordon, "Perceptual effects of spectral modifications on musical timbres", 1978.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ray_pipeline import shelf
from ray_pipeline.features.base import Feature
from ray_pipeline.features.spectra import N_FFT, Spectra

SILENT = 0.0  # Hz, of a clip without a sound


class Params(shelf.Params):
    """No settings."""


class Brightness(Feature):
    """For tables, and to hold latents against: a number that a listener can name."""

    shape: ClassVar[tuple[int, ...]] = (1,)

    def __call__(self, spectra: Spectra) -> NDArray[np.float32]:
        """[1]: spectral centroid in Hz (`librosa.feature.spectral_centroid`), the mean over frames that hold a sound."""
        magnitude = np.sqrt(spectra.power)
        total = magnitude.sum(axis=1, dtype=np.float64)
        frequencies = np.arange(magnitude.shape[1]) * (spectra.sample_rate / N_FFT)
        sounding = total > 0
        if not sounding.any():
            return np.array([SILENT], np.float32)
        centroids = (magnitude[sounding] @ frequencies.astype(np.float32)) / total[sounding]
        return np.array([centroids.mean()], np.float32)
