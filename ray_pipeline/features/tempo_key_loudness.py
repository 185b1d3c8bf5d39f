"""What a musician or a DJ would say of a track first: how fast, in which key, how loud."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ray_pipeline import shelf
from ray_pipeline.features import loudness
from ray_pipeline.features.base import Feature
from ray_pipeline.features.key import key, pitch_classes
from ray_pipeline.features.rhythm import onset_strength, tempo
from ray_pipeline.features.spectra import HOP_LENGTH, Spectra


class Params(shelf.Params):
    """No settings."""


class TempoKeyLoudness(Feature):
    """For tables, playlists and reports. The key is a name in figures: B (11) is as near to C (0) as C# is, but no
    distance between columns knows that, so this is no view to cluster on.
    """

    shape: ClassVar[tuple[int, ...]] = (4,)

    def __call__(self, spectra: Spectra) -> NDArray[np.float32]:
        """[4]: tempo in beats a minute (40–240, 0 where nothing recurs); tonic, 0 = C … 11 = B; mode, 1 major, 0 minor;
        integrated loudness in LUFS of the mono mix, which reads up to 3 dB less than the stereo it was made from.
        """
        beats = tempo(onset_strength(spectra.mel_db), spectra.sample_rate / HOP_LENGTH)
        tonic, mode = key(pitch_classes(spectra.power, spectra.sample_rate, spectra.tuning))
        lufs = loudness.integrated(spectra.samples, spectra.sample_rate)
        return np.array([beats, tonic, mode, lufs], np.float32)
