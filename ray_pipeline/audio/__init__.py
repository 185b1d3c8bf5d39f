"""A file's bytes → `Clip` | `BadAudio`: looked at, probed, capped, decoded, validated.

Nothing here raises on account of a file: whatever is wrong with it comes back as a `BadAudio` with a status. Content decides
the format, never the name. At most ``max_seconds`` are decoded, block by block, from where they are wanted, so that a six-hour
mix costs no more than a song. Decoding is libsndfile's (through soundfile), of what that does not read FFmpeg's (through PyAV,
the [ffmpeg] extra); resampling is soxr's "HQ", which is also librosa's default.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import ExitStack

from ray_pipeline.audio import ffmpeg, remote, sndfile
from ray_pipeline.audio.clip import BadAudio, Clip, Header, Sighting, Sound, validated
from ray_pipeline.config import Audio
from ray_pipeline.s3_address import is_s3
from ray_pipeline.schemas import Status

__all__ = [
    "EMPTY",
    "LONG_S",
    "BadAudio",
    "Clip",
    "Header",
    "Sighting",
    "decode",
    "decode_windows",
    "ffmpeg",
    "header_of",
    "look",
    "opened",
    "probe",
    "window_start",
]

EMPTY = BadAudio(Status.EMPTY, "0 bytes")
LONG_S = 60.0  # position "auto" decodes the middle of what is longer


def look(path: str) -> Sighting | BadAudio:
    """What the file system, or S3, says of `path`, following links; nothing is opened."""
    seen = remote.look(path) if is_s3(path) else _stat(path)
    return EMPTY if isinstance(seen, Sighting) and not seen.size else seen


def _stat(path: str) -> Sighting | BadAudio:
    try:
        found = os.stat(path)  # noqa: PTH116 — a path of undecodable bytes is no trouble here
    except FileNotFoundError:
        broken = os.path.islink(path)  # noqa: PTH114
        return BadAudio(*((Status.UNREADABLE, "a broken link") if broken else (Status.MISSING, "the file is gone")))
    except (OSError, ValueError) as error:
        return BadAudio(Status.UNREADABLE, _reason(error))
    if not stat.S_ISREG(found.st_mode):
        return BadAudio(Status.NOT_REGULAR, "not a regular file")
    return Sighting(found.st_size, found.st_mtime_ns)


def opened(path: str, stack: ExitStack) -> int | BadAudio:
    """A descriptor of the file, or of a copy of what lies on S3, open until `stack` closes it."""
    if is_s3(path):
        return remote.fetch(path, stack)
    seen = look(path)
    if isinstance(seen, BadAudio):
        return seen
    try:
        # By descriptor, so that no file name can decide the format; O_NONBLOCK, so that no FIFO put here since can hang.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        stack.callback(os.close, fd)
        return fd if stat.S_ISREG(os.fstat(fd).st_mode) else BadAudio(Status.NOT_REGULAR, "not a regular file")
    except FileNotFoundError:
        return BadAudio(Status.MISSING, "the file went away while it was looked at")
    except OSError as error:
        return BadAudio(Status.UNREADABLE, _reason(error))


def probe(path: str) -> Header | BadAudio:
    """What the header says, checked for sense before anything is decoded."""
    with ExitStack() as stack:
        fd = opened(path, stack)
        return fd if isinstance(fd, BadAudio) else header_of(fd)


def header_of(fd: int) -> Header | BadAudio:
    """What the header of an open file says."""
    with ExitStack() as stack:
        sound = _sound(fd, stack)
        return sound if isinstance(sound, BadAudio) else sound.header


def decode(path: str, audio: Audio) -> Clip | BadAudio:
    """At most ``audio.max_seconds`` from where ``audio.position`` says."""
    (clip,) = decode_windows(path, audio, lambda header: [window_start(header, audio)], audio.max_seconds)
    return clip


def decode_windows(
    path: str, audio: Audio, starts: Callable[[Header], list[float]], seconds: float
) -> list[Clip | BadAudio]:
    """At most `seconds`, and no more than ``audio.max_seconds``, from each of the `starts` in s that the header suggests.

    The file is opened once for all of them: to find a place in an MP3 takes a look at every frame before it, once, which is
    an eighth of what it takes to decode them. A file that cannot be opened is one `BadAudio`.
    """
    with ExitStack() as stack:
        fd = opened(path, stack)
        sound = fd if isinstance(fd, BadAudio) else _sound(fd, stack)
        if isinstance(sound, BadAudio):
            return [sound]
        return [_clip(sound, audio, start, min(seconds, audio.max_seconds)) for start in starts(sound.header)]


def window_start(header: Header, audio: Audio) -> float:
    """Where decoding starts in s, as ``audio.position`` says."""
    length = header.duration_s
    latest = max(0.0, length - audio.max_seconds)
    if audio.position == "start" or (audio.position == "auto" and length <= LONG_S):
        return 0.0
    if audio.position in {"middle", "auto"}:
        return latest / 2
    return min(float(audio.position), latest)


def _clip(sound: Sound, audio: Audio, start_s: float, seconds: float) -> Clip | BadAudio:
    header = sound.header
    first, want = int(start_s * header.sample_rate), int(seconds * header.sample_rate)
    samples, broken = sound.read_mono(first, want)
    promised = max(0, min(want, header.frames - sound.slack - first)) if header.frames else len(samples)
    return validated(samples, promised, broken, header, audio)


def _sound(fd: int, stack: ExitStack) -> Sound | BadAudio:
    """An open file as sound, until `stack` closes it."""
    try:
        sound = sndfile.open_sound(fd, stack)
        demuxer = ffmpeg.demuxer_of(os.pread(fd, 16, 0))
        if demuxer and isinstance(sound, BadAudio) and sound.status == Status.UNSUPPORTED:
            return ffmpeg.open_sound(fd, demuxer, stack)
        return sound
    except OSError as error:
        return BadAudio(Status.UNREADABLE, _reason(error))


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
