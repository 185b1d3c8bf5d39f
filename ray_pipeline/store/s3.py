"""A prefix on S3 as a folder of named bytes. An object is put there whole, and what must not be doubled by a conditional put.

There is no rename: of a folder that is written as one, the file that readers look for comes last, and goes first. The others
are best called by `name_for`: then who comes too late with that file has overwritten nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ray_pipeline.errors import StoreError
from ray_pipeline.store import objects
from ray_pipeline.store.files import checked

RACES = 20  # conditional puts that may be lost to others before it is said so


@dataclass(frozen=True)
class S3Folder:
    """See `files.Folder`; `address` is ``s3://bucket/prefix`` without a slash at its end."""

    address: str

    def __truediv__(self, name: str) -> S3Folder:
        return S3Folder(self.at(name))

    def at(self, name: str) -> str:
        return f"{self.address}/{checked(name, self.address)}" if name else self.address

    def read(self, name: str) -> bytes:
        with _allowed():
            return objects.read(self.at(name))[0]

    def write(self, name: str, data: bytes) -> None:
        with _allowed():
            objects.put(self.at(name), data)

    def update(self, name: str, change: Callable[[bytes], bytes | None]) -> None:
        for _ in range(RACES):
            before, etag = self._held(name)
            data = change(before)
            with _allowed():
                if data is None or objects.put(self.at(name), data, held=etag):
                    return
        raise StoreError(f"{self.at(name)}: {RACES} times somebody else wrote it first")

    def write_all(self, contents: Mapping[str, bytes], last: str) -> None:
        _, etag = self._held(last)
        with _allowed():
            former = self._files()
            for name in contents:
                if name != last:
                    objects.put(self.at(name), contents[name])
            if not objects.put(self.at(last), contents[last], held=etag) and self.read(last) != contents[last]:
                raise StoreError(f"{self.at(last)}: another job wrote it meanwhile")
            objects.remove([self.at(name) for name in former if name not in contents])

    def name_for(self, name: str, data: bytes) -> str:
        stem, dot, ending = name.rpartition(".")
        return f"{stem}-{hashlib.blake2b(data, digest_size=8).hexdigest()}{dot}{ending}"

    def is_whole(self, last: str) -> bool:
        return self.is_file(last)

    def is_file(self, name: str) -> bool:
        try:
            with _allowed():
                objects.look(self.at(name))
        except FileNotFoundError:
            return False
        return True

    def names(self, name: str = "") -> list[str]:
        with _allowed():
            return objects.children(f"{self.at(name)}/")

    def size(self, name: str) -> int:
        with _allowed():
            return sum(seen.size for rest, seen in objects.below(self.at(name)) if not rest or rest.startswith("/"))

    def checksum(self, name: str) -> str:
        found = hashlib.blake2b(digest_size=16)

        def begin() -> objects.Take:
            nonlocal found
            found = hashlib.blake2b(digest_size=16)
            return found.update

        with _allowed():
            objects.scan(self.at(name), begin)
        return found.hexdigest()

    def move(self, name: str, to: str) -> None:
        self.write(to, self.read(name))
        self.remove(name)

    def remove(self, name: str = "") -> None:
        place = self.at(name)
        with _allowed():
            found = [rest for rest, _ in objects.below(place) if not rest or rest.startswith("/")]
            # JSON first: it is what says that the rest is there.
            objects.remove([f"{place}{rest}" for rest in sorted(found, key=lambda rest: not rest.endswith(".json"))])

    def _files(self) -> list[str]:
        return [rest for rest, _ in objects.below(f"{self.address}/")]

    def _held(self, name: str) -> tuple[bytes, str]:
        """Bytes and ETag of a file; both empty where there is none."""
        try:
            with _allowed():
                return objects.read(self.at(name))
        except FileNotFoundError:
            return b"", ""


@contextmanager
def _allowed() -> Iterator[Any]:
    try:
        yield
    except PermissionError as error:
        raise StoreError(str(error), hint=objects.HINTS["AccessDenied"]) from None
