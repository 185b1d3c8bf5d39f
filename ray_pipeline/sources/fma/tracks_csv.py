"""tracks.csv: who made a track, of which album and year, its genres, and FMA's own split."""

from __future__ import annotations

import re
from pathlib import Path

from ray_pipeline.errors import SourceError
from ray_pipeline.sources.base import Entry, Note, printable
from ray_pipeline.sources.fma.genres import Genres, ids_in
from ray_pipeline.sources.fma.rows import by_id, read_header, text_rows
from ray_pipeline.sources.fma.tally import Tally

HEADER_ROWS = 2
COLUMNS = {
    "title": ("track", "title"),
    "artist": ("artist", "name"),
    "album": ("album", "title"),
    "released": ("album", "date_released"),
    "genre_top": ("track", "genre_top"),
    "genres": ("track", "genres"),
    "genres_all": ("track", "genres_all"),
    "split": ("set", "split"),
    "subset": ("set", "subset"),
}
_YEAR = re.compile(r"([0-9]{4})(?:-|$)")


def read(path: Path, genres: Genres, note: Note) -> dict[str, Entry]:
    """track_id → what `path` says of it, without a uri.

    Labels: `genre_top`, or where that is empty the top levels of its genres; `genres`, the titles of all that it is filed
    under; `split`, `subset`, `artist`.

    Raises
    ------
    SourceError
        The file has not FMA's header, a row cannot be read, or an id stands there twice; with the line.
    """
    rows = text_rows(path)
    header = read_header(rows, path, HEADER_ROWS)
    places = {name: header.columns[column] for name, column in COLUMNS.items() if column in header.columns}
    _check_columns(places, path, note)
    tally, nothing = Tally(), dict.fromkeys(COLUMNS, "")
    found = {}
    for line, track_id, cells in by_id(rows, path, header.index, header.width):
        texts = nothing | {name: printable(cells[at]).strip() for name, at in places.items()}
        found[track_id] = _entry(track_id, texts, genres, tally, f"{path}:{line}")
    tally.tell(note)
    return found


def _check_columns(places: dict[str, int], path: Path, note: Note) -> None:
    lacking = [" ".join(column) for name, column in COLUMNS.items() if name not in places]
    if not places:
        raise SourceError(f"{path}:1: has not one of the columns {', '.join(lacking)}")
    if lacking:
        note(f"{path}: has no column {', '.join(lacking)}")


def _entry(track_id: str, texts: dict[str, str], genres: Genres, tally: Tally, where: str) -> Entry:
    """`texts` holds each of `COLUMNS`, "" where the row or the file has nothing."""
    ids = _ids(texts["genres"], tally, where) or _ids(texts["genres_all"], tally, where)
    titles, top = genres.titles_of(ids, tally, where), texts["genre_top"]
    labels = {
        "genre_top": [top] if top else genres.tops_of(ids, tally, where),
        "genres": titles,
        **{name: [texts[name]] for name in ("split", "subset", "artist") if texts[name]},
    }
    return Entry(
        track_id,
        uri="",
        title=texts["title"],
        artist=texts["artist"],
        album=texts["album"],
        year=_year(texts["released"], tally, where),
        labels={name: classes for name, classes in labels.items() if classes},
        read_tags=False,
    )


def _ids(text: str, tally: Tally, where: str) -> tuple[str, ...]:
    ids = ids_in(text)
    if ids is None:
        tally.add("lists of genres that are none, left empty", f"{where}: '{text[:80]}'")
    return ids or ()


def _year(text: str, tally: Tally, where: str) -> int | None:
    found = _YEAR.match(text)
    if text and not found:
        tally.add("release dates that begin with no year, left empty", f"{where}: '{text[:80]}'")
    return int(found[1]) if found else None
