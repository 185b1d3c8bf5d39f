"""A file's bytes → `Clip` | `BadAudio`: looked at, probed, capped, decoded, validated.

Nothing here raises on account of a file: whatever is wrong with it comes back as a `BadAudio` with a status. Content decides
the format, never the name. At most ``max_seconds`` are decoded, block by block, so that a six-hour mix costs no more than a
song. Decoding is libsndfile's (through soundfile), resampling soxr's "HQ", which is also librosa's default.
"""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.config import Audio
from ray_pipeline.schemas import Status

if TYPE_CHECKING:
    import soundfile

MIN_RATE, MAX_RATE = 2000, 768_000  # Hz
MAX_CHANNELS = 32
MAX_PEAK = 100.0  # full scale is 1; loud float masters reach 4
SILENT_DB = -80.0  # dB below full scale, without the DC part
MIN_BYTES_PER_SECOND = 16  # silence in FLAC takes 140
LONG_S = 60.0  # position "auto" decodes the middle of what is longer
_BLOCK = 65_536  # frames


@dataclass(frozen=True)
class BadAudio:
    """Why a file is of no use."""

    status: Status
    error: str


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


def look(path: str) -> os.stat_result | BadAudio:
    """What the file system says of `path`, following links; nothing is opened."""
    try:
        found = os.stat(path)  # noqa: PTH116 — a path of undecodable bytes is no trouble here
    except FileNotFoundError:
        broken = os.path.islink(path)  # noqa: PTH114
        return BadAudio(*((Status.UNREADABLE, "a broken link") if broken else (Status.MISSING, "the file is gone")))
    except (OSError, ValueError) as error:
        return BadAudio(Status.UNREADABLE, _reason(error))
    if not stat.S_ISREG(found.st_mode):
        return BadAudio(Status.NOT_REGULAR, "not a regular file")
    if found.st_size == 0:
        return BadAudio(Status.EMPTY, "0 bytes")
    return found


def probe(path: str) -> Header | BadAudio:
    """What the header says, checked for sense before anything is decoded."""
    opened = _open(path)
    if isinstance(opened, BadAudio):
        return opened
    with opened:
        return _header(opened, path)


def decode(path: str, audio: Audio, *, start_s: float | None = None, seconds: float | None = None) -> Clip | BadAudio:
    """At most `seconds` (default ``audio.max_seconds``) from `start_s` (default: as ``audio.position`` says)."""
    import soundfile

    opened = _open(path)
    if isinstance(opened, BadAudio):
        return opened
    with opened:
        header = _header(opened, path)
        if isinstance(header, BadAudio):
            return header
        first, want = _window(header, audio, start_s, seconds)
        try:
            if first:
                opened.seek(first)
            samples, failure = _read_mono(opened, want)
        except soundfile.LibsndfileError as error:
            samples, failure = np.zeros(0, np.float32), str(error)
    promised = min(want, header.frames - first) if header.frames else len(samples)
    return _validated(samples, promised, failure, header, audio)


def window_start(header: Header, audio: Audio) -> float:
    """Where decoding starts in s, as ``audio.position`` says."""
    length = header.duration_s
    latest = max(0.0, length - audio.max_seconds)
    if audio.position == "start" or (audio.position == "auto" and length <= LONG_S):
        return 0.0
    if audio.position in {"middle", "auto"}:
        return latest / 2
    return min(float(audio.position), latest)


def _window(header: Header, audio: Audio, start_s: float | None, seconds: float | None) -> tuple[int, int]:
    start = window_start(header, audio) if start_s is None else start_s
    length = audio.max_seconds if seconds is None else min(seconds, audio.max_seconds)
    return int(start * header.sample_rate), int(length * header.sample_rate)


def _open(path: str) -> soundfile.SoundFile | BadAudio:
    import soundfile

    seen = look(path)
    if isinstance(seen, BadAudio):
        return seen
    try:
        # By descriptor, so that no file name can decide the format; O_NONBLOCK, so that no FIFO put here since can hang.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        return BadAudio(Status.UNREADABLE, _reason(error))
    try:
        return soundfile.SoundFile(fd, closefd=True)
    except (soundfile.LibsndfileError, TypeError, ValueError, OSError):
        magic = os.pread(fd, 16, 0)
        os.close(fd)
        return _unopenable(magic)


