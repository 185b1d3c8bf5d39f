"""FMA's clips in their folders: ``fma_small/000/000002.mp3``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ray_pipeline.errors import SourceError
from ray_pipeline.sources.base import Note
from ray_pipeline.sources.fma.rows import id_of
from ray_pipeline.sources.fma.tally import Tally

# The first three hold the same clips of 30 s, the last whole tracks. Of a track that lies in several the first is taken.
SUBSETS = ("fma_small", "fma_medium", "fma_large", "fma_full")
ENDING = ".mp3"


@dataclass(frozen=True)
class Found:
    """A clip's file; `outside` where it is a link that leads out of the source's root."""

    path: str
    outside: bool = False


def find(root: Path, note: Note) -> dict[str, Found]:
    """track_id → its clip, of every clip below the folders `SUBSETS` of `root`.

    Raises
    ------
    SourceError
        A folder cannot be read, or is a link that leads out of `root`.
    """
    inside = Path(os.path.realpath(root))
    tally = Tally()
    clips: dict[str, Found] = {}
    for subset in SUBSETS:
        for item in _files(root / subset, inside):
            stem, ending = os.path.splitext(item.name)  # noqa: PTH122 — a name, not a path
            track_id = id_of(stem) if ending.lower() == ENDING else None
            if track_id is None:
                tally.add("files that are no clips by their names, left out", item.path)
            elif track_id in clips:
                tally.add("clips of tracks that have one already, left out", item.path)
            else:
                clips[track_id] = Found(item.path, item.is_symlink() and _leads_out(item.path, inside))
    tally.tell(note)
    return clips


def _files(folder: Path, inside: Path) -> Iterator[os.DirEntry[str]]:
    """Files two levels down, in order; what lies on the first level (README.txt, checksums) is FMA's own."""
    if not folder.is_dir():
        return
    for one in (folder, *(Path(item.path) for item in _scan(folder) if item.is_dir())):
        if one.is_symlink() and _leads_out(str(one), inside):
            raise SourceError(
                f"source.root: {one} is a link that leads out of {inside}",
                hint="name as source.root the folder where the clips lie, and move or copy fma_metadata there",
            )
        if one != folder:
            yield from (item for item in _scan(one) if not item.is_dir())


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as items:
            return sorted((item for item in items if not item.name.startswith(".")), key=lambda item: item.name)
    except OSError as error:
        raise SourceError(f"source.root: {folder}: {error.strerror}") from None


def _leads_out(path: str, inside: Path) -> bool:
    return not Path(os.path.realpath(path)).is_relative_to(inside)
