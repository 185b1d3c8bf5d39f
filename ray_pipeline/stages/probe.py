"""What a file's bytes hash to, and what it says of itself: the part of ingest that opens files, in workers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import BinaryIO

from ray_pipeline import audio
from ray_pipeline.audio import BadAudio, Header
from ray_pipeline.audio.ffmpeg import NEEDS_FFMPEG
from ray_pipeline.schemas import Status
from ray_pipeline.sources.base import to_path
from ray_pipeline.stages.blocks import Row


class ProbeFiles:
    """Hash, header and tags of each file."""

    def load(self) -> None:
        return None

    def process(self, rows: list[Row], begin: Callable[[str], None]) -> list[Row]:
        out = []
        for row in rows:
            begin(row["uri"])
            out.append(_probe(row))
        return out

    def failed(self, row: Row, status: Status, error: str) -> list[Row]:
        return [{**_sighting(row), "status": str(status), "error": error}]


def _probe(row: Row) -> Row:
    out = _sighting(row)
    with ExitStack() as stack:
        fd = audio.opened(to_path(row["uri"]), stack)
        if isinstance(fd, BadAudio):
            return out | _bad(fd)
        header = audio.header_of(fd)
        if isinstance(header, BadAudio) and header.error == NEEDS_FFMPEG:
            # Left without a hash, so that what it becomes once FFmpeg is there is new to every table.
            return out | _bad(header)
        file = stack.enter_context(os.fdopen(fd, "rb", closefd=False))
        try:
            file.seek(0)
            out["content_hash"] = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        except OSError as error:
            return out | {"status": str(Status.UNREADABLE), "error": error.strerror or str(error)}
        if isinstance(header, BadAudio):
            return out | _bad(header)
        tags = _tags(file) if row["read_tags"] else {}
    return out | tags | _described(header) | {"status": str(Status.OK), "error": ""}


def _bad(found: BadAudio) -> Row:
    return {"status": str(found.status), "error": found.error}


def _sighting(row: Row) -> Row:
    return {"uri": row["uri"], "size": row["size"], "mtime_ns": row["mtime_ns"], "content_hash": ""}


def _described(header: Header) -> Row:
    return {
        "codec": header.codec,
        "sample_rate": header.sample_rate,
        "channels": header.channels,
        "duration_s": header.duration_s,
    }


def _tags(file: BinaryIO) -> Row:
    """Title, artist, album, year and genre as the file's own tags have them; none where they cannot be read."""
    from tinytag import TinyTag

    try:
        file.seek(0)
        tag = TinyTag.get(file_obj=file)
    except Exception:  # noqa: BLE001 — the per-track border: damaged tags raise all sorts, and tags are no reason to lose a track
        return {}
    year = str(tag.year or "")[:4]
    texts = {name: _clean(getattr(tag, name)) for name in ("title", "artist", "album", "genre")}
    return texts | {"year": int(year) if year.isdigit() else None}


def _clean(text: object) -> str:
    return "" if text is None else str(text).encode("utf-8", "replace").decode("utf-8").strip("\0 ")[:1000]
