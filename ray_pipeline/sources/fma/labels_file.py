"""``source.labels_file``: a CSV of track_id and labels, for tables whose genres come from elsewhere."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ray_pipeline.errors import SourceError
from ray_pipeline.sources.base import Note, printable
from ray_pipeline.sources.fma.rows import TRACK_ID, by_id, read_names, text_rows

Labels = dict[str, list[str]]


def read(path: Path, known: Collection[str], note: Note) -> dict[str, Labels]:
    """track_id → its labels by the names of their columns, of the tracks in `known`; an empty cell is no label.

    Raises
    ------
    SourceError
        No column ``track_id``, or none beside it; a row that cannot be read; an id twice; or none of the ids is known.
    """
    rows = text_rows(path)
    at = read_names(rows, path, (TRACK_ID,))
    index = at.pop(TRACK_ID)
    if not at:
        raise SourceError(f"{path}:1: has no column of labels beside {TRACK_ID}")
    found, strangers = {}, []
    for _, track_id, cells in by_id(rows, path, index, len(at) + 1):
        if track_id in known:
            found[track_id] = {printable(name): [printable(cells[i])] for name, i in at.items() if cells[i].strip()}
        else:
            strangers.append(track_id)
    if not found:
        first = f", the first {strangers[0]}" if strangers else ""
        raise SourceError(
            f"source.labels_file: {path}: of its {len(strangers):,} ids{first}, not one is in the collection"
        )
    if strangers:
        note(f"{path}: {len(strangers):,} ids are not in the collection, the first {strangers[0]}")
    return found
