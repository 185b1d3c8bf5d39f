"""What a file says of itself, what became of it, and the bounds that both are held to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.config import Audio
from ray_pipeline.schemas import Status

MIN_RATE, MAX_RATE = 2000, 768_000  # Hz
MAX_CHANNELS = 32
MAX_PEAK = 100.0  # full scale is 1; loud float masters reach 4
SILENT_DB = -80.0  # dB below full scale, without the DC part
MIN_BYTES_PER_SECOND = 16  # silence in FLAC takes 140


@dataclass(frozen=True)
class BadAudio:
    """Why a file is of no use; `decoded_ratio` where it was decoded in part."""

    status: Status
    error: str
    decoded_ratio: float | None = None


@dataclass(frozen=True)
class Sighting:
    """What tells one state of a file from another: its size in bytes, and when it was written."""

    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Header:
    """What a file says of itself; `frames` is 0 where it does not say how long it is."""

    codec: str
    sample_rate: int
    channels: int
    frames: int

    @property
    def duration_s(self) -> float:
        return self.frames / self.sample_rate


@dataclass(frozen=True)
class Clip:
    """Decoded audio: `samples` float32 [n], mono, at the file's own `sample_rate` in Hz."""

    samples: NDArray[np.float32]
    sample_rate: int
    decoded_ratio: float
    peak: float
    rms_db: float

    def at(self, sample_rate: int) -> NDArray[np.float32]:
        """The samples at `sample_rate` Hz: float32 [n · sample_rate / self.sample_rate]."""
        if sample_rate == self.sample_rate:
            return self.samples
        import soxr

        resampled: NDArray[np.float32] = soxr.resample(self.samples, self.sample_rate, sample_rate, quality="HQ")
        return resampled


class Sound(Protocol):
    """An open file. `slack`: by how many frames it may end before its header says, being whole."""

    @property
    def header(self) -> Header: ...

    @property
    def slack(self) -> int: ...

    def read_mono(self, first: int, want: int) -> tuple[NDArray[np.float32], bool]:
        """Up to `want` frames from frame `first`, channels averaged: float32 [n]; and whether the decoder gave up."""
        ...


def sensible(header: Header, size: int) -> Header | BadAudio:
    """`header`, if a file of `size` bytes can be what it says."""
    if not MIN_RATE <= header.sample_rate <= MAX_RATE:
        return BadAudio(Status.BAD_HEADER, f"a sample rate of {header.sample_rate} Hz")
    if not 1 <= header.channels <= MAX_CHANNELS:
        return BadAudio(Status.BAD_HEADER, f"{header.channels} channels")
    if header.duration_s > size / MIN_BYTES_PER_SECOND:
        return BadAudio(Status.BAD_HEADER, f"promises {header.duration_s:.0f} s in {size} bytes")
    return header


def validated(
    samples: NDArray[np.float32], promised: int, broken: bool, header: Header, audio: Audio
) -> Clip | BadAudio:
    """A `Clip` of `samples`, of which the header promised `promised`, if it is sound."""
    ratio = len(samples) / promised if promised else 1.0
    if header.codec.startswith("flac") and (broken or ratio < 1.0):
        return BadAudio(Status.CORRUPT, f"the FLAC stream breaks off or is damaged after {ratio:.0%}")
    if ratio < audio.min_decoded_ratio or (broken and not len(samples)):
        return BadAudio(Status.TRUNCATED, f"{ratio:.0%} of what its header promises could be decoded", ratio)
    seconds = len(samples) / header.sample_rate
    if seconds < audio.min_seconds:
        return BadAudio(Status.TOO_SHORT, f"{seconds:.3f} s; audio.min_seconds is {audio.min_seconds:g}")
    if not np.isfinite(samples).all():
        return BadAudio(Status.NON_FINITE, "NaN or infinite samples")
    peak = float(np.abs(samples).max())
    if peak > MAX_PEAK:
        return BadAudio(Status.OUT_OF_RANGE, f"a peak of {peak:.3g}; full scale is 1")
    rms_db = 20 * np.log10(max(float(np.std(samples, dtype=np.float64)), 1e-12))
    if rms_db < SILENT_DB:
        return BadAudio(Status.SILENT, f"{rms_db:.0f} dB, the mean taken off")
    return Clip(samples, header.sample_rate, min(ratio, 1.0), peak, rms_db)


def joined(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
