"""Wave, FLAC, Ogg, MP3 and their like, through libsndfile."""

from __future__ import annotations

import os
import struct
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray

from ray_pipeline.audio.clip import BadAudio, Header, joined, sensible
from ray_pipeline.schemas import Status

# libsndfile guesses two dozen more, some by no more than a byte.
FORMATS = frozenset({"AIFF", "AU", "CAF", "FLAC", "MP3", "OGG", "RF64", "W64", "WAV", "WAVEX"})
MAX_OVERSTATEMENT = 10  # times; what is cut short by more has a header that lies
_BLOCK = 65_536  # frames
_MAX_CHUNKS = 1000
_STREAMED = 0x7FFF0000


class _FrontToBack(soundfile.SoundFile):
    """soundfile's seek after every block fails at the end of a FLAC that does not say its length."""

    def seekable(self) -> bool:
        return False


@dataclass
class SndFile:
    """An open file; frames are exact here, so there is no slack. `at_start`: nothing was read yet."""

    file: _FrontToBack
    header: Header
    slack: int = 0
    at_start: bool = True

    def read_mono(self, first: int, want: int) -> tuple[NDArray[np.float32], bool]:
        """See `Sound`."""
        channels = self.header.channels
        block = np.empty((min(_BLOCK, max(want, 1)), channels), np.float32)
        # A product takes a fortieth of the time of a sum over the short axis; and divided first, loud channels do not overflow.
        share = np.full(channels, 1 / channels, np.float32)
        parts: list[NDArray[np.float32]] = []
        left = want
        try:
            if first or not self.at_start:
                self.file.seek(first)
            self.at_start = False
            while left > 0:
                got = self.file.read(out=block[: min(left, len(block))])
                if not len(got):
                    break
                parts.append(got @ share)
                left -= len(got)
        except soundfile.LibsndfileError:
            return joined(parts), True
        return joined(parts), False


def open_sound(fd: int, stack: ExitStack) -> SndFile | BadAudio:
    """The file behind `fd`, open until `stack` closes it; UNSUPPORTED where it is no format that libsndfile reads."""
    try:
        # libsndfile must not close what it cannot open: by then the number may be another thread's file.
        file = stack.enter_context(_FrontToBack(fd, closefd=False))
    except soundfile.LibsndfileError:
        return _unopenable(os.pread(fd, 16, 0))
    header = _header(file, fd)
    return header if isinstance(header, BadAudio) else SndFile(file, header)


def _unopenable(magic: bytes) -> BadAudio:
    if magic.startswith(b"fLaC"):
        return BadAudio(Status.CORRUPT, "a FLAC file that cannot be opened")
    if magic.startswith(b"RIFF") and magic[8:12] == b"WAVE":
        return BadAudio(Status.BAD_HEADER, "a WAV header that makes no sense")
    return BadAudio(Status.UNSUPPORTED, "not audio that can be decoded here")


def _header(file: _FrontToBack, fd: int) -> Header | BadAudio:
    if file.format not in FORMATS:
        return BadAudio(Status.UNSUPPORTED, f"{file.format}, which is no format of music")
    frames = int(file.frames)
    if frames >= 2**62 or frames < 0:
        frames = 0  # a stream that does not know its length
    size = os.fstat(fd).st_size
    codec = f"{file.format}/{file.subtype}".lower()
    header = sensible(Header(codec, int(file.samplerate), int(file.channels), frames), size)
    if isinstance(header, BadAudio) or file.format not in {"WAV", "WAVEX"}:
        return header
    if frames == 0:
        return BadAudio(Status.TOO_SHORT, "0 s")
    promised = int(frames * _overstatement(fd, size))
    if promised > MAX_OVERSTATEMENT * frames:
        return BadAudio(Status.BAD_HEADER, f"promises {promised} frames and holds {frames}")
    return Header(codec, header.sample_rate, header.channels, promised)


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
