"""Tempo from how suddenly the spectrum rises, and how regularly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SLOWEST, FASTEST = 40.0, 240.0  # beats a minute
USUAL = 120.0  # beats a minute; an octave from it is a standard deviation of what is expected (as in librosa)
N_BEATS = 4  # periods over which a tempo must hold
UNKNOWN = 0.0


def onset_strength(mel_db: NDArray[np.float32]) -> NDArray[np.float64]:
    """How much louder the bands have become since the frame before, averaged: [n_frames], as `librosa.onset` has it."""
    rise = np.maximum(np.diff(mel_db, axis=0, prepend=mel_db[:1]), 0)
    return rise.mean(axis=1, dtype=np.float64)


def tempo(onsets: NDArray[np.float64], frames_per_s: float) -> float:
    """Beats a minute, `UNKNOWN` where nothing recurs; half or double of what a listener taps is a common error.

    The onsets' autocorrelation, read at one to four beat periods of every tempo, times a log-normal preference for 120
    (Ellis, "Beat tracking by dynamic programming", 2007).
    """
    n = len(onsets)
    centred = onsets - onsets.mean()
    spectrum = np.fft.rfft(centred, 2 * n)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[:n]
    if correlation[0] <= 0:
        return UNKNOWN
    candidates = np.geomspace(SLOWEST, FASTEST, 1000)
    periods = 60.0 * frames_per_s / candidates
    lags = periods[:, None] * np.arange(1, N_BEATS + 1)
    # Long lags have fewer products to add up; what lies past half of the clip says little.
    unbiased = correlation / correlation[0] * n / (n - np.arange(n))
    heard = np.where(lags < n / 2, np.interp(lags, np.arange(n), unbiased), 0.0).mean(axis=1)
    preference = np.exp(-0.5 * np.log2(candidates / USUAL) ** 2)
    score = np.maximum(heard, 0) * preference
    best = int(np.argmax(score))
    return float(candidates[best]) if score[best] > 0 else UNKNOWN
