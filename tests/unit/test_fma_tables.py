"""FMA's tables as they may be damaged: what is no use ends with file and line, what can pass is counted in a note."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from fma_tables import MFCC, expected, numbers, write_features, write_genres, write_tracks

from ray_pipeline.errors import SourceError
from ray_pipeline.sources.fma import features_csv, genres, tracks_csv
from ray_pipeline.sources.fma.genres import Genres
from ray_pipeline.sources.fma.rows import text_rows

MEANS = [("mfcc", "mean", number) for number in range(1, 21)]


def without_line(path: Path, number: int) -> Path:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[: number - 1] + lines[number:]), encoding="utf-8")
    return path


def edited(path: Path, old: str, new: str) -> Path:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def notes_of(path: Path, known: Genres | None = None) -> list[str]:
    notes: list[str] = []
    tracks_csv.read(path, known or Genres(), notes.append)
    return notes


@pytest.mark.parametrize("line", [1, 2, 3])
def test_tracks_without_one_of_their_header_rows(tmp_path: Path, line: int) -> None:
    path = without_line(write_tracks(tmp_path, {2: {}, 3: {}}), line)
    with pytest.raises(SourceError, match=r"tracks\.csv:3: not the header of FMA's tracks\.csv: 2 rows of names"):
        notes_of(path)


@pytest.mark.parametrize("line", [1, 2, 3, 4])
def test_features_without_one_of_their_header_rows(tmp_path: Path, line: int) -> None:
    path = without_line(write_features(tmp_path, {2: [], 3: []}), line)
    for read in (features_csv.read_ids, lambda path: features_csv.read(path, MEANS)):
        with pytest.raises(SourceError, match=r"features\.csv:4: not the header .* 3 rows of names"):
            read(path)


@pytest.mark.parametrize("text", ["", "track_id\n", "a,b\n"])
def test_files_that_end_within_the_header(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tracks.csv"
    path.write_text(text)
    with pytest.raises(SourceError, match=r"tracks\.csv:1: not the header"):
        notes_of(path)


def test_tracks_cut_off_within_a_quoted_cell(tmp_path: Path) -> None:
    path = write_tracks(tmp_path, {2: {"title": "two\nlines, quoted"}, 3: {"title": 'said "so", twice'}})
    text = path.read_text()
    path.write_text(text[: text.rindex(",")])
    with pytest.raises(SourceError, match=r"tracks\.csv:6: the row that begins here cannot be read: unexpected end"):
        notes_of(path)


def test_tracks_cut_off_between_cells(tmp_path: Path) -> None:
    path = write_tracks(tmp_path, {2: {}, 3: {"subset": "small"}})
    text = path.read_text()
    path.write_text(text[: text.rindex("small") + 2])
    with pytest.raises(SourceError, match=r"tracks\.csv:5: the row has 6 cells, and the header 10") as raised:
        notes_of(path)
    assert raised.value.hint == "was the file cut short?"


def test_features_cut_off(tmp_path: Path) -> None:
    path = write_features(tmp_path, {2: numbers(2), 3: numbers(3)})
    path.write_text(path.read_text()[:-20])
    with pytest.raises(SourceError, match=r"features\.csv:6: the row has \d+ cells, and the header 141"):
        features_csv.read_ids(path)


def test_tracks_that_stand_there_twice(tmp_path: Path) -> None:
    path = write_tracks(tmp_path, {"7": {"title": "on\ntwo lines"}, "8": {}, "007": {}})
    with pytest.raises(SourceError, match=r"tracks\.csv: lines 4 and 7 have the same track_id 7"):
        notes_of(path)


def test_features_that_stand_there_twice(tmp_path: Path) -> None:
    path = write_features(tmp_path, {"7": [], "8": numbers(8), "07": numbers(7)})
    with pytest.raises(SourceError, match=r"features\.csv: lines 5 and 7 have the same track_id 7"):
        features_csv.read(path, MEANS)


@pytest.mark.parametrize("track_id", ["x", "", "-2", "2.0", "²", "9" * 30])
def test_ids_that_are_no_numbers(tmp_path: Path, track_id: str) -> None:
    with pytest.raises(SourceError, match=rf"tracks\.csv:5: track_id is '{track_id}', not a number"):
        notes_of(write_tracks(tmp_path, {2: {}, track_id: {}}))
    with pytest.raises(SourceError, match=rf"features\.csv:5: track_id is '{track_id}', not a number"):
        features_csv.read_ids(write_features(tmp_path, {track_id: []}))


def test_genre_ids_that_are_not_known_are_counted(tmp_path: Path) -> None:
    known = genres.read(write_genres(tmp_path))
    path = write_tracks(tmp_path, {2: {"genres": "[12, 999]"}, 3: {"genres": "[12]"}, 4: {"genres": "[998]"}})
    (note,) = notes_of(path, known)
    assert note == f"genre ids that genres.csv does not have, left out of the labels: 2, the first at {path}:4: 999"
    labels = {track: entry.labels for track, entry in tracks_csv.read(path, known, lambda _: None).items()}
    assert labels == {"2": {"genre_top": ["Rock"], "genres": ["Rock"]}, "3": labels["2"], "4": {}}


def test_top_level_that_is_not_there_leaves_the_label_empty(tmp_path: Path) -> None:
    known = genres.read(write_genres(tmp_path))
    path = write_tracks(tmp_path, {2: {"genres": "[5]"}})
    (note,) = notes_of(path, known)
    assert note.endswith(f": 1, the first at {path}:4: 404")
    assert tracks_csv.read(path, known, lambda _: None)["2"].labels == {"genres": ["Lost"]}


@pytest.mark.parametrize("cell", ["[12", "12", "['Rock']", "[12, ]", "[12 25]", "{12}"])
def test_lists_of_genres_that_are_none_are_counted(tmp_path: Path, cell: str) -> None:
    path = write_tracks(tmp_path, {2: {"genres": cell, "genre_top": "Rock"}})
    (note,) = notes_of(path)
    assert note == f"lists of genres that are none, left empty: 1, the first at {path}:4: '{cell}'"


@pytest.mark.parametrize(
    ("cell", "year"), [("1999", 1999), ("1999-05-01", 1999), ("May 1999", None), ("99", None), ("19999", None)]
)
def test_years(tmp_path: Path, cell: str, year: int | None) -> None:
    path = write_tracks(tmp_path, {2: {"date_released": cell}})
    notes: list[str] = []
    assert tracks_csv.read(path, Genres(), notes.append)["2"].year == year
    assert len(notes) == (year is None)


def test_columns_that_are_not_there_are_told(tmp_path: Path) -> None:
    path = write_tracks(tmp_path, {2: {"title": "Food"}}, columns=[("track", "title"), ("track", "genres")])
    (note,) = notes_of(path)
    assert note.startswith(f"{path}: has no column artist name, album title, album date_released, track genre_top")
    with pytest.raises(SourceError, match=r"tracks\.csv:1: has not one of the columns"):
        notes_of(write_tracks(tmp_path, {2: {}}, columns=[("track", "bit_rate")]))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("title", "name", r"genres\.csv:1: has no column 'title'"),
        ("\n25,", "\nx,", r"genres\.csv:3: genre_id is 'x', not a number"),
        ("Punk,12", "Punk,top", r"genres\.csv:3: top_level is 'top', not a number"),
        ("\n25,", "\n12,", r"genres\.csv:3: genre_id 12 stands there twice"),
        ("Punk,12", "Punk", r"genres\.csv:3: the row has 4 cells, and the header 5"),
    ],
)
def test_genres_that_are_no_use(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(SourceError, match=told):
        genres.read(edited(write_genres(tmp_path), old, new))


def test_text_that_is_not_utf8_and_cells_of_any_length(tmp_path: Path) -> None:
    path = edited(write_tracks(tmp_path, {2: {"title": "caf@", "name": "x" * 200_000}}), "@", "é")
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xe9"))
    entry = tracks_csv.read(path, Genres(), lambda _: None)["2"]
    assert (entry.title, len(entry.artist)) == ("caf\ufffd", 200_000)


def test_a_table_that_is_half_read_sets_nothing_for_others(tmp_path: Path) -> None:
    """How long a cell may be is one setting for all of Python, and a manifest is held to it."""
    before = csv.field_size_limit()
    path = write_tracks(tmp_path, {})
    halves = [text_rows(path), text_rows(path)]
    for rows in halves:
        next(rows)
    assert csv.field_size_limit() == before
    for rows in halves:
        rows.close()
    assert csv.field_size_limit() == before


@pytest.mark.parametrize("columns", [MFCC, MFCC[::-1], [("zcr", "mean", "01"), *MFCC[70:], *MFCC[:70]]])
def test_numbers_are_found_by_the_names_of_their_columns(tmp_path: Path, columns: list[tuple[str, ...]]) -> None:
    rows = {track: [0.0 if c[0] == "zcr" else numbers(track, [c])[0] for c in columns] for track in (3, 2)}
    found = features_csv.read(write_features(tmp_path, rows, columns), MEANS)
    for track in (2, 3):
        np.testing.assert_array_equal(found.values[found.at[str(track)]], expected(track, ["mean"]))
    assert list(found.line) == [5, 6]


def test_column_that_is_not_there_is_told(tmp_path: Path) -> None:
    columns = [column for column in MFCC if column != ("mfcc", "mean", "07")]
    with pytest.raises(SourceError, match=r"features\.csv:1: has no column mfcc mean 07"):
        features_csv.read(write_features(tmp_path, {2: numbers(2, columns)}, columns), MEANS)


def test_column_that_stands_there_twice_is_told(tmp_path: Path) -> None:
    columns = [*MFCC, ("mfcc", "mean", "07")]
    with pytest.raises(SourceError, match=r"features\.csv:1: column mfcc mean 07 stands there twice"):
        features_csv.read(write_features(tmp_path, {2: numbers(2, columns)}, columns), MEANS)


def test_cells_that_are_no_numbers_keep_their_text(tmp_path: Path) -> None:
    cells: list[object] = list(numbers(2))
    cells[MFCC.index(("mfcc", "mean", "03"))] = "loud"
    found = features_csv.read(write_features(tmp_path, {2: cells, 3: [], 4: numbers(4)}), MEANS)
    assert np.isnan(found.values[0]).tolist() == [at == 2 for at in range(20)]
    assert found.texts[0] == {2: "loud"}
    assert [found.is_empty(row, range(20)) for row in range(3)] == [False, True, False]
    assert np.isfinite(found.values[2]).all()


def test_the_real_statistics_are_what_their_names_say(data_dir: Path) -> None:
    """Of each track and coefficient, mean and median lie between min and max, and deviations are positive."""
    columns = [("mfcc", one, number) for one in ("min", "median", "mean", "max", "std") for number in range(1, 21)]
    found = features_csv.read(data_dir / "fma/fma_metadata/features.csv", columns)
    assert found.values.shape == (2000, 100)
    filled = [row for row in range(2000) if not found.is_empty(row, range(100))]
    assert len(filled) == 1990
    least, median, mean, most, spread = found.values[filled].reshape(1990, 5, 20).transpose(1, 0, 2)
    assert (least <= median).all() and (median <= most).all()
    assert (least <= mean).all() and (mean <= most).all()
    assert (spread > 0).all()
    assert (most - least >= spread).all()
