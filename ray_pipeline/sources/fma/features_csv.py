"""features.csv: the numbers that FMA publishes of each track, 20 MFCCs × 7 statistics among them."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.errors import SourceError
from ray_pipeline.sources.fma.rows import Header, KeyedRow, by_id, plain_rows, read_header

HEADER_ROWS = 3
Column = tuple[str, str, int]
"""(feature, statistic, number), as the three header rows name it: ``("mfcc", "mean", 1)``."""


@dataclass
class Published:
    """`values` float32 [n_rows, n_columns] of the rows `at` {track_id: row}; NaN where a cell holds no number.

    `line` is where a row stands in the file; `texts` {row: {column: text}} are the cells that cannot be read as numbers.
    """

    at: dict[str, int] = field(default_factory=dict)
    line: array[int] = field(default_factory=lambda: array("q"))
    texts: dict[int, dict[int, str]] = field(default_factory=dict)
    values: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def is_empty(self, row: int, columns: Sequence[int]) -> bool:
        """Whether the row has nothing in any of `columns`."""
        texts = self.texts.get(row, {})
        return all(texts.get(at) == "" for at in columns)


def read_ids(path: Path) -> list[str]:
    """The ids of all rows, filled or not.

    Raises
    ------
    SourceError
        As `read`.
    """
    return [track_id for _, track_id, _ in _rows(path)[1]]


def read(path: Path, columns: Sequence[Column]) -> Published:
    """`columns` of every row, found by their names, wherever they stand.

    Raises
    ------
    SourceError
        The file has not FMA's header, lacks one of `columns`, has a row cut short, or an id twice; with the line.
    """
    header, rows = _rows(path)
    places = [_place(header, column, path) for column in columns]
    found, numbers = Published(), array("f")
    nothing = dict.fromkeys(range(len(places)), "")
    for row, (line, track_id, cells) in enumerate(rows):
        found.at[track_id] = row
        found.line.append(line)
        texts = [cells[at] for at in places]
        try:
            values = _numbers(texts)
        except ValueError:
            values = [_number(text) for text in texts]
            odd = {at: texts[at].strip() for at, value in enumerate(values) if math.isnan(value)}
            found.texts[row] = nothing if odd == nothing else odd  # one for all empty rows
        numbers.extend(values)
    found.values = np.asarray(numbers, np.float32).reshape(len(found.at), len(columns))
    return found


def _rows(path: Path) -> tuple[Header, Iterator[KeyedRow]]:
    rows = plain_rows(path)
    header = read_header(rows, path, HEADER_ROWS)
    return header, by_id(rows, path, header.index, header.width)


def _place(header: Header, column: Column, path: Path) -> int:
    feature, statistic, number = column
    for written in (f"{number:02d}", str(number)):
        if (feature, statistic, written) in header.columns:
            return header.columns[feature, statistic, written]
    raise SourceError(f"{path}:1: has no column {feature} {statistic} {number:02d}")


def _numbers(texts: list[str]) -> list[float]:
    """All of `texts`; ValueError where one is no number, as Python's own spellings 1_5 and ١٥ are none in a table."""
    together = "".join(texts)
    if "_" in together or not together.isascii():
        raise ValueError(texts)
    return list(map(float, texts))


def _number(text: str) -> float:
    try:
        return _numbers([text])[0]
    except ValueError:
        return math.nan
