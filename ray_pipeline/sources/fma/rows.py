"""FMA's CSV files row by row, each row with the line that it begins on, so that what is wrong can be found."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ray_pipeline.errors import SourceError

TRACK_ID = "track_id"
MOST_DIGITS = 18  # of an id; int() takes its time over thousands

Row = tuple[int, list[str]]
KeyedRow = tuple[int, str, list[str]]


@dataclass(frozen=True)
class Header:
    """Where columns stand: by their names in the header rows, from the top one down; `index` is where the ids are."""

    columns: dict[tuple[str, ...], int]
    index: int
    width: int


def text_rows(path: Path) -> Iterator[Row]:
    """Rows whose cells may hold commas, quotes, line breaks, and any length of text.

    Raises
    ------
    SourceError
        The file cannot be opened, or is cut off within a quoted cell.
    """
    line = 1
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, strict=True)
            while (cells := _next_of_any_length(reader)) is not None:
                if cells:
                    yield line, cells
                line = reader.line_num + 1
    except csv.Error as error:
        raise SourceError(f"{path}:{line}: the row that begins here cannot be read: {error}") from None
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None


def _next_of_any_length(reader: Iterator[list[str]]) -> list[str] | None:
    """The next row. How long a cell may be is one setting for all of Python: it is back before anybody else reads."""
    longest = csv.field_size_limit(sys.maxsize)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(longest)


def plain_rows(path: Path) -> Iterator[Row]:
    """Rows of a line each, as tables of numbers are: twice as quick, and features.csv has 55 million cells.

    Raises
    ------
    SourceError
        The file cannot be opened.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            for line, text in enumerate(file, start=1):
                cells = text.rstrip("\r\n").split(",")
                if cells != [""]:
                    yield line, [cell.strip('"') for cell in cells] if '"' in text else cells
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None


def read_header(rows: Iterator[Row], path: Path, levels: int) -> Header:
    """The `levels` rows of names, and the row below that holds nothing but ``track_id``.

    Raises
    ------
    SourceError
        They are not there.
    """
    top = list(islice(rows, levels + 1))
    line, last = top[-1] if top else (1, [])
    index = [at for at, cell in enumerate(last) if cell == TRACK_ID]
    widths = {len(cells) for _, cells in top}
    if len(top) <= levels or len(widths) > 1 or len(index) != 1 or any(last[: index[0]] + last[index[0] + 1 :]):
        raise SourceError(
            f"{path}:{line}: not the header of FMA's {path.name}: {levels} rows of names, and below them a row with "
            f"'{TRACK_ID}' alone",
            hint="take the file as FMA publishes it",
        )
    columns: dict[tuple[str, ...], int] = {}
    for at, names in enumerate(zip(*(cells for _, cells in top[:-1]), strict=True)):
        if at != index[0] and columns.setdefault(names, at) != at:
            raise SourceError(f"{path}:{top[0][0]}: column {' '.join(names)} stands there twice")
    return Header(columns, index[0], widths.pop())


def read_names(rows: Iterator[Row], path: Path, needed: Iterable[str]) -> dict[str, int]:
    """Column name → place, of a file with one header row.

    Raises
    ------
    SourceError
        The file is empty, a column stands there twice, or one that is needed does not.
    """
    line, cells = next(rows, (1, []))
    names = [cell.strip() for cell in cells]
    for name in needed:
        if name not in names:
            raise SourceError(f"{path}:{line}: has no column '{name}'; it has {', '.join(names) or 'none'}")
    for name in names:
        if names.count(name) > 1:
            raise SourceError(f"{path}:{line}: column '{name}' stands there twice")
    return {name: at for at, name in enumerate(names)}


def by_id(rows: Iterator[Row], path: Path, index: int, width: int) -> Iterator[KeyedRow]:
    """(line, track_id, cells) of the rows below a header; ids are decimal, without leading zeros.

    Raises
    ------
    SourceError
        A row of another number of cells, an id that is no number, or one that stands there twice.
    """
    seen: dict[str, int] = {}
    for line, cells in rows:
        if len(cells) != width:
            raise SourceError(
                f"{path}:{line}: the row has {len(cells)} cells, and the header {width}",
                hint="was the file cut short?",
            )
        track_id = id_of(cells[index])
        if track_id is None:
            raise SourceError(f"{path}:{line}: {TRACK_ID} is '{cells[index][:80]}', not a number")
        if seen.setdefault(track_id, line) != line:
            raise SourceError(f"{path}: lines {seen[track_id]} and {line} have the same {TRACK_ID} {track_id}")
        yield line, track_id, cells


def id_of(text: str) -> str | None:
    """``000002`` → ``2``; None for what is no number."""
    text = text.strip()
    return str(int(text)) if text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS else None
