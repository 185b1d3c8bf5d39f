"""What a file's bytes hash to, and what it says of itself: the part of ingest that opens files, in workers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

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
    path = to_path(row["uri"])
    out = _sighting(row)
    header = audio.probe(path)
    if isinstance(header, BadAudio) and header.error == NEEDS_FFMPEG:
        # Left without a hash, so that what it becomes once FFmpeg is there is new to every table.
        return out | {"status": str(header.status), "error": header.error}
    try:
        with open(path, "rb") as file:  # noqa: PTH123 — the path may hold undecodable bytes
            out["content_hash"] = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except FileNotFoundError:
        return out | {"status": str(Status.MISSING), "error": "the file went away while it was looked at"}
    except OSError as error:
        return out | {"status": str(Status.UNREADABLE), "error": error.strerror or str(error)}
    if isinstance(header, BadAudio):
        return out | {"status": str(header.status), "error": header.error}
    tags = _tags(path) if row["read_tags"] else {}
    return out | tags | _described(header) | {"status": str(Status.OK), "error": ""}


def _sighting(row: Row) -> Row:
    return {"uri": row["uri"], "size": row["size"], "mtime_ns": row["mtime_ns"], "content_hash": ""}


def _described(header: Header) -> Row:
    return {
        "codec": header.codec,
        "sample_rate": header.sample_rate,
        "channels": header.channels,
        "duration_s": header.duration_s,
    }


def _tags(path: str) -> Row:
    """Title, artist, album, year and genre as the file's own tags have them; none where they cannot be read."""
    from tinytag import TinyTag

    try:
        with open(path, "rb") as file:  # noqa: PTH123
            tag = TinyTag.get(file_obj=file)
    except Exception:  # noqa: BLE001 — the per-track border: damaged tags raise all sorts, and tags are no reason to lose a track
        return {}
    year = str(tag.year or "")[:4]
    texts = {name: _clean(getattr(tag, name)) for name in ("title", "artist", "album", "genre")}
    return texts | {"year": int(year) if year.isdigit() else None}


def _clean(text: object) -> str:
    return "" if text is None else str(text).encode("utf-8", "replace").decode("utf-8").strip("\0 ")[:1000]
