"""A zip unpacked file by file, each under a passing name until its last byte is checked; what is there already is left.

Decompression is driven from here, as zipfile's own has no bound: of a bzip2 entry it holds at once all that 4 kB unpack to,
which can be gigabytes, whatever size the entry declares.
"""

from __future__ import annotations

import bz2
import copy
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event
from typing import IO

from ray_pipeline.fma_archive import disk, members
from ray_pipeline.fma_archive.archives import MIB, BadArchive, FetchError
from ray_pipeline.fma_archive.meter import Meter, Progress

MOST_THREADS = 8
_BATCH = 1_000


def unpack(path: Path, folder: Path, top: str, limit: int, *, progress: Progress) -> dict[str, int]:
    """Unpack `path` to ``folder/top``; gives each file's name, relative to `folder`, and its bytes.

    Raises
    ------
    BadArchive
        Not a zip, one that `members.check` refuses, or a file that is not what the zip declares of it.
    FetchError
        The disk is too small or fails.
    """
    with disk.told(path), path.open("rb") as file, _opened(path, file) as archive:
        files = members.check(path, archive.infolist(), top, limit)
        disk.need(folder, _left(files, folder), f"what is still packed in {path.name}")
        _make_folders(files, folder)
        _unpack_all(archive, files, folder, Meter(progress, f"unpack {top}", sum(file.file_size for file in files)))
    return {file.filename: file.file_size for file in files}


def _opened(path: Path, file: IO[bytes]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise BadArchive(f"{path}: not a zip that can be read: {error}") from None


def _left(files: list[zipfile.ZipInfo], folder: Path) -> int:
    """Bytes that are still to be written, by the sizes of what is there."""
    return sum(file.file_size for file in files if disk.size_of(folder / file.filename) != file.file_size)


def _make_folders(files: list[zipfile.ZipInfo], folder: Path) -> None:
    inside = folder.resolve()
    for parent in sorted({(folder / file.filename).parent for file in files}):
        if not parent.resolve().is_relative_to(inside):
            raise FetchError(
                f"{parent}: a link that leads out of {folder}", hint="move it away, or choose another --to"
            )
        parent.mkdir(parents=True, exist_ok=True)


def _unpack_all(archive: zipfile.ZipFile, files: list[zipfile.ZipInfo], folder: Path, meter: Meter) -> None:
    """In threads: bzip2 is slow, and lets go of the interpreter."""
    done = 0
    meter.at(done)
    stop = Event()
    one = partial(_unpack_one, archive, folder, stop)
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as pool:
        try:
            for start in range(0, len(files), _BATCH):
                for size in pool.map(one, files[start : start + _BATCH]):
                    done += size
                    meter.at(done)
        except BaseException:
            stop.set()
            raise


def _unpack_one(archive: zipfile.ZipFile, folder: Path, stop: Event, member: zipfile.ZipInfo) -> int:
    target = folder / member.filename
    with disk.told(target):
        if not _is_there(target, member):
            passing = target.with_name(f".{target.name}.part")
            passing.unlink(missing_ok=True)
            try:
                with passing.open("xb") as file:
                    _write(archive, member, file, stop)
                passing.replace(target)
            finally:
                passing.unlink(missing_ok=True)
    return member.file_size


def _is_there(target: Path, member: zipfile.ZipInfo) -> bool:
    try:
        found = target.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(found.st_mode) or found.st_size != member.file_size:
        return False
    crc = 0
    with target.open("rb") as file:
        while data := file.read(MIB):
            crc = zlib.crc32(data, crc)
    return crc == member.CRC


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, file: IO[bytes], stop: Event) -> None:
    """Write `member`'s bytes, never more than it declares."""
    written = crc = 0
    for piece in _pieces(archive, member):
        if stop.is_set():
            raise FetchError(f"{member.filename}: stopped")
        written += len(piece)
        if written > member.file_size:
            raise BadArchive(f"{member.filename}: holds more than the {member.file_size:,} bytes that the zip declares")
        crc = zlib.crc32(piece, crc)
        file.write(piece)
    if written != member.file_size or crc != member.CRC:
        raise _damaged(member, "its length or CRC-32 is not what the zip declares")


def _pieces(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """The unpacked bytes, at most 1 MiB at a time."""
    packed = copy.copy(member)
    # As if it were stored: zipfile then gives the packed bytes, and checks nothing of what they unpack to.
    packed.compress_type, packed.file_size, packed.CRC = zipfile.ZIP_STORED, member.compress_size, None  # type: ignore[assignment]
    try:
        with archive.open(packed) as file:
            yield from _UNPACKED[member.compress_type](file)
    except (zlib.error, OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise _damaged(member, str(error)) from None


def _damaged(member: zipfile.ZipInfo, why: str) -> BadArchive:
    return BadArchive(
        f"{member.filename}: damaged in the zip: {why}",
        hint="the same command checks the whole zip again, and fetches it again if need be",
    )


def _stored(file: IO[bytes]) -> Iterator[bytes]:
    while data := file.read(MIB):
        yield data


def _inflated(file: IO[bytes]) -> Iterator[bytes]:
    decoder = zlib.decompressobj(-zlib.MAX_WBITS)
    data = file.read(MIB)
    while data and not decoder.eof:
        yield decoder.decompress(data, MIB)
        data = decoder.unconsumed_tail or file.read(MIB)
    yield decoder.flush()


def _bunzipped(file: IO[bytes]) -> Iterator[bytes]:
    decoder = bz2.BZ2Decompressor()
    while not decoder.eof:
        data = file.read(MIB) if decoder.needs_input else b""
        if decoder.needs_input and not data:
            raise EOFError("cut short")
        yield decoder.decompress(data, MIB)


_UNPACKED = {zipfile.ZIP_STORED: _stored, zipfile.ZIP_DEFLATED: _inflated, zipfile.ZIP_BZIP2: _bunzipped}
