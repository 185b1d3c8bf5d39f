"""Damaged audio as hypothesis draws it: bits flipped, ends cut off, pieces spliced in, header fields set to extremes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]

# (where, bytes) of the fields of each header, as written by `originals`; in the others any place near the start will do.
_RIFF = [(4, 4), (16, 4), (20, 2), (22, 2), (24, 4), (28, 4), (32, 2), (34, 2), (36, 4), (40, 4)]
_OGG = [
    (4, 1),
    (5, 1),
    (6, 4),
    (14, 4),
    (18, 4),
    (26, 1),
    (27, 1),
    (28, 1),
    (39, 1),
    (40, 4),
    (44, 4),
    (48, 4),
    (56, 1),
]
FIELDS = {
    "wav": _RIFF,
    "float.wav": _RIFF,
    "adpcm.wav": _RIFF,
    "flac": [(4, 1), (5, 3), (8, 2), (10, 2), (12, 3), (15, 3), (18, 2), (20, 1), (21, 1), (22, 4), (26, 4), (42, 4)],
    "ogg": _OGG,
    "opus": _OGG,
    "mp3": [(0, 1), (1, 1), (2, 1), (3, 1), (21, 4), (25, 4), (29, 4), (36, 4), (40, 4), (44, 4)],
}
MAIN = ["wav", "flac", "ogg", "mp3"]  # drawn as often as all formats together
_NEAR = 256  # bytes from the start in which headers lie
_EXTREMES = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


def flip(draw: Draw, name: str, data: bytearray) -> None:
    """Some bits, anywhere."""
    for bit in draw(st.lists(st.integers(0, 8 * len(data) - 1), min_size=1, max_size=40)):
        data[bit // 8] ^= 1 << bit % 8


def truncate(draw: Draw, name: str, data: bytearray) -> None:
    del data[draw(st.integers(1, len(data))) :]


def splice(draw: Draw, name: str, data: bytearray) -> None:
    """Noise, zeros, or a piece of itself, put in or over what is there."""
    at, start = draw(st.integers(0, len(data) - 1)), draw(st.integers(0, len(data) - 1))
    size = draw(st.sampled_from([1, 7, 64, 1024, 20_000]))
    noise = draw(st.binary(min_size=1, max_size=32)) * size
    piece = draw(st.sampled_from([bytes(size), bytes(data[start : start + size]), noise[:size]]))
    data[at : at + draw(st.sampled_from([0, size]))] = piece


def header_fields(draw: Draw, name: str, data: bytearray) -> None:
    """Extreme values where headers keep their numbers, and some where they might."""
    near = st.tuples(st.integers(0, _NEAR - 1), st.sampled_from([1, 2, 4]))
    fields = st.sampled_from(FIELDS[name]) | near if name in FIELDS else near
    for at, width in draw(st.lists(fields, min_size=1, max_size=4)):
        value = draw(st.sampled_from(_EXTREMES) | st.integers(0, 2**32 - 1)) & (256**width - 1)
        if at + width <= len(data):
            data[at : at + width] = value.to_bytes(width, draw(st.sampled_from(["little", "big"])))


MUTATIONS = [flip, truncate, splice, header_fields, header_fields]


@st.composite
def damaged(draw: Draw, sounds: dict[str, bytes]) -> tuple[str, bytes]:
    """The name of one of `sounds`, and what became of its bytes."""
    name = draw(st.sampled_from(MAIN) | st.sampled_from(sorted(sounds)))
    data = bytearray(sounds[name])
    for mutate in draw(st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3)):
        if data:
            mutate(draw, name, data)
    # libogg drops a page whose checksum is wrong: only with the right one does damage get as far as the decoder.
    if name in {"ogg", "opus"} and draw(st.booleans()):
        seal(data)
    return name, bytes(data)


def seal(data: bytearray) -> None:
    """Give every Ogg page the checksum of what is in it now (RFC 3533)."""
    at = data.find(b"OggS")
    while at >= 0 and at + 27 <= len(data):
        lacing = data[at + 27 : at + 27 + data[at + 26]]
        end = at + 27 + len(lacing) + sum(lacing)
        data[at + 22 : at + 26] = bytes(4)
        data[at + 22 : at + 26] = _crc(data[at:end]).to_bytes(4, "little")
        at = data.find(b"OggS", at + 4)


def _crc(page: bytes | bytearray) -> int:
    crc = 0
    for byte in page:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _TABLE[crc >> 24 ^ byte]
    return crc


def _entry(crc: int) -> int:
    for _ in range(8):
        crc = crc << 1 & 0xFFFFFFFF ^ (0x04C11DB7 if crc >> 31 else 0)
    return crc & 0xFFFFFFFF


_TABLE = [_entry(byte << 24) for byte in range(256)]
