"""``fma_small.zip.part``: what has come so far, and beside it a record of which file at the server it is the start of."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import IO, Any

from ray_pipeline.fma_archive.disk import size_of

_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})")


@dataclass(frozen=True)
class Remote:
    """One version of a file at a server: bytes, and what the server calls that version ("" if nothing)."""

    size: int
    version: str

    @staticmethod
    def of(response: HTTPResponse) -> tuple[Remote, int] | None:
        """The whole file's size and version, and the byte at which this response begins; None if it does not say."""
        if response.status == 206:
            said = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            return (Remote(int(said[2]), _version(response)), int(said[1])) if said else None
        length = response.headers.get("Content-Length", "")
        if response.status == 200 and length.isdecimal() and len(length) <= 18:
            return Remote(int(length), _version(response)), 0
        return None


class Part:
    """A file that grows at its end; a record that is missing or does not fit makes it worth nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.remote = _load(self._record) if path.is_file() else None
        if self.remote is None or self.size > self.remote.size:
            self.discard()

    @property
    def _record(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return size_of(self.path)

    @property
    def complete(self) -> bool:
        """Whether all bytes have come, be they right or wrong."""
        return self.remote is not None and self.size == self.remote.size

    def headers(self) -> dict[str, str]:
        """What asks for the rest, if it is still the rest of the same file, and else for the whole."""
        if not self.remote or not self.size:
            return {}
        wanted = {"Range": f"bytes={self.size}-"}
        return wanted | ({"If-Range": self.remote.version} if self.remote.version else {})

    def begin(self, remote: Remote) -> None:
        """Forget what came, and expect `remote` from its first byte."""
        self.discard()
        # The record first: bytes without a record count for nothing, a record without bytes is merely early.
        self._record.write_text(json.dumps(asdict(remote)), encoding="utf-8")
        self.remote = remote

    def open(self) -> IO[bytes]:
        """To write on at its end."""
        return self.path.open("ab")

    def discard(self) -> None:
        """Remove the file and its record."""
        self.path.unlink(missing_ok=True)
        self._record.unlink(missing_ok=True)
        self.remote = None

    def finish(self, path: Path) -> None:
        """Give it its final name."""
        self.path.replace(path)
        self._record.unlink(missing_ok=True)


def _version(response: HTTPResponse) -> str:
    """Its ETag if that stands for the very bytes, else the date of its last change: what ``If-Range`` takes."""
    etag = response.headers.get("ETag", "")
    version = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
    return version if version.isascii() and version.isprintable() else ""


def _load(path: Path) -> Remote | None:
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        remote = Remote(**found)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    sound = type(remote.size) is int and isinstance(remote.version, str)
    return remote if sound and remote.version.isascii() and (remote.version + " ").isprintable() else None
