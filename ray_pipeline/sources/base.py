"""What a source gives: one `Entry` a track, in a stable order, with nothing opened yet."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

from pydantic import Field

from ray_pipeline.errors import SourceError
from ray_pipeline.schemas import Status
from ray_pipeline.shelf import Params

Progress = Callable[[int, int], None]
"""Called with (done, total) by a source that has work to do before it can list its tracks."""

Note = Callable[[str], None]
"""Called with a line for each thing that a source met and let pass; the run keeps the lines and shows them at its end."""


class SourceParams(Params):
    """Settings every source has."""

    limit: int | None = Field(default=None, ge=1, description="take only the first this many tracks")
    sample: int | None = Field(default=None, ge=1, description="take this many tracks drawn by the seed")

    @property
    def makes(self) -> int:
        """How many tracks `list_tracks` itself makes, where they are not there yet; 0 where it only lists."""
        return 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One track as its source names it; `status` is set where the source itself refuses it (outside its root).

    Without a `uri` it is known by its metadata alone: sound, until a stage has to decode it. `size` in bytes and `mtime_ns` are
    there where a listing told them.
    """

    track_id: str
    uri: str
    title: str = ""
    artist: str = ""
    album: str = ""
    year: int | None = None
    labels: dict[str, list[str]] = field(default_factory=dict)
    read_tags: bool = True
    status: Status = Status.OK
    error: str = ""
    size: int = 0
    mtime_ns: int | None = None


def full_path(path: str) -> Path:
    """`path` as people write it, absolute and without ``..``, so that what lies below it can be told by its name.

    Raises
    ------
    SourceError
        ``~name`` of a user who is not there.
    """
    try:
        return Path(os.path.normpath(Path(path).expanduser().absolute()))
    except RuntimeError:
        raise SourceError(f"source: {path}: there is no such user here", hint="write the whole path") from None


def printable(text: str) -> str:
    """Bytes that are not UTF-8 as U+FFFD, so that a table can hold them."""
    return text if text.isascii() else os.fsencode(text).decode("utf-8", errors="replace")


def to_uri(path: str | os.PathLike[str]) -> str:
    """A path as text that any table can hold: itself, or percent-encoded ``file://`` where it is not valid UTF-8."""
    text = os.fspath(path)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "file://" + quote_from_bytes(os.fsencode(text))
    return text


def to_path(uri: str) -> str:
    """The local path that `to_uri` was given."""
    if uri.startswith("file://"):
        return os.fsdecode(unquote_to_bytes(uri[len("file://") :]))
    return uri
