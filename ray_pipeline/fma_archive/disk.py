"""The disk: whether there is room, who else is at it, and its errors in words."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ray_pipeline.fma_archive.archives import FetchError, shown


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn what the disk raises inside into a `FetchError` that names `path`, or the path the error itself names."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        hint = "make room and run the same command again: it goes on from there" if full else "choose another --to"
        raise FetchError(f"{error.filename or path}: {error.strerror or error}", hint=hint) from None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold `folder` for one process; the lock ends with the process, however that ends.

    Raises
    ------
    FetchError
        Another process holds it, or the folder cannot be made or written.
    """
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".fetch-fma.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FetchError(
                f"{folder}: another fetch-fma is at work there", hint="wait for it, or choose another --to"
            ) from None
        except OSError:
            pass  # a file system without locks: nothing to hold
        yield
    finally:
        os.close(lock)


def need(folder: Path, size: int, what: str) -> None:
    """Raise `FetchError` unless `folder`'s disk has `size` bytes free for `what`."""
    free = room(folder)
    if size > free:
        raise FetchError(
            f"{folder}: {what} needs {shown(size)} of disk, and {shown(free)} are free",
            hint="make room, or choose a folder on another disk with --to",
        )


def room(folder: Path) -> int:
    """Bytes free on the disk of `folder`."""
    with told(folder):
        return shutil.disk_usage(folder).free


def size_below(folder: Path) -> int:
    """Bytes of all files below `folder`; 0 if it is not there."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            total += size_of(Path(path) / name)
    return total


def size_of(path: Path) -> int:
    """Bytes of a file, 0 if it is not there."""
    try:
        return path.lstat().st_size
    except OSError:
        return 0
