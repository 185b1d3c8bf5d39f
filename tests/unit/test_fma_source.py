"""The Free Music Archive as a source: which tracks there are, where their clips lie, and what they are labelled."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fma_tables import COLUMNS, write_features, write_genres, write_tracks

from ray_pipeline.errors import SourceError
from ray_pipeline.schemas import Status
from ray_pipeline.sources.base import Entry
from ray_pipeline.sources.fma import source


def listed(root: Path, notes: list[str] | None = None, **settings: Any) -> dict[str, Entry]:
    note = notes.append if notes is not None else None
    entries = source.list_tracks(source.Params(root=str(root), **settings), store="", seed=0, note=note)
    return {entry.track_id: entry for entry in entries}


def clip(root: Path, track_id: int, subset: str = "fma_small") -> Path:
    path = root / subset / f"{track_id:06d}"[:3] / f"{track_id:06d}.mp3"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def labels_csv(root: Path, text: str) -> str:
    path = root / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_tracks_are_the_union_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    write_genres(tmp_path)
    write_tracks(tmp_path, {2: {"title": "Food"}, 10: {}})
    write_features(tmp_path, {10: [], 9: []})
    path = clip(tmp_path, 100)
    found = listed(tmp_path)
    assert list(found) == ["2", "9", "10", "100"]
    assert {track: entry.uri for track, entry in found.items()} == {"2": "", "9": "", "10": "", "100": str(path)}
    assert {entry.status for entry in found.values()} == {Status.OK}


@pytest.mark.parametrize("only", ["tracks", "features", "clips"])
def test_any_of_tables_and_clips_may_be_missing(tmp_path: Path, only: str) -> None:
    {
        "tracks": lambda: write_tracks(tmp_path, {7: {}}),
        "features": lambda: write_features(tmp_path, {"000007": []}),
        "clips": lambda: clip(tmp_path, 7, "fma_full"),
    }[only]()
    assert list(listed(tmp_path)) == ["7"]


def test_metadata_and_labels_of_a_row(tmp_path: Path) -> None:
    write_genres(tmp_path)
    row = {"title": "Food", "name": "AWOL", "album": "A Way", "date_released": "2009-01-05 00:00:00", "split": "test"}
    row |= {"subset": "small", "genre_top": "Rock", "genres": "[25, 76]", "genres_all": "[25, 12, 76, 10]"}
    write_tracks(tmp_path, {2: row})
    path = clip(tmp_path, 2)
    labels = {"genre_top": ["Rock"], "genres": ["Punk", "Experimental Pop"]}
    labels |= {"split": ["test"], "subset": ["small"], "artist": ["AWOL"]}
    assert listed(tmp_path)["2"] == Entry("2", str(path), "Food", "AWOL", "A Way", 2009, labels=labels, read_tags=False)


def test_order_of_columns_has_no_say(tmp_path: Path) -> None:
    cells = {"2": {"title": "Food", "name": "AWOL", "genre_top": "Rock", "subset": "large"}}
    write_tracks(tmp_path / "a", cells)
    write_tracks(tmp_path / "b", cells, columns=[("album", "engineer"), *reversed(COLUMNS)])
    assert listed(tmp_path / "a") == listed(tmp_path / "b")


@pytest.mark.parametrize(
    ("genres", "genres_all", "top", "titles"),
    [
        ("[76, 25]", "[10, 12, 76, 25]", ["Pop", "Rock"], ["Experimental Pop", "Punk"]),
        ("[76, 10]", "", ["Pop"], ["Experimental Pop", "Pop"]),
        ("[]", "[25, 12]", ["Rock"], ["Punk", "Rock"]),
        ("[]", "[]", None, None),
        ("", "", None, None),
    ],
)
def test_without_a_top_genre_the_top_levels_of_its_genres(
    tmp_path: Path, genres: str, genres_all: str, top: list[str] | None, titles: list[str] | None
) -> None:
    write_genres(tmp_path)
    write_tracks(tmp_path, {2: {"genres": genres, "genres_all": genres_all}})
    labels = listed(tmp_path)["2"].labels
    assert (labels.get("genre_top"), labels.get("genres")) == (top, titles)


def test_labels_file_goes_first_and_is_joined_by_id(tmp_path: Path) -> None:
    write_tracks(tmp_path, {2: {"genre_top": "Rock", "split": "test"}, 3: {"genre_top": "Rock"}, 4: {}})
    path = labels_csv(tmp_path, "mood,track_id,genre_top\ncalm,000004,Jazz\n,2,Folk\n")
    found = listed(tmp_path, labels_file=path)
    assert found["2"].labels == {"genre_top": ["Folk"], "split": ["test"]}
    assert found["3"].labels == {"genre_top": ["Rock"]}
    assert found["4"].labels == {"genre_top": ["Jazz"], "mood": ["calm"]}


def test_ids_of_the_labels_file_that_nobody_has_are_counted(tmp_path: Path) -> None:
    write_tracks(tmp_path, {2: {}})
    notes: list[str] = []
    path = labels_csv(tmp_path, "track_id,label\n7,Rock\n2,Rock\n9,Rock\n")
    listed(tmp_path, notes, labels_file=path)
    assert notes[-1] == f"{path}: 2 ids are not in the collection, the first 7"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("track_id,label\n7,Rock\n8,Rock\n", "of its 2 ids, the first 7, not one is in the collection"),
        ("track_id,label\n", "of its 0 ids, not one is in the collection"),
        ("", "labels.csv:1: has no column 'track_id'; it has none"),
        ("id,label\n2,Rock\n", "labels.csv:1: has no column 'track_id'; it has id, label"),
        ("track_id\n2\n", "labels.csv:1: has no column of labels"),
        ("track_id,label,label\n2,a,b\n", "labels.csv:1: column 'label' stands there twice"),
        ("track_id,label\n2,a\n\n02,b\n", "lines 2 and 4 have the same track_id 2"),
        ("track_id,label\nx,a\n", "labels.csv:2: track_id is 'x', not a number"),
        ("track_id,label\n2,a,b\n", "labels.csv:2: the row has 3 cells, and the header 2"),
    ],
)
def test_labels_file_that_is_no_use(tmp_path: Path, text: str, told: str) -> None:
    write_tracks(tmp_path, {2: {}})
    with pytest.raises(SourceError, match=told):
        listed(tmp_path, labels_file=labels_csv(tmp_path, text))


def test_labels_file_that_is_not_there(tmp_path: Path) -> None:
    write_tracks(tmp_path, {2: {}})
    with pytest.raises(SourceError, match=r"none\.csv: No such file"):
        listed(tmp_path, labels_file=str(tmp_path / "none.csv"))


def test_of_a_track_in_several_folders_the_smaller_ones_clip_is_taken(tmp_path: Path) -> None:
    clip(tmp_path, 2, "fma_full")
    short = clip(tmp_path, 2, "fma_medium")
    notes: list[str] = []
    assert listed(tmp_path, notes)["2"].uri == str(short)
    (note,) = notes
    assert note.startswith("clips of tracks that have one already, left out: 1, the first at ")


def test_other_files_among_the_clips_are_counted(tmp_path: Path) -> None:
    clip(tmp_path, 2)
    (tmp_path / "fma_small/checksums").touch()
    for name in ("000003.wav", "000002 (1).mp3", ".DS_Store"):
        (tmp_path / "fma_small/000" / name).touch()
    notes: list[str] = []
    assert list(listed(tmp_path, notes)) == ["2"]
    (note,) = notes
    assert note.startswith("files that are no clips by their names, left out: 2, the first at ")


def test_clip_that_is_a_link_out_of_the_root_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.mp3").touch()
    root = tmp_path / "fma"
    clip(root, 3)
    (root / "fma_small/000/000002.mp3").symlink_to(tmp_path / "elsewhere.mp3")
    (root / "fma_small/000/000004.mp3").symlink_to("000003.mp3")
    statuses = {track: entry.status for track, entry in listed(root).items()}
    assert statuses == {"2": Status.OUTSIDE_ROOT, "3": Status.OK, "4": Status.OK}


@pytest.mark.parametrize("folder", ["fma_small", "fma_small/000"])
def test_folder_of_clips_that_is_a_link_out_of_the_root_is_refused(tmp_path: Path, folder: str) -> None:
    clip(tmp_path / "elsewhere", 2)
    link = tmp_path / "fma" / folder
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "elsewhere" / folder)
    with pytest.raises(SourceError, match=f"{folder} is a link that leads out of"):
        listed(tmp_path / "fma")


def test_root_without_anything_of_fma(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no track of FMA's"):
        listed(tmp_path)
    with pytest.raises(SourceError, match=r"source\.root: .*nowhere is not a folder"):
        listed(tmp_path / "nowhere")


def test_the_real_tables(data_dir: Path) -> None:
    notes: list[str] = []
    found = listed(data_dir / "fma", notes, labels_file=str(data_dir / "fma/labels.csv"))
    assert notes == []
    assert len(found) == 682 + 2000 - 14
    clips = {track for track, entry in found.items() if entry.uri}
    assert clips == {path.stem.lstrip("0") for path in (data_dir / "fma/fma_small/000").glob("*.mp3")}
    assert Counter(found[track].labels["genre_top"][0] for track in clips) == {"Rock": 7, "Hip-Hop": 3}
    given = [entry.labels["label"][0] for entry in found.values() if "label" in entry.labels]
    assert Counter(given) == {"Hip-Hop": 997, "Rock": 993}
    assert found["2"].artist == "AWOL" and found["2"].year == 2009
    assert found["20"].labels["genre_top"] == ["Pop", "Folk"]
