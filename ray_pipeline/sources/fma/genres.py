"""genres.csv: a genre's title, and the top level it belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from ray_pipeline.errors import SourceError
from ray_pipeline.sources.base import printable
from ray_pipeline.sources.fma.rows import id_of, read_names, text_rows
from ray_pipeline.sources.fma.tally import Tally

UNKNOWN = "genre ids that genres.csv does not have, left out of the labels"


@dataclass(frozen=True)
class Genres:
    """`titles` by id, and `tops`: id → id of its top level."""

    titles: dict[str, str] = field(default_factory=dict)
    tops: dict[str, str] = field(default_factory=dict)

    def titles_of(self, ids: Iterable[str], tally: Tally, where: str) -> list[str]:
        """Titles of genres, each once; ids that are not known are tallied."""
        found: dict[str, None] = {}
        for genre in ids:
            if genre in self.titles:
                found[self.titles[genre]] = None
            else:
                tally.add(UNKNOWN, f"{where}: {genre}")
        return list(found)

    def tops_of(self, ids: Iterable[str], tally: Tally, where: str) -> list[str]:
        """Titles of the top levels of genres, each once, in the order of the genres."""
        return self.titles_of([self.tops[genre] for genre in ids if genre in self.tops], tally, where)


def read(path: Path) -> Genres:
    """The genres in `path`.

    Raises
    ------
    SourceError
        It cannot be read, lacks a column, or a row has no number where an id belongs.
    """
    rows = text_rows(path)
    at = read_names(rows, path, ("genre_id", "title", "top_level"))
    titles: dict[str, str] = {}
    tops: dict[str, str] = {}
    for line, cells in rows:
        if len(cells) != len(at):
            raise SourceError(f"{path}:{line}: the row has {len(cells)} cells, and the header {len(at)}")
        genre, top = (_id(cells[at[name]], name, f"{path}:{line}") for name in ("genre_id", "top_level"))
        if genre in titles:
            raise SourceError(f"{path}:{line}: genre_id {genre} stands there twice")
        titles[genre], tops[genre] = printable(cells[at["title"]]), top
    return Genres(titles, tops)


@lru_cache(maxsize=4096)
def ids_in(cell: str) -> tuple[str, ...] | None:
    """The ids of ``[76, 103]``; None for what is no list of ids."""
    text = cell.strip()
    if not text:
        return ()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    inside = text[1:-1].strip()
    ids = [id_of(part) for part in inside.split(",")] if inside else []
    found = tuple(one for one in ids if one is not None)
    return found if len(found) == len(ids) else None


def _id(text: str, name: str, where: str) -> str:
    found = id_of(text)
    if found is None:
        raise SourceError(f"{where}: {name} is '{text[:80]}', not a number")
    return found
