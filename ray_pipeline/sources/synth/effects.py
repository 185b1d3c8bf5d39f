"""Effects on float32 buffers [n] or [n, channels]; times in seconds, levels linear unless they end in `_db`."""

from __future__ import annotations

import numpy as np
from scipy.fft import next_fast_len
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, fftconvolve, sosfilt


def reverb(dry: np.ndarray, seconds: float, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """`dry` [n] in a room: convolved with decaying noise that falls by 60 dB in `seconds`, as loud as `dry` is."""
    times = np.arange(int(seconds * sample_rate)) / sample_rate
    impulse = (rng.standard_normal(len(times)) * 10 ** (-3 * times / seconds)).astype(np.float32)
    impulse = sosfilt(butter(1, 4500, fs=sample_rate, output="sos"), impulse).astype(np.float32)
    impulse /= np.sqrt(np.sum(impulse**2))
    padded = next_fast_len(len(dry) + len(impulse), real=True) - len(impulse)
    return np.asarray(fftconvolve(np.pad(dry, (0, padded - len(dry))), impulse)[: len(dry)], dtype=np.float32)


def delay(dry: np.ndarray, seconds: float, feedback: float, sample_rate: int, repeats: int = 4) -> np.ndarray:
    """The echoes alone: `repeats` of them, each `feedback` times the one before."""
    wet = np.zeros_like(dry)
    step = int(seconds * sample_rate)
    for repeat in range(1, repeats + 1):
        start = repeat * step
        if start < len(dry):
            wet[start:] += np.float32(feedback**repeat) * dry[: len(dry) - start]
    return wet


def pump(n: int, starts: np.ndarray, depth: float, recovery: float, sample_rate: int) -> np.ndarray:
    """The gain [n] of a compressor keyed by the kick: down by `depth` at each of `starts`, back within `recovery` s."""
    gain = np.ones(n, dtype=np.float32)
    dip = 1 - depth * np.exp(-np.arange(int(4 * recovery * sample_rate)) / (recovery * sample_rate))
    for start in starts:
        piece = gain[start : start + len(dip)]
        np.minimum(piece, dip[: len(piece)], out=piece)
    return gain


def duck(key: np.ndarray, depth_db: float, sample_rate: int) -> np.ndarray:
    """The gain [n] that makes room for a voice: `depth_db` down while `key` sounds, with soft edges."""
    sounding = (uniform_filter1d(np.abs(key), int(0.15 * sample_rate)) > 0.02).astype(np.float32)
    edge = uniform_filter1d(sounding, int(0.2 * sample_rate))
    return np.asarray(1 - (1 - 10 ** (-depth_db / 20)) * edge, dtype=np.float32)


def tilt(samples: np.ndarray, brightness: float, sample_rate: int) -> np.ndarray:
    """Tone control about 1 kHz: what lies above is scaled by 1 + `brightness` (−1…1), what lies below is kept."""
    low = sosfilt(butter(1, 1000, fs=sample_rate, output="sos").astype(np.float32), samples, axis=0)
    return np.asarray(low + (1 + brightness) * (samples - low), dtype=np.float32)


def master(samples: np.ndarray, rms_db: float, ceiling: float) -> np.ndarray:
    """RMS brought to `rms_db` (dBFS), peaks rounded off below `ceiling` (0–1)."""
    target = 10 ** (rms_db / 20)
    for _ in range(3):  # rounding peaks costs some loudness, so come back to it
        samples = samples * np.float32(target / (np.sqrt(np.mean(samples**2)) + 1e-12))
        samples = np.float32(ceiling) * np.tanh(samples / np.float32(ceiling))
    return samples
