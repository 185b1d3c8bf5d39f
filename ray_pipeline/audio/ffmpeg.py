"""What libsndfile does not read — AAC, WMA, MP4, WebM and others — through FFmpeg's libraries (PyAV, the [ffmpeg] extra).

FFmpeg is told which container it is given, from the file's first bytes, and never left to guess: it knows formats that name
other files and addresses, and would open those too.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import FileIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.audio.clip import BadAudio, Header, joined, sensible
from ray_pipeline.schemas import Status

NEEDS_FFMPEG = "a format for which the [ffmpeg] extra is needed"

# FFmpeg's name of a container: where its mark lies, and the mark.
DEMUXERS: dict[str, tuple[int, tuple[bytes, ...]]] = {
    "mov": (4, (b"ftyp",)),
    "asf": (0, (bytes.fromhex("3026b2758e66cf11"),)),
    "matroska": (0, (bytes.fromhex("1a45dfa3"),)),
    "aac": (0, (b"\xff\xf1", b"\xff\xf9")),
    "ac3": (0, (b"\x0b\x77",)),
    "ape": (0, (b"MAC ",)),
    "caf": (0, (b"caff",)),
    "ogg": (0, (b"OggS",)),
    "tta": (0, (b"TTA1",)),
    "wv": (0, (b"wvpk",)),
}
# These say nowhere how long they are. FFmpeg guesses it from the first frames, and takes a quiet start for an hour.
UNTOLD_LENGTH = frozenset({"aac", "ac3"})
SLACK_S = 0.1  # containers count the frames that fill the codec's first and last block, or round to 10 ms
PREROLL_S = 0.25  # decoded before what is wanted: a frame is built on those before it
# numpy's kind of FFmpeg's sample formats → what full scale is
_FULL_SCALE = {"u1": 2.0**7, "i2": 2.0**15, "i4": 2.0**31, "f4": 1.0, "f8": 1.0}


def installed() -> bool:
    return importlib.util.find_spec("av") is not None


def demuxer_of(magic: bytes) -> str | None:
    """FFmpeg's name of the container whose first 16 bytes are `magic`; None where it is none that is known here."""
    for name, (at, marks) in DEMUXERS.items():
        if magic[at:].startswith(marks):
            return name
    return None


@dataclass
class FFmpegSound:
    """An open container and its first stream of sound. `at_start`: nothing was read yet."""

    container: Any
    stream: Any
    header: Header
    slack: int
    at_start: bool = True

    def read_mono(self, first: int, want: int) -> tuple[NDArray[np.float32], bool]:
        """See `Sound`."""
        import av

        parts: list[NDArray[np.float32]] = []
        left, broken = want, False
        try:
            for samples in self._from(first):
                parts.append(samples[:left])
                left -= len(parts[-1])
                if left <= 0:
                    break
        except (av.error.FFmpegError, _Changed):
            broken = True
        return joined(parts), broken

    def _from(self, first: int) -> Iterator[NDArray[np.float32]]:
        """Decoded pieces, the first of which begins with frame `first`."""
        earliest = max(0, first - int(PREROLL_S * self.header.sample_rate))
        drop: int | None = None
        for packet in self._packets(earliest):
            for frame in packet.decode():
                samples = self._mono(frame)
                if drop is None:
                    drop = first - self._place(frame.pts, earliest)
                if drop < len(samples):
                    yield samples[max(drop, 0) :]
                drop -= len(samples)

    def _packets(self, earliest: int) -> Iterator[Any]:
        """Packets from frame `earliest` on; those that FFmpeg's seek leaves before it are passed over, not decoded."""
        if earliest or not self.at_start:
            self.container.seek(self._pts(earliest), stream=self.stream)
        self.at_start = False
        for packet in self.container.demux(self.stream):
            # The last packet is empty: it asks the decoder for what it still holds.
            if not packet.size or not earliest or self._end(packet, earliest) > earliest:
                yield packet

    def _end(self, packet: Any, otherwise: int) -> int:
        """The frame after a packet's last; one more than `otherwise` where it does not say."""
        return otherwise + 1 if packet.pts is None else self._place(packet.pts + max(packet.duration or 0, 1), 0)

    def _pts(self, place: int) -> int:
        return (self.stream.start_time or 0) + int(place / self.header.sample_rate / self.stream.time_base)

    def _place(self, pts: int | None, otherwise: int) -> int:
        """The frame that a packet's or a frame's `pts` stands for; `otherwise` where it has none."""
        if pts is None:
            return otherwise
        return round((pts - (self.stream.start_time or 0)) * self.stream.time_base * self.header.sample_rate)

    def _mono(self, frame: Any) -> NDArray[np.float32]:
        channels = frame.layout.nb_channels
        if (frame.sample_rate, channels) != (self.header.sample_rate, self.header.channels):
            raise _Changed
        array = frame.to_ndarray()
        if not frame.format.is_planar:
            array = array.reshape(-1, channels).T
        scale = _FULL_SCALE[array.dtype.str[1:]]
        offset = 128.0 if array.dtype == np.uint8 else 0.0
        return ((array.astype(np.float32) - np.float32(offset)) / np.float32(scale * channels)).sum(axis=0)


class _Changed(Exception):
    """The stream is of another rate or has other channels from here on."""


def open_sound(fd: int, demuxer: str, stack: ExitStack) -> FFmpegSound | BadAudio:
    """The container behind `fd`, open until `stack` closes it."""
    if not installed():
        return BadAudio(Status.UNSUPPORTED, NEEDS_FFMPEG)
    import av

    file = stack.enter_context(FileIO(fd, closefd=False))
    file.seek(0)
    try:
        container = stack.enter_context(av.open(file, format=demuxer, metadata_errors="replace"))
    except av.error.FFmpegError as error:
        return BadAudio(Status.CORRUPT, f"a file of format '{demuxer}' that cannot be opened: {error.strerror}")
    if not container.streams.audio:
        return BadAudio(Status.UNSUPPORTED, f"a file of format '{demuxer}' without sound")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        return BadAudio(Status.UNSUPPORTED, f"a file of format '{demuxer}' whose sound is encrypted or unknown")
    stream.codec_context.thread_count = 1
    header = sensible(_header(container, stream, demuxer), os.fstat(fd).st_size)
    if isinstance(header, BadAudio):
        return header
    return FFmpegSound(container, stream, header, int(SLACK_S * header.sample_rate))


def _header(container: Any, stream: Any, demuxer: str) -> Header:
    import av

    context = stream.codec_context
    if demuxer in UNTOLD_LENGTH:
        seconds = _counted(container, stream)
    elif stream.duration is not None:
        seconds = float(stream.duration * stream.time_base)
    else:
        seconds = (container.duration or 0) / av.time_base
    frames = max(0, round(seconds * context.sample_rate))
    return Header(f"{demuxer}/{context.name}", context.sample_rate, context.layout.nb_channels, frames)


def _counted(container: Any, stream: Any) -> float:
    """The seconds that all packets take together; none is decoded."""
    import av

    ticks = 0
    try:
        for packet in container.demux(stream):
            ticks += packet.duration or 0
    except av.error.FFmpegError:
        pass  # what can be read ends here
    container.seek(0)
    return float(ticks * stream.time_base)
