"""A file's bytes → `Clip` | `BadAudio`: looked at, probed, capped, decoded, validated.

Nothing here raises on account of a file: whatever is wrong with it comes back as a `BadAudio` with a status. Content decides
the format, never the name. At most ``max_seconds`` are decoded, block by block, so that a six-hour mix costs no more than a
song. Decoding is libsndfile's (through soundfile), resampling soxr's "HQ", which is also librosa's default.
"""

from __future__ import annotations

import os
import stat
import struct
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray

from ray_pipeline.config import Audio
from ray_pipeline.schemas import Status

# libsndfile guesses two dozen more, some by no more than a byte.
FORMATS = frozenset({"AIFF", "AU", "CAF", "FLAC", "MP3", "OGG", "RF64", "W64", "WAV", "WAVEX"})
MIN_RATE, MAX_RATE = 2000, 768_000  # Hz
MAX_CHANNELS = 32
MAX_PEAK = 100.0  # full scale is 1; loud float masters reach 4
SILENT_DB = -80.0  # dB below full scale, without the DC part
MIN_BYTES_PER_SECOND = 16  # silence in FLAC takes 140
LONG_S = 60.0  # position "auto" decodes the middle of what is longer
MAX_OVERSTATEMENT = 10  # times; what is cut short by more has a header that lies
_BLOCK = 65_536  # frames
_MAX_CHUNKS = 1000
_STREAMED = 0x7FFF0000


@dataclass(frozen=True)
class BadAudio:
    """Why a file is of no use; `decoded_ratio` where it was decoded in part."""

    status: Status
    error: str
    decoded_ratio: float | None = None


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
    with ExitStack() as stack:
        opened = _open(path, stack)
        return opened if isinstance(opened, BadAudio) else opened[1]


def decode(path: str, audio: Audio, *, start_s: float | None = None, seconds: float | None = None) -> Clip | BadAudio:
    """At most `seconds` (default ``audio.max_seconds``) from `start_s` (default: as ``audio.position`` says)."""
    with ExitStack() as stack:
        opened = _open(path, stack)
        if isinstance(opened, BadAudio):
            return opened
        sound, header = opened
        first, want = _window(header, audio, start_s, seconds)
        samples, broken = _read_mono(sound, first, want)
    promised = max(0, min(want, header.frames - first)) if header.frames else len(samples)
    return _validated(samples, promised, broken, header, audio)


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


class _Sound(soundfile.SoundFile):
    """Read from front to back: soundfile's seek after every block fails at the end of a FLAC that does not say its length."""

    def seekable(self) -> bool:
        return False


def _open(path: str, stack: ExitStack) -> tuple[_Sound, Header] | BadAudio:
    """The file, open until `stack` closes it."""
    seen = look(path)
    if isinstance(seen, BadAudio):
        return seen
    try:
        # By descriptor, so that no file name can decide the format; O_NONBLOCK, so that no FIFO put here since can hang.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        stack.callback(os.close, fd)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return BadAudio(Status.NOT_REGULAR, "not a regular file")
        try:
            # libsndfile must not close what it cannot open: by then the number may be another thread's file.
            sound = stack.enter_context(_Sound(fd, closefd=False))
        except soundfile.LibsndfileError:
            return _unopenable(os.pread(fd, 16, 0))
        header = _header(sound, fd)
    except OSError as error:
        return BadAudio(Status.UNREADABLE, _reason(error))
    return header if isinstance(header, BadAudio) else (sound, header)


def _unopenable(magic: bytes) -> BadAudio:
    if magic.startswith(b"fLaC"):
        return BadAudio(Status.CORRUPT, "a FLAC file that cannot be opened")
    if magic.startswith(b"RIFF") and magic[8:12] == b"WAVE":
        return BadAudio(Status.BAD_HEADER, "a WAV header that makes no sense")
    return BadAudio(Status.UNSUPPORTED, "not audio that can be decoded here")


def _header(sound: _Sound, fd: int) -> Header | BadAudio:
    rate, channels, frames = int(sound.samplerate), int(sound.channels), int(sound.frames)
    if sound.format not in FORMATS:
        return BadAudio(Status.UNSUPPORTED, f"{sound.format}, which is no format of music")
    if not MIN_RATE <= rate <= MAX_RATE:
        return BadAudio(Status.BAD_HEADER, f"a sample rate of {rate} Hz")
    if channels > MAX_CHANNELS:
        return BadAudio(Status.BAD_HEADER, f"{channels} channels")
    size = os.fstat(fd).st_size
    if frames >= 2**62 or frames < 0:
        frames = 0  # a stream that does not know its length
    if frames / rate > size / MIN_BYTES_PER_SECOND:
        return BadAudio(Status.BAD_HEADER, f"promises {frames / rate:.0f} s in {size} bytes")
    if sound.format in {"WAV", "WAVEX"}:
        if frames == 0:
            return BadAudio(Status.TOO_SHORT, "0 s")
        promised = int(frames * _overstatement(fd, size))
        if promised > MAX_OVERSTATEMENT * frames:
            return BadAudio(Status.BAD_HEADER, f"promises {promised} frames and holds {frames}")
        frames = promised
    return Header(f"{sound.format}/{sound.subtype}".lower(), rate, channels, frames)


def _overstatement(fd: int, size: int) -> float:
    """How many times the bytes that are there a WAV's data chunk claims, at least 1; libsndfile believes the file's size."""
    riff, at = os.pread(fd, 8, 0), 12
    for _ in range(_MAX_CHUNKS):
        head = os.pread(fd, 8, at)
        if len(head) < 8 or not riff.startswith(b"RIFF"):
            break
        name, length = struct.unpack("<4sI", head)
        at += 8
        if name == b"data":
            # A stream that could not know its length has the largest there is in both places.
            streamed = length >= _STREAMED and struct.unpack_from("<I", riff, 4)[0] >= _STREAMED
            return 1.0 if streamed else max(1.0, length / max(size - at, 1))
        at += length + length % 2
    return 1.0


def _read_mono(sound: _Sound, first: int, want: int) -> tuple[NDArray[np.float32], bool]:
    """Up to `want` frames from `first`, channels averaged; and whether the decoder gave up."""
    block = np.empty((min(_BLOCK, max(want, 1)), sound.channels), np.float32)
    parts: list[NDArray[np.float32]] = []
    left = want
    try:
        if first:
            sound.seek(first)
        while left > 0:
            got = sound.read(out=block[: min(left, len(block))])
            if not len(got):
                break
            # Divided before they are summed: two loud channels must not overflow.
            parts.append(np.divide(got, sound.channels, out=got).sum(axis=1))
            left -= len(got)
    except soundfile.LibsndfileError:
        return _joined(parts), True
    return _joined(parts), False


def _joined(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _validated(
    samples: NDArray[np.float32], promised: int, broken: bool, header: Header, audio: Audio
) -> Clip | BadAudio:
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


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
