"""From a folder that has nothing, or half of it, to one that has all: download, check, unpack; once done, never again.

``DIR/fma_small.zip.part`` becomes ``fma_small.zip`` once its SHA-1 is FMA's, and that ``fma_small/``; the zip then goes, and
``.fma_small.json`` says which files of which sizes came out of it, so that the next time needs neither zip nor network.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ray_pipeline.fma_archive import disk
from ray_pipeline.fma_archive.archives import MIB, PUBLISHED_AT, Archive, BadArchive, shown
from ray_pipeline.fma_archive.download import download
from ray_pipeline.fma_archive.meter import Meter, Progress, Say
from ray_pipeline.fma_archive.part import Part
from ray_pipeline.fma_archive.unpack import unpack

# A zip may unpack to this many times what is expected of it before it is taken for a bomb.
MOST_UNPACKED = 2


def fetch(
    archives: list[Archive],
    folder: Path,
    base: str = PUBLISHED_AT,
    *,
    say: Say,
    progress: Progress,
    keep_zip: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Have all `archives` unpacked in `folder`, from ``base/fma_….zip``; gives how many were not there before.

    Raises
    ------
    BadArchive
        A zip that is not the one FMA published: nothing of it is unpacked, and the next call starts over.
    FetchError
        The server, the network or the disk do not let us; the next call goes on from there.
    """
    if not _missing(archives, folder):
        return 0
    with disk.alone(folder):
        todo = [_Fetch(archive, folder, say, progress) for archive in _missing(archives, folder)]
        for each in todo:
            each.set_aside_a_false_zip()
        _check_room(todo, folder, say)
        for each in todo:
            if not each.zip.exists():
                each.download(f"{base.rstrip('/')}/{each.archive.zip_name}", sleep)
            each.unpack(keep_zip)
    return len(todo)


@dataclass
class _Fetch:
    archive: Archive
    folder: Path
    say: Say
    progress: Progress

    @property
    def zip(self) -> Path:
        return self.folder / self.archive.zip_name

    @property
    def part(self) -> Path:
        return self.folder / f"{self.archive.zip_name}.part"

    def set_aside_a_false_zip(self) -> None:
        """A zip that lies there already, be it from before or brought by hand, counts if its SHA-1 does."""
        with disk.told(self.zip):
            if self.zip.exists() and (found := self._sha1(self.zip)) != self.archive.sha1:
                aside = self.zip.replace(self.zip.with_name(f"{self.zip.name}.damaged"))
                self.say(f"{self.zip}: SHA-1 {found} is not FMA's {self.archive.sha1}: set aside as {aside.name}")

    def bytes_to_come(self) -> int:
        """About as many as the disk must still take: the zip, and what is in it."""
        there = disk.size_of(self.zip) + disk.size_of(self.part) + disk.size_below(self.folder / self.archive.name)
        return max(0, self.archive.size + self.archive.unpacked - there)

    def download(self, url: str, sleep: Callable[[float], None]) -> None:
        with disk.told(self.part):
            part = Part(self.part)
        download(self.archive, url, part, say=self.say, progress=self.progress, sleep=sleep)
        with disk.told(self.part):
            found = self._sha1(self.part)
            if found != self.archive.sha1:
                part.discard()
                raise BadArchive(
                    f"{url}: what came has SHA-1 {found}, and FMA published {self.archive.sha1}: removed, not unpacked",
                    hint="the same command starts over; if this comes again, it is the server that has another file",
                )
            part.finish(self.zip)

    def unpack(self, keep_zip: bool) -> None:
        limit = MOST_UNPACKED * self.archive.unpacked
        files = unpack(self.zip, self.folder, self.archive.name, limit, progress=self.progress)
        # On the disk before the zip goes: a power cut must not leave empty files and no zip.
        os.sync()
        with disk.told(self.folder):
            _write_record(self.archive, self.folder, files)
            if not keep_zip:
                self.zip.unlink()
        self.say(f"{self.archive.name}: {len(files):,} files in {self.folder / self.archive.name}")

    def _sha1(self, path: Path) -> str:
        """Of the file as it lies on the disk. SHA-1 is what FMA publishes; that it comes from FMA, https says."""
        meter = Meter(self.progress, f"check {self.zip.name}", path.stat().st_size)
        digest, done = hashlib.sha1(usedforsecurity=False), 0
        with path.open("rb") as file:
            while data := file.read(MIB):
                digest.update(data)
                done += len(data)
                meter.at(done)
        return digest.hexdigest()


def _check_room(todo: list[_Fetch], folder: Path, say: Say) -> None:
    size = sum(each.bytes_to_come() for each in todo)
    names = ", ".join(each.archive.zip_name for each in todo)
    say(f"{names}, packed and unpacked: about {shown(size)} to come; {shown(disk.room(folder))} are free in {folder}")
    disk.need(folder, size, f"{names}, packed and unpacked,")


def _missing(archives: list[Archive], folder: Path) -> list[Archive]:
    return [archive for archive in archives if not _is_unpacked(archive, folder)]


def _record(archive: Archive, folder: Path) -> Path:
    return folder / f".{archive.name}.json"


def _write_record(archive: Archive, folder: Path, files: dict[str, int]) -> None:
    path = _record(archive, folder)
    passing = path.with_name(f"{path.name}.part")
    passing.write_text(json.dumps({"sha1": archive.sha1, "files": files}), encoding="utf-8")
    passing.replace(path)


def _is_unpacked(archive: Archive, folder: Path) -> bool:
    """Whether every file that came out of this very zip is there with its size."""
    try:
        record = json.loads(_record(archive, folder).read_text(encoding="utf-8"))
        files = dict(record["files"]) if record["sha1"] == archive.sha1 else {}
        return bool(files) and all(_has(folder / name, size) for name, size in files.items())
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _has(path: Path, size: int) -> bool:
    found = path.lstat()
    return stat.S_ISREG(found.st_mode) and found.st_size == size
