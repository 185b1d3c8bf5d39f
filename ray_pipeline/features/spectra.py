"""What several features need of one clip, each computed once: power, mel bands in dB, MFCCs, chroma.

The numbers are librosa's at its defaults (`librosa.feature.mfcc`, `melspectrogram`, `chroma_stft`, to 1e-4), with its own mel
filterbank; the rest is written out in numpy because librosa's compiles for half a minute on a machine that never ran it.
"""

from __future__ import annotations

import warnings
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.features import chroma

N_FFT = 2048
HOP_LENGTH = 512
N_MELS = 128
N_MFCC = 20
TOP_DB = 80.0
AMIN = 1e-10
_CHUNK = 64  # frames at a time, so that they stay in the processor's cache

Float = NDArray[np.float32]


class Spectra:
    """Short-time spectra of `samples` float32 [n] at `sample_rate` Hz; n_frames = 1 + n // HOP_LENGTH."""

    def __init__(self, samples: Float, sample_rate: int) -> None:
        self.samples = samples
        self.sample_rate = sample_rate

    @cached_property
    def power(self) -> Float:
        """Power spectrogram [n_frames, 1 + N_FFT // 2], Hann window, centred frames."""
        from scipy.fft import rfft

        padded = np.pad(self.samples, N_FFT // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH]
        power = np.empty((len(frames), 1 + N_FFT // 2), np.float32)
        for start in range(0, len(frames), _CHUNK):
            spectrum = rfft(frames[start : start + _CHUNK] * _hann(), axis=1)
            power[start : start + _CHUNK] = spectrum.real**2 + spectrum.imag**2
        return power

    @cached_property
    def mel_db(self) -> Float:
        """Mel bands in dB [n_frames, N_MELS] (0 dB: a power of 1), no lower than TOP_DB below the loudest."""
        mel = self.power @ mel_filters(self.sample_rate)
        db = 10.0 * np.log10(np.maximum(mel, AMIN))
        return np.asarray(np.maximum(db, db.max() - TOP_DB), np.float32)

    @cached_property
    def mfcc(self) -> Float:
        """MFCCs [n_frames, N_MFCC]: the orthonormal DCT-II of `mel_db`."""
        from scipy.fft import dct

        return np.asarray(dct(self.mel_db, type=2, norm="ortho", axis=1)[:, :N_MFCC], np.float32)

    @cached_property
    def tuning(self) -> float:
        """How far the music is off A4 = 440 Hz, in semitones [-0.5, 0.5)."""
        return chroma.tuning(self.power, self.sample_rate)

    @cached_property
    def chroma(self) -> Float:
        """Pitch classes [n_frames, 12], C first, the strongest of each frame 1; 0 throughout in a silent frame."""
        raw = self.power @ chroma.filters(self.sample_rate, N_FFT, self.tuning)
        loudest = raw.max(axis=1, keepdims=True)
        return np.asarray(raw / np.where(loudest < np.finfo(np.float32).tiny, 1, loudest), np.float32)


@lru_cache(maxsize=8)
def mel_filters(sample_rate: int) -> Float:
    """Slaney-style mel filterbank [1 + N_FFT // 2, N_MELS] of librosa."""
    import librosa.filters

    with warnings.catch_warnings():
        # At very high rates the lowest bands hold no bin; they are then at their floor, as librosa has them.
        warnings.simplefilter("ignore", UserWarning)
        filters = librosa.filters.mel(sr=sample_rate, n_fft=N_FFT, n_mels=N_MELS)
    return np.ascontiguousarray(filters.T, np.float32)


@lru_cache(maxsize=1)
def _hann() -> Float:
    from scipy.signal import get_window

    return np.asarray(get_window("hann", N_FFT, fftbins=True), np.float32)