def _unopenable(magic: bytes) -> BadAudio:
    if magic.startswith(b"fLaC"):
        return BadAudio(Status.CORRUPT, "a FLAC file that cannot be opened")
    if magic.startswith(b"RIFF") and magic[8:12] == b"WAVE":
        return BadAudio(Status.BAD_HEADER, "a WAV header that makes no sense")
    return BadAudio(Status.UNSUPPORTED, "not audio that can be decoded here")


def _header(file: soundfile.SoundFile, path: str) -> Header | BadAudio:
    rate, channels, frames = int(file.samplerate), int(file.channels), int(file.frames)
    if not MIN_RATE <= rate <= MAX_RATE:
        return BadAudio(Status.BAD_HEADER, f"a sample rate of {rate} Hz")
    if channels > MAX_CHANNELS:
        return BadAudio(Status.BAD_HEADER, f"{channels} channels")
    size = os.stat(path).st_size  # noqa: PTH116
    if frames >= 2**62 or frames < 0:
        frames = 0  # a stream that does not know its length
    if frames / rate > size / MIN_BYTES_PER_SECOND:
        return BadAudio(Status.BAD_HEADER, f"promises {frames / rate:.0f} s in {size} bytes")
    promised = _promised_wav_frames(path, size, rate) if file.format in {"WAV", "WAVEX"} else 0
    if promised > 10 * max(frames, 1):
        return BadAudio(Status.BAD_HEADER, f"promises {promised} frames and holds {frames}")
    if frames == 0 and file.format in {"WAV", "WAVEX"}:
        return BadAudio(Status.TOO_SHORT, "0 s")
    return Header(f"{file.format}/{file.subtype}".lower(), rate, channels, max(frames, promised))


def _promised_wav_frames(path: str, size: int, rate: int) -> int:
    """Frames that a WAV's data chunk claims; libsndfile quietly believes the file size instead."""
    with open(path, "rb") as file:  # noqa: PTH123
        head = file.read(65_536)
    fmt, data = head.find(b"fmt "), head.find(b"data")
    if fmt < 0 or data < 0 or len(head) < max(fmt + 24, data + 8):
        return 0
    (align,) = struct.unpack_from("<H", head, fmt + 20)
    (claimed,) = struct.unpack_from("<I", head, data + 4)
    # Streams that cannot know their length write the largest size there is.
    if not align or claimed >= 0x7FFF0000 or claimed <= size - data - 8:
        return 0
    return int(claimed // align)


def _read_mono(file: soundfile.SoundFile, want: int) -> tuple[NDArray[np.float32], str]:
    """Up to `want` frames, channels averaged; and what stopped the decoder, if anything did."""
    import soundfile

    block = np.empty((min(_BLOCK, max(want, 1)), file.channels), np.float32)
    parts: list[NDArray[np.float32]] = []
    left = want
    while left > 0:
        try:
            got = file.read(min(left, len(block)), dtype="float32", always_2d=True, out=block[: min(left, len(block))])
        except soundfile.LibsndfileError as error:
            return _joined(parts), str(error)
        if not len(got):
            break
        parts.append(got[:, 0].copy() if file.channels == 1 else got.mean(axis=1, dtype=np.float32))
        left -= len(got)
    return _joined(parts), ""


def _joined(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _validated(
    samples: NDArray[np.float32], promised: int, failure: str, header: Header, audio: Audio
) -> Clip | BadAudio:
    ratio = len(samples) / promised if promised else 1.0
    if header.codec.startswith("flac") and (failure or ratio < 1.0):
        return BadAudio(Status.CORRUPT, f"the FLAC stream breaks off or is damaged after {ratio:.0%}")
    if ratio < audio.min_decoded_ratio or (failure and not len(samples)):
        return BadAudio(Status.TRUNCATED, f"{ratio:.0%} of what its header promises could be decoded")
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


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
