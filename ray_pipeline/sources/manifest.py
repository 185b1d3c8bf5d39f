"""A table of tracks: a CSV or Parquet file with a `path` column.

Columns `track_id`, `title`, `artist`, `album`, `year` are what they say; every other column is a label by its name. Paths are
relative to the manifest's folder, or to ``source.audio_root``; absolute ones count only below that. Both may lie on S3.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

from pydantic import Field

from ray_pipeline.errors import SourceError
from ray_pipeline.s3_address import is_s3
from ray_pipeline.schemas import Status
from ray_pipeline.sources.base import Entry, Note, Progress, SourceParams, full_path, printable, to_uri
from ray_pipeline.sources.folder import track_ids

KNOWN = ("path", "track_id", "title", "artist", "album", "year")


class Params(SourceParams):
    root: str = Field(min_length=1, description="the CSV or Parquet file")
    audio_root: str | None = Field(
        default=None, description="folder that paths are relative to; default: the manifest's"
    )


def list_tracks(
    params: Params, *, store: str, seed: int, progress: Progress | None = None, note: Note | None = None
) -> list[Entry]:
    """One entry a row.

    Raises
    ------
    SourceError
        The manifest cannot be read, has no `path` column, no rows, or the same track_id twice.
    """
    manifest = _place(params.root)
    root = _place(params.audio_root) if params.audio_root else manifest.rpartition("/")[0] or "/"
    rows = _read(manifest)
    if not rows:
        raise SourceError(f"{manifest}: holds no rows")
    if "path" not in rows[0]:
        raise SourceError(f"{manifest}: has no column 'path'; it has {', '.join(rows[0])}")
    ids = _ids(rows, manifest)
    return [_entry(row, track_id, root) for row, track_id in zip(rows, ids, strict=True)]


def _place(path: str) -> str:
    return path if is_s3(path) else str(full_path(path))


def _bytes(manifest: str) -> bytes:
    if is_s3(manifest):
        from ray_pipeline.sources import bucket

        return bucket.read(manifest)
    return Path(manifest).read_bytes()


def _read(manifest: str) -> list[dict[str, str]]:
    try:
        data = io.BytesIO(_bytes(manifest))
        if manifest.lower().endswith((".parquet", ".pq")):
            import pyarrow.parquet as pq

            return [{k: _text(v) for k, v in row.items()} for row in pq.read_table(data).to_pylist()]
        with io.TextIOWrapper(data, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            return _read_csv(file, manifest)
    except OSError as error:
        raise SourceError(
            f"source.root: {manifest}: {error.strerror or error}", hint="name the CSV or Parquet file of your tracks"
        ) from None
    except (csv.Error, ValueError, NotImplementedError) as error:
        raise SourceError(f"{manifest}: not a table that can be read: {error}") from None


def _read_csv(file: Any, manifest: str) -> list[dict[str, str]]:
    reader = csv.DictReader(file, strict=True)
    rows = []
    for row in reader:
        if None in row or None in row.values():
            raise SourceError(f"{manifest}:{reader.line_num}: the row has not as many cells as the header")
        rows.append({key.strip(): value for key, value in row.items()})
    return rows


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _ids(rows: list[dict[str, str]], manifest: str) -> list[str]:
    if "track_id" not in rows[0]:
        return _distinct(track_ids([row["path"] for row in rows]))
    ids = [printable(row["track_id"]).strip() for row in rows]
    seen: dict[str, int] = {}
    for number, track_id in enumerate(ids, start=2):
        if not track_id:
            raise SourceError(f"{manifest}: row {number}: an empty track_id")
        if track_id in seen:
            raise SourceError(f"{manifest}: rows {seen[track_id]} and {number} have the same track_id '{track_id}'")
        seen[track_id] = number
    return ids


def _distinct(ids: list[str]) -> list[str]:
    """The same path listed twice is two tracks, the second a copy of the first."""
    seen: dict[str, int] = {}
    out = []
    for track_id in ids:
        seen[track_id] = seen.get(track_id, 0) + 1
        out.append(track_id if seen[track_id] == 1 else f"{track_id}-{seen[track_id]}")
    return out


def _located(written: str, root: str) -> tuple[str, bool]:
    """The uri of a path as it is written, and whether it stays below `root`."""
    if is_s3(root):
        from ray_pipeline.sources import bucket

        return bucket.joined(root, printable(written))
    # No path holds a NUL; with U+FFFD in its place it is one that is not there.
    path = os.path.normpath(os.path.join(root, written.replace("\0", "\ufffd")))  # noqa: PTH118
    return to_uri(path), Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def _entry(row: dict[str, str], track_id: str, root: str) -> Entry:
    uri, inside = _located(row["path"], root)
    year = row.get("year", "").strip().removesuffix(".0")
    return Entry(
        track_id=track_id,
        uri=uri,
        title=printable(row.get("title", "")),
        artist=printable(row.get("artist", "")),
        album=printable(row.get("album", "")),
        year=int(year) if year.isdecimal() and len(year) <= 4 else None,
        labels={printable(k): [printable(v)] for k, v in row.items() if k not in KNOWN and v},
        status=Status.OK if inside else Status.OUTSIDE_ROOT,
        error="" if inside else "the path leads out of the folder of the tracks",
    )
