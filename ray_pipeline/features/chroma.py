"""Chroma as `librosa.feature.chroma_stft` has it, the estimate of the tuning included, in numpy.

Ellis, "Chroma feature analysis and synthesis", 2007. librosa looks for the tuning in all of the spectrogram, though no pitch
outside of 150–4000 Hz counts; only those bins are looked at here, for the same result in a sixth of the time.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

N_CHROMA = 12
LOWEST, HIGHEST = 150.0, 4000.0  # Hz, of the pitches that tell the tuning
PEAK = 0.1  # of a frame's loudest bin, at least
CENTRE_OCTAVE, OCTAVE_WIDTH = 5.0, 2.0  # how much each octave counts: a Gaussian

Float = NDArray[np.float32]


def tuning(power: Float, sample_rate: int) -> float:
    """How far the music is off A4 = 440 Hz, in semitones [-0.5, 0.5), to 0.01; `power` [n_frames, n_bins].

    The commonest deviation of the spectral peaks that are at least as loud as their median (`librosa.estimate_tuning`).
    """
    pitches, magnitudes = peaks(power, sample_rate, LOWEST, HIGHEST, PEAK)
    if not pitches.size:
        return 0.0
    loud = pitches[magnitudes >= np.median(magnitudes)]
    residual = np.mod(N_CHROMA * octaves(loud), 1.0)
    residual[residual >= 0.5] -= 1.0
    counts, edges = np.histogram(residual, np.linspace(-0.5, 0.5, 101))
    return float(edges[np.argmax(counts)])


@lru_cache(maxsize=128)
def filters(sample_rate: int, n_fft: int, tuning: float) -> Float:
    """Filterbank [1 + n_fft // 2, 12] (`librosa.filters.chroma`); there are a hundred tunings, so it is seldom made anew."""
    frequencies = np.linspace(0, sample_rate, n_fft, endpoint=False)[1:]
    pitch = N_CHROMA * octaves(frequencies, tuning)
    # 0 Hz is put one and a half octaves below the first bin.
    pitch = np.concatenate([[pitch[0] - 1.5 * N_CHROMA], pitch])
    width = np.append(np.maximum(np.diff(pitch), 1.0), 1.0)
    off = pitch[:, None] - np.arange(N_CHROMA)
    off = np.remainder(off + N_CHROMA / 2, N_CHROMA) - N_CHROMA / 2
    weights = np.exp(-0.5 * (2 * off / width[:, None]) ** 2)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    weights *= np.exp(-0.5 * ((pitch / N_CHROMA - CENTRE_OCTAVE) / OCTAVE_WIDTH) ** 2)[:, None]
    from_c = np.roll(weights, -3, axis=1)
    return np.ascontiguousarray(from_c[: 1 + n_fft // 2], np.float32)


def octaves(frequencies: NDArray, tuning: float = 0.0) -> NDArray[np.float64]:
    """Octaves above A0, where A4 is 440 Hz raised by `tuning` semitones."""
    return np.log2(frequencies / (440.0 * 2.0 ** (tuning / N_CHROMA) / 16))


def peaks(power: Float, sample_rate: int, lowest: float, highest: float, floor: float) -> tuple[Float, Float]:
    """Frequency in Hz and power of the spectral peaks from `lowest` to `highest` Hz, both refined by a parabola.

    `power` [n_frames, n_bins]; a peak has at least `floor` of its frame's loudest bin (`librosa.piptrack`).
    """
    n_fft = 2 * (power.shape[1] - 1)
    low, high = np.searchsorted(np.fft.rfftfreq(n_fft, 1 / sample_rate), [lowest, min(highest, sample_rate / 2)])
    low = max(low, 1)
    here, below, above = power[:, low:high], power[:, low - 1 : high - 1], power[:, low + 1 : high + 1]
    loudest = power.max(axis=1, keepdims=True)
    frame, at = np.nonzero((here > np.float32(floor) * loudest) & (here > below) & (here >= above))
    top, left, right = here[frame, at], below[frame, at], above[frame, at]
    slope, curve = (right - left) / 2, right + left - 2 * top
    shift = np.where(np.abs(slope) < np.abs(curve), -slope / np.where(curve == 0, 1, curve), 0).astype(np.float32)
    pitches = (at + low + shift) * sample_rate / n_fft
    return pitches.astype(np.float32), (top + np.float32(0.5) * slope * shift).astype(np.float32)
