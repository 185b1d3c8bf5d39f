"""Source → `tracks`: who is there, what each file says of itself, what its bytes hash to.

What was seen of a file is kept in `files` by uri, size and time, so that a second look at an unchanged file costs a stat.
`tracks` is then set in one commit to what the source names now. A track that its source knows by metadata alone is sound, and
nothing is opened for it.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from ray_pipeline import audio, schemas, shelf
from ray_pipeline.audio import BadAudio, Sighting, ffmpeg
from ray_pipeline.audio.ffmpeg import NEEDS_FFMPEG
from ray_pipeline.errors import SourceError, install
from ray_pipeline.s3_address import is_s3
from ray_pipeline.schemas import Status
from ray_pipeline.sources.base import Entry, SourceParams, to_path
from ray_pipeline.stages.blocks import Job, Row, run_job
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.plan import mended
from ray_pipeline.stages.probe import ProbeFiles
from ray_pipeline.store import Table, digest

VERSION = 1
FILES_RECIPE = {"stage": "files", "version": VERSION}
WORTH = 128  # files; each takes a hundredth of a second or two
LOOKS_AT_ONCE = 32  # at objects, each of which takes a request

Seen = tuple[int, int, str, str]
"""What was seen of a file: its size, its time, its status and error."""


def tracks_table(ctx: Context) -> Table:
    """Where this config's tracks lie."""
    return ctx.table("tracks", digest(_recipe(ctx)))


def files_table(ctx: Context) -> Table:
    """Where what was seen of files lies, of whatever source."""
    return ctx.table("files", digest(FILES_RECIPE))


def read_tracks(ctx: Context) -> list[Row]:
    """The tracks of this config as rows, by track_id.

    Raises
    ------
    StoreError
        They were never ingested.
    """
    rows: list[Row] = tracks_table(ctx).read().sort_by("track_id").to_pylist()
    return rows


def ingest(ctx: Context) -> int:
    """Look at what the source names; how many files had to be opened."""
    with ctx.timed("ingest"), ctx.store.lease("tracks"):
        entries = _entries(ctx)
        files = files_table(ctx)
        mended(files, ctx)
        files.create(schemas.FILES, FILES_RECIPE)
        seen = _seen(files)
        stats = _looked_at(entries)
        todo, stale = _to_open(entries, stats, seen)
        files.delete_keys("uri", stale)
        run_job(Job("ingest", ProbeFiles(), [files], key="uri", worth=WORTH), todo, ctx)
        tracks = _tracks(entries, stats, {row["uri"]: row for row in files.read().to_pylist()} if entries else {})
        told = _settle(tracks_table(ctx), tracks, ctx)
        _hint(tracks, ctx)
        ctx.run.done["ingest"] = len(todo) + sum(not entry.uri for entry in entries if told)
        ctx.count("tracks", Counter(row["status"] for row in tracks))
    return len(todo)


def left_to_open(ctx: Context) -> tuple[int, int]:
    """How many tracks the source names, and how many files `ingest` would open: listed and looked at, nothing is written.

    Raises
    ------
    SourceError
        The source names no tracks, or cannot be read.
    """
    source = ctx.config.source
    if isinstance(source, SourceParams) and source.makes:
        # To list them would make them.
        n = min(count for count in (source.makes, source.sample, source.limit) if count)
        return n, n
    entries, files = _entries(ctx), files_table(ctx)
    todo, _ = _to_open(entries, _looked_at(entries), _seen(files) if files.exists() else {})
    return len(entries), len(todo)


def _looked_at(entries: list[Entry]) -> dict[str, Sighting | BadAudio]:
    """Every file by its uri. What a listing of S3 told is not asked again, and what is asked there, many at once."""
    sound = {entry.uri: entry for entry in entries if entry.uri and entry.status == Status.OK}
    listed = {uri: _listed(entry.size, entry.mtime_ns) for uri, entry in sound.items() if entry.mtime_ns is not None}
    there = [uri for uri in sound if uri not in listed and is_s3(uri)]
    with ThreadPoolExecutor(LOOKS_AT_ONCE) as pool:
        asked = dict(zip(there, pool.map(audio.look, there), strict=True))
    here = {uri: audio.look(to_path(uri)) for uri in sound if uri not in listed and uri not in asked}
    return listed | asked | here


def _listed(size: int, mtime_ns: int) -> Sighting | BadAudio:
    return Sighting(size, mtime_ns) if size else audio.EMPTY


def _recipe(ctx: Context) -> dict[str, Any]:
    source = ctx.config.source.model_dump(mode="json")
    return {"stage": "ingest", "version": VERSION, "seed": ctx.config.seed, "source": source}


