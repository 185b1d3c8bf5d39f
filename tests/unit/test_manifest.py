"""What a manifest lists: columns, ids, labels, and how it is refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_pipeline.errors import SourceError
from ray_pipeline.sources import manifest
from ray_pipeline.sources.base import Entry


def listed(path: Path, **settings: str) -> list[Entry]:
    return manifest.list_tracks(manifest.Params(root=str(path), **settings), store="", seed=0)


def csv_of(folder: Path, text: str | bytes) -> Path:
    path = folder / "tracks.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_columns(tmp_path: Path) -> None:
    text = "track_id,path,title,artist,album,year,genre,mood\n7,a/b.mp3,T,A,B,1999,Rock,\n"
    (entry,) = listed(csv_of(tmp_path, text))
    assert entry == Entry("7", str(tmp_path / "a/b.mp3"), "T", "A", "B", 1999, {"genre": ["Rock"]})


@pytest.mark.parametrize("year", ["", "unknown", "19995", "²", "-5", "1999-01-01"])
def test_years_that_are_none(tmp_path: Path, year: str) -> None:
    assert listed(csv_of(tmp_path, f"path,year\na.mp3,{year}\n"))[0].year is None


def test_parquet(tmp_path: Path) -> None:
    rows = {"path": ["a.mp3", "b.mp3"], "track_id": [3, 4], "year": [1999.0, None], "genre": ["Rock", None]}
    pq.write_table(pa.table(rows), tmp_path / "t.parquet")
    first, second = listed(tmp_path / "t.parquet")
    assert (first.track_id, first.year, first.labels) == ("3", 1999, {"genre": ["Rock"]})
    assert (second.track_id, second.year, second.labels) == ("4", None, {})


def test_ids_are_those_of_a_folder_where_there_are_none(tmp_path: Path) -> None:
    from ray_pipeline.sources import folder

    (tmp_path / "a").mkdir()
    (tmp_path / "a/x.mp3").touch()
    (of_folder,) = folder.list_tracks(folder.Params(root=str(tmp_path)), store="", seed=0)
    (of_manifest,) = listed(csv_of(tmp_path, "path\na/x.mp3\n"))
    assert (of_manifest.track_id, of_manifest.uri) == (of_folder.track_id, of_folder.uri)


def test_path_listed_twice_is_two_tracks(tmp_path: Path) -> None:
    ids = [entry.track_id for entry in listed(csv_of(tmp_path, "path\na.mp3\na.mp3\na.mp3\n"))]
    assert ids == [ids[0], f"{ids[0]}-2", f"{ids[0]}-3"]


def test_audio_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lists").mkdir()
    path = csv_of(tmp_path / "lists", "path\na.mp3\n../b.mp3\n")
    monkeypatch.chdir(tmp_path / "lists")
    inside, outside = listed(path, audio_root="../music")
    assert (inside.uri, inside.status) == (str(tmp_path / "music/a.mp3"), "ok")
    assert outside.status == "outside_root"


def test_manifest_named_with_dots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    csv_of(tmp_path, "path\na.mp3\n")
    monkeypatch.chdir(tmp_path / "here")
    assert listed(Path("../tracks.csv"))[0].status == "ok"


def test_root_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "link").symlink_to("music")
    csv_of(tmp_path / "music", f"path\na.mp3\n{tmp_path}/music/a.mp3\n{tmp_path}/link/a.mp3\n")
    assert [entry.status for entry in listed(tmp_path / "link/tracks.csv")] == ["ok"] * 3


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    (entry,) = listed(csv_of(tmp_path, b"track_id,path,title,g\xff\n\xe9,caf\xe9.mp3,\xe9t\xe9,\xff\n"))
    assert (entry.track_id, entry.title, entry.labels) == ("\ufffd", "\ufffdt\ufffd", {"g\ufffd": ["\ufffd"]})
    assert entry.uri == f"file://{tmp_path}/caf%E9.mp3"


def test_ids_that_become_the_same_are_the_same(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="rows 2 and 3"):
        listed(csv_of(tmp_path, b"track_id,path\n\xe9,a.mp3\n\xe8,b.mp3\n"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no rows"),
        ("path\n", "holds no rows"),
        ("file\na.mp3\n", "has no column 'path'; it has file"),
        ("path,title\na.mp3\n", ":2: the row has not as many cells"),
        ("path,title\na.mp3,b,c\n", ":2: the row has not as many cells"),
        ('path\n"a.mp3\n', "not a table that can be read"),
        ("path\n" + "x" * 200_000 + "\n", "not a table that can be read"),
        ("track_id,path\n,a.mp3\n", "row 2: an empty track_id"),
    ],
)
def test_what_is_no_table(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SourceError, match=told):
        listed(csv_of(tmp_path, text))


@pytest.mark.parametrize("data", [b"", b"PAR1", b"not parquet at all"])
def test_what_is_no_parquet(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"t\.parquet"):
        listed(path)


@pytest.mark.parametrize("name", ["nothing.csv", "."])
def test_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=r"source\.root"):
        listed(tmp_path / name)
