"""FMA's tables in small, made on the spot for tests, with the headers of the real ones."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

COLUMNS = [
    ("album", "date_released"),
    ("album", "title"),
    ("artist", "name"),
    ("set", "split"),
    ("set", "subset"),
    ("track", "genre_top"),
    ("track", "genres"),
    ("track", "genres_all"),
    ("track", "title"),
]
GENRES = [(12, "Rock", 12), (25, "Punk", 12), (10, "Pop", 10), (76, "Experimental Pop", 10), (5, "Lost", 404)]
STATISTICS = ("kurtosis", "max", "mean", "median", "min", "skew", "std")  # in the order of FMA's own columns
MFCC = [("mfcc", statistic, f"{number:02d}") for statistic in STATISTICS for number in range(1, 21)]


def write_tracks(root: Path, rows: dict[Any, dict[str, str]], columns: Sequence[tuple[str, str]] = COLUMNS) -> Path:
    """tracks.csv; of a row, cells by the lower of the two names (``name`` is the artist's, ``title`` the track's)."""
    path = _table(root, "tracks.csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerows([["", *names] for names in zip(*columns, strict=True)])
        table.writerow(["track_id", *("" for _ in columns)])
        for track_id, cells in rows.items():
            given = {("album", "title"): cells.get("album", "")}
            table.writerow([track_id, *(given.get(column, cells.get(column[1], "")) for column in columns)])
    return path


def write_genres(root: Path, rows: Iterable[tuple[Any, str, Any]] = GENRES) -> Path:
    path = _table(root, "genres.csv")
    lines = [f"{genre},1,0,{title},{top}\n" for genre, title, top in rows]
    path.write_text("".join(["genre_id,#tracks,parent,title,top_level\n", *lines]), encoding="utf-8")
    return path


def write_features(root: Path, rows: dict[Any, Sequence[Any]], columns: Sequence[tuple[str, ...]] = MFCC) -> Path:
    """features.csv; a row is one cell a column, or nothing for a row of empty ones."""
    path = _table(root, "features.csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        for level, name in enumerate(("feature", "statistics", "number")):
            file.write(",".join([name, *(column[level] for column in columns)]) + "\n")
        file.write("track_id" + "," * len(columns) + "\n")
        for track_id, cells in rows.items():
            file.write(",".join([str(track_id), *map(str, cells or [""] * len(columns))]) + "\n")
    return path


def numbers(track_id: int, columns: Sequence[tuple[str, ...]] = MFCC) -> list[float]:
    """A cell a column that tells by its value whose it is, and of which statistic and number."""
    return [1000 * track_id + 20 * STATISTICS.index(statistic) + int(number) for _, statistic, number in columns]


def expected(track_id: int, statistics: Iterable[str]) -> list[float]:
    """The `numbers` of a track in the order of `statistics`, 20 each."""
    return [1000 * track_id + 20 * STATISTICS.index(one) + number for one in statistics for number in range(1, 21)]


def _table(root: Path, name: str) -> Path:
    path = root / "fma_metadata" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