def _entries(ctx: Context) -> list[Entry]:
    source = ctx.config.source
    list_tracks = shelf.part("source", source.kind)
    entries: list[Entry] = list_tracks(
        source,
        store=ctx.config.store,
        seed=ctx.config.seed,
        progress=lambda done, total: ctx.progress("render", done, total),
        note=ctx.run.note,
    )
    sample, limit = getattr(source, "sample", None), getattr(source, "limit", None)
    if sample is not None and sample < len(entries):
        drawn = random.Random(ctx.config.seed).sample(range(len(entries)), sample)
        entries = [entries[i] for i in sorted(drawn)]
    if limit is not None:
        entries = entries[:limit]
    if not entries:
        raise SourceError("source: it names no tracks at all")
    return entries


def _seen(files: Table) -> dict[str, Seen]:
    columns = ("uri", "size", "mtime_ns", "status", "error")
    rows = files.read(columns).to_pylist()
    return {row["uri"]: (row["size"], row["mtime_ns"], row["status"], row["error"]) for row in rows}


def _again(status: str, error: str) -> bool:
    """Whether a file that has not changed may fare better than it did."""
    return status in schemas.RETRIED or (error == NEEDS_FFMPEG and ffmpeg.installed())


def _to_open(
    entries: list[Entry], stats: dict[str, Sighting | BadAudio], seen: dict[str, Seen]
) -> tuple[list[Row], list[str]]:
    """Files never opened in their present state, and the uris whose former state is out of date."""
    todo: dict[str, Row] = {}
    stale = []
    for entry in entries:
        found = stats.get(entry.uri)
        if not isinstance(found, Sighting) or entry.uri in todo:
            continue
        before = seen.get(entry.uri)
        if before and before[:2] == (found.size, found.mtime_ns) and not _again(*before[2:]):
            continue
        if before:
            stale.append(entry.uri)
        todo[entry.uri] = {
            "uri": entry.uri,
            "size": found.size,
            "mtime_ns": found.mtime_ns,
            "read_tags": entry.read_tags,
        }
    return list(todo.values()), stale


def _tracks(entries: list[Entry], stats: dict[str, Sighting | BadAudio], files: dict[str, Row]) -> list[Row]:
    rows = [_track(entry, stats.get(entry.uri), files.get(entry.uri)) for entry in entries]
    rows.sort(key=lambda row: row["track_id"])
    first: dict[str, str] = {}
    for row in rows:
        if row["content_hash"]:
            original = first.setdefault(row["content_hash"], row["track_id"])
            row["duplicate_of"] = "" if original == row["track_id"] else original
    return rows


def _track(entry: Entry, found: Sighting | BadAudio | None, seen: Row | None) -> Row:
    row: Row = {"track_id": entry.track_id, "uri": entry.uri, "content_hash": "", "duplicate_of": ""}
    if entry.status != Status.OK:
        row |= {"status": str(entry.status), "error": entry.error}
    elif not entry.uri:
        row |= {"status": str(Status.OK), "error": "", "content_hash": _without_bytes(entry.track_id)}
    elif isinstance(found, BadAudio):
        row |= {"status": str(found.status), "error": found.error}
    elif seen is None:
        row |= {"status": str(Status.WORKER_CRASH), "error": "it was never looked at"}
    else:
        row |= {name: seen[name] for name in schemas.FILES.names if name in schemas.TRACKS.names}
    from_file = seen or {}
    for name in ("title", "artist", "album"):
        row[name] = getattr(entry, name) or from_file.get(name) or ""
    row["year"] = entry.year if entry.year is not None else from_file.get("year")
    labels = dict(entry.labels)
    if from_file.get("genre") and "genre" not in labels:
        labels["genre"] = [from_file["genre"]]
    row["labels"] = sorted(labels.items())
    return row


def _without_bytes(track_id: str) -> str:
    """Stands for the content of a track that has no file: no other track's, and no file's."""
    return hashlib.blake2b(track_id.encode(), digest_size=16, person=b"no audio").hexdigest()


def _hint(tracks: list[Row], ctx: Context) -> None:
    """Say once, not once a track, what would let more of them in."""
    n = sum(track["error"] == NEEDS_FFMPEG for track in tracks)
    if n:
        ctx.run.note(
            f"{n:,} of {len(tracks):,} tracks are m4a, wma and the like: {install('ffmpeg')}, then run this again"
        )


def _settle(table: Table, tracks: list[Row], ctx: Context) -> bool:
    """Set the table to `tracks`, in one commit, unless it says so already; whether it had to be."""
    mended(table, ctx)
    table.create(schemas.TRACKS, _recipe(ctx))
    rows = pa.Table.from_pylist(tracks, schema=table.schema())
    if table.read().sort_by("track_id").equals(rows):
        return False
    table.replace(rows)
    return True
