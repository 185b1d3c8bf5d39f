"""Key by the Krumhansl-Schmuckler algorithm (Krumhansl, "Cognitive Foundations of Musical Pitch", 1990)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.features.chroma import N_CHROMA, octaves, peaks

KEYS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
MINOR, MAJOR = 0, 1

LOWEST, HIGHEST = 50.0, 1000.0  # Hz: above are mostly overtones, whose pitches are not those that are played
FLOOR = 0.01  # of a frame's loudest bin

# How well each pitch class fits a key, from the tonic up, as listeners rated it (Krumhansl and Kessler, 1982).
PROFILES = {
    MAJOR: (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    MINOR: (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}


def pitch_classes(power: NDArray[np.float32], sample_rate: int, tuning: float) -> NDArray[np.float64]:
    """How much of each pitch class there is, [12], C first: the amplitudes of the spectral peaks of `power` [n_frames, n_bins].

    Peaks rather than all bins (Gómez, "Tonal description of music audio signals", 2006): chroma takes the overtones for notes,
    and hears the third of a major chord as the tonic of a minor one.
    """
    pitches, heights = peaks(power, sample_rate, LOWEST, HIGHEST, FLOOR)
    semitones_above_a = np.round(N_CHROMA * octaves(pitches, tuning)).astype(int)
    classes = (semitones_above_a + KEYS.index("A")) % N_CHROMA
    return np.bincount(classes, np.sqrt(heights), N_CHROMA).astype(np.float64)


def key(classes: NDArray[np.float64]) -> tuple[int, int]:
    """Tonic (0–11, 0 = C) and mode (`MINOR` or `MAJOR`) whose profile goes best with `classes` [12], C first."""
    centred = classes - classes.mean()
    fits = {}
    for mode, profile in PROFILES.items():
        ideal = np.array(profile) - np.mean(profile)
        for tonic in range(N_CHROMA):
            # Every rotation has the same length, so the product orders them as the correlation does.
            fits[tonic, mode] = float(centred @ np.roll(ideal, tonic) / np.linalg.norm(ideal))
    return max(fits, key=lambda one: fits[one])
