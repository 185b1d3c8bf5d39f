"""The Free Music Archive as a source: the union of what its tables and its folders of clips name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import Field

from ray_pipeline.errors import SourceError
from ray_pipeline.schemas import Status
from ray_pipeline.sources.base import Entry, Note, Progress, SourceParams, full_path, to_uri
from ray_pipeline.sources.fma import audio_tree, features_csv, genres, labels_file, tracks_csv
from ray_pipeline.sources.fma.audio_tree import Found


class Params(SourceParams):
    root: str = Field(min_length=1, description="the folder that holds fma_metadata/, fma_small/ and so on")
    labels_file: str | None = Field(
        default=None, description="CSV of track_id and labels, which go before those of tracks.csv"
    )


def list_tracks(
    params: Params, *, store: str, seed: int, progress: Progress | None = None, note: Note | None = None
) -> list[Entry]:
    """One entry a track that tracks.csv, features.csv or a folder of clips names, by id; without a clip, its uri is "".

    Any of the tables and folders may be missing.

    Raises
    ------
    SourceError
        ``root`` is not a folder, or holds nothing of FMA's; a table cannot be read, or has a mistake that nothing can be
        made of: with its line.
    """
    root, note = full_path(params.root), note or _unheard
    if not root.is_dir():
        raise SourceError(f"source.root: {root} is not a folder", hint="name the one that holds fma_metadata/")
    known = _metadata(root / "fma_metadata", note)
    published = features_path(params)
    clips = audio_tree.find(root, note)
    ids = {*known, *(features_csv.read_ids(published) if published.is_file() else ()), *clips}
    if not ids:
        looked = ", ".join(f"{name}/" for name in ("fma_metadata", *audio_tree.SUBSETS))
        raise SourceError(f"source.root: {root}: holds no track of FMA's", hint=f"looked into {looked}")
    labels = labels_file.read(full_path(params.labels_file), ids, note) if params.labels_file else {}
    return [
        _entry(known.get(track_id) or Entry(track_id, uri=""), clips.get(track_id), labels.get(track_id, {}))
        for track_id in sorted(ids, key=int)
    ]


def features_path(params: Params) -> Path:
    """Where FMA's features.csv lies, whether it is there or not."""
    return full_path(params.root) / "fma_metadata" / "features.csv"


def _metadata(folder: Path, note: Note) -> dict[str, Entry]:
    tracks, titles = folder / "tracks.csv", folder / "genres.csv"
    if not tracks.is_file():
        return {}
    if not titles.is_file():
        note(f"{titles}: is not there, so genres have no titles, and no top level where tracks.csv names none")
    return tracks_csv.read(tracks, genres.read(titles) if titles.is_file() else genres.Genres(), note)


def _entry(known: Entry, clip: Found | None, labels: dict[str, list[str]]) -> Entry:
    if labels:
        known = replace(known, labels=known.labels | labels)
    if clip is None:
        return known
    error = "a link that leads out of source.root" if clip.outside else ""
    status = Status.OUTSIDE_ROOT if clip.outside else Status.OK
    return replace(known, uri=to_uri(clip.path), status=status, error=error)


def _unheard(_: str) -> None:
    return None
