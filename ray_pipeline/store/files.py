"""Named bytes: what everything but Lance reads and writes a store through, be it a folder here or a prefix on S3.

Names are relative, their parts between slashes. What is written is there whole or not at all. Trouble is a `StoreError` that
says what could not be done, and where.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from ray_pipeline.errors import StoreError
from ray_pipeline.s3_address import is_s3


class Folder(Protocol):
    """A folder of a store; ``folder / "models"`` is one within it."""

    @property
    def address(self) -> str:
        """Where it lies, as people and Lance write it."""
        ...

    def __truediv__(self, name: str) -> Folder: ...

    def at(self, name: str) -> str:
        """The address of `name`; a StoreError where that would lie outside."""
        ...

    def read(self, name: str) -> bytes:
        """The bytes of a file; FileNotFoundError where there is none."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Put a file there, in place of what was there."""
        ...

    def update(self, name: str, change: Callable[[bytes], bytes | None]) -> None:
        """Set a file to what `change` makes of it (``b""`` where there is none), with nobody else's change in between.

        None leaves it as it is. `change` may be called again, also with what it returned before.
        """
        ...

    def write_all(self, contents: Mapping[str, bytes], last: str) -> None:
        """Set the whole folder to `contents`. Readers look for the file `last`: while it is there, so are the others."""
        ...

    def name_for(self, name: str, data: bytes) -> str:
        """What `write_all` is to call a file of `data`, so that of two who write the folder neither overwrites the other's."""
        ...

    def is_whole(self, last: str) -> bool:
        """Whether `write_all` came to its end here; what became of the files since is not looked at."""
        ...

    def is_file(self, name: str) -> bool: ...

    def names(self, name: str = "") -> list[str]:
        """What lies directly in the folder `name`, files and folders, sorted; nothing where there is no such folder."""
        ...

    def size(self, name: str) -> int:
        """Bytes of a file, or of all files in a folder."""
        ...

    def checksum(self, name: str) -> str:
        """blake2b-128 hex of a file's bytes, as they are read back; FileNotFoundError where there is none."""
        ...

    def move(self, name: str, to: str) -> None:
        """Give a file another name."""
        ...

    def remove(self, name: str = "") -> None:
        """Take away a file, or a folder with all in it; no-op where there is nothing."""
        ...


def folder_at(place: str | Path | Folder) -> Folder:
    """The folder at a path or ``s3://`` address; a `Folder` is given back as it is."""
    if not isinstance(place, str | Path):
        return place
    if is_s3(str(place)):
        from ray_pipeline.store.s3 import S3Folder

        return S3Folder(str(place))
    from ray_pipeline.store.local import LocalFolder

    return LocalFolder(Path(place))


def checked(name: str, where: str) -> str:
    """`name`, if it stays below `where`.

    Raises
    ------
    StoreError
        It is absolute, or has parts that lead elsewhere.
    """
    parts = name.split("/")
    if name and (name.startswith("/") or "\0" in name or ".." in parts or "." in parts or "" in parts):
        raise StoreError(f"{name!r}: lies outside the store {where}")
    return name
