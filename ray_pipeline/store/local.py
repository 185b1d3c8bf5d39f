"""A folder on a file system: files are written beside their place and renamed, folders likewise; locks are flock's."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ray_pipeline.errors import StoreError
from ray_pipeline.store.files import checked

WHY = "is the disk full, or the store read-only?"


@dataclass(frozen=True)
class LocalFolder:
    """See `files.Folder`; nothing is made before something is written."""

    root: Path

    @property
    def address(self) -> str:
        return str(self.root)

    def __truediv__(self, name: str) -> LocalFolder:
        return LocalFolder(self._path(name))

    def at(self, name: str) -> str:
        path = self.root / name
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise StoreError(f"{name}: lies outside the store {self.root}")
        return str(path)

    def read(self, name: str) -> bytes:
        with _told(self._path(name), absent=True) as path:
            return path.read_bytes()

    def write(self, name: str, data: bytes) -> None:
        with _told(self._path(name)) as path:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
            try:
                part.write_bytes(data)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)

    def update(self, name: str, change: Callable[[bytes], bytes | None]) -> None:
        # The file stays, also when it is empty: were it removed, two could lock two files.
        with _told(self._path(name)) as path:
            path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                data = change(file.read())
                if data is not None:
                    # Written over, and cut afterwards: on a full disk the old bytes stand.
                    file.seek(0)
                    file.write(data)
                    file.truncate()

    def write_all(self, contents: Mapping[str, bytes], last: str) -> None:
        token = uuid.uuid4().hex[:8]
        fresh, aside = (self.root.with_name(f".{self.root.name}.{token}.{state}") for state in ("new", "old"))
        with _told(self.root):
            try:
                fresh.mkdir(parents=True)
                for name, data in contents.items():
                    (fresh / name).write_bytes(data)
                if self.root.exists():
                    self.root.replace(aside)
                fresh.replace(self.root)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)

    def name_for(self, name: str, data: bytes) -> str:
        return name  # the folder takes its place as one

    def is_whole(self, last: str) -> bool:
        return self.root.is_dir()

    def is_file(self, name: str) -> bool:
        return self._path(name).is_file()

    def names(self, name: str = "") -> list[str]:
        with _told(self._path(name)) as path:
            return sorted(one.name for one in path.iterdir()) if path.is_dir() else []

    def size(self, name: str) -> int:
        path = self._path(name)
        if path.is_dir() and not path.is_symlink():
            return sum(one.stat().st_size for one in path.rglob("*") if one.is_file() and not one.is_symlink())
        return path.lstat().st_size

    def checksum(self, name: str) -> str:
        with _told(self._path(name), absent=True) as path, path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()

    def move(self, name: str, to: str) -> None:
        with _told(self._path(name)) as path:
            path.replace(self._path(to))

    def remove(self, name: str = "") -> None:
        with _told(self._path(name)) as path:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:  # a link goes, what it leads to stays
                path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.root / checked(name, self.address)


@contextmanager
def _told(path: Path, *, absent: bool = False) -> Iterator[Path]:
    """The system's errors as ours; of a file that is `absent`, if so asked, as they are."""
    try:
        yield path
    except OSError as error:
        if absent and isinstance(error, FileNotFoundError):
            raise
        raise StoreError(f"{path}: {error.strerror or error}{room_at(path, error.errno)}", hint=WHY) from None


def room_at(path: Path, number: int | None) -> str:
    """How much room there is around `path`, where an error's `number` is that of a full disk."""
    if number not in {errno.ENOSPC, errno.EDQUOT}:
        return ""
    there = next(one for one in (path, *path.parents) if one.exists())
    found = shutil.disk_usage(there)
    return f", {found.free:,} bytes free of {found.total:,}"
