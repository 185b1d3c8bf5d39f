"""Files in formats that soundfile cannot write, made with PyAV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def encode(
    path: Path, samples: NDArray[np.float32], rate: int, codec: str, *, options: dict[str, str] | None = None
) -> Path:
    """Write `samples` [n] or [n, 2] at `rate` Hz with FFmpeg's `codec`; the container is the one that the ending names."""
    import av

    channels = np.atleast_2d(samples.T)
    layout = "mono" if len(channels) == 1 else "stereo"
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=48_000 if codec == "libopus" else rate, layout=layout)
        stream.bit_rate = 96_000
        context = stream.codec_context
        resampler = av.AudioResampler(context.format, layout, context.sample_rate)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        for one in (*resampler.resample(frame), *resampler.resample(None), None):
            container.mux(stream.encode(one))
    return path


def staircase(seconds: int, rate: int) -> NDArray[np.float32]:
    """A tone that rises by 20 Hz every second from 300 Hz, so that what is heard tells when: float32 [seconds · rate]."""
    hz = np.repeat(300.0 + 20.0 * np.arange(seconds), rate)
    noise = np.random.default_rng(0).normal(0, 0.01, len(hz))
    return (0.3 * np.sin(2 * np.pi * np.cumsum(hz) / rate) + noise).astype(np.float32)


def second_heard(samples: NDArray[np.float32], rate: int) -> float:
    """Which second of `staircase` a second of `samples` is."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float((np.argmax(spectrum) * rate / len(samples) - 300.0) / 20.0)


def late(samples: NDArray[np.float32], of: NDArray[np.float32]) -> int:
    """By how many frames `samples` come later than in `of`."""
    n = len(samples) + len(of)
    product = np.fft.irfft(np.fft.rfft(samples, n) * np.conj(np.fft.rfft(of, n)), n)
    at = int(np.argmax(product))
    return at if at < n / 2 else at - n
