"""What a folder of music lists: which names, in which order, under which ids, and what it refuses."""

from __future__ import annotations

import inspect
import os
import sys
import unicodedata
from pathlib import Path

import pytest

from ray_pipeline.errors import SourceError
from ray_pipeline.sources import folder
from ray_pipeline.sources.base import Entry, to_path, to_uri
from ray_pipeline.sources.folder import track_ids


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def listed(root: Path, store: str = "/nowhere") -> list[Entry]:
    return folder.list_tracks(folder.Params(root=str(root)), store=store, seed=0)


def names(root: Path, store: str = "/nowhere") -> list[str]:
    return [os.path.relpath(to_path(entry.uri), root) for entry in listed(root, store)]


def test_audio_by_ending_and_what_has_none_in_order_of_path(tmp_path: Path) -> None:
    put(tmp_path, "b.mp3", "a/x.FLAC", "a/cover.jpg", "notes.txt", "track", "No. 5", ".hidden.mp3", ".git/y.mp3")
    assert names(tmp_path) == ["No. 5", "a/x.FLAC", "b.mp3", "track"]


def test_order_does_not_depend_on_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, *(f"{i}/{j}.mp3" for i in range(3) for j in range(3)))
    expected = [entry.track_id for entry in listed(tmp_path)]
    scandir = os.scandir

    class Reversed:
        def __init__(self, path: str) -> None:
            with scandir(path) as found:
                self.items = sorted(found, key=lambda item: item.name, reverse=True)

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.items

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr(os, "scandir", Reversed)
    assert [entry.track_id for entry in listed(tmp_path)] == expected


def test_id_is_of_the_relative_path(tmp_path: Path) -> None:
    put(tmp_path, "one/a/x.mp3", "two/a/x.mp3")
    assert listed(tmp_path / "one")[0].track_id == listed(tmp_path / "two")[0].track_id
    assert len(listed(tmp_path / "one")[0].track_id) == 32


def test_id_is_the_same_however_the_accents_are_written() -> None:
    composed, decomposed = (unicodedata.normalize(form, "é/ü.mp3") for form in ("NFC", "NFD"))
    assert track_ids([composed]) == track_ids([decomposed])
    assert len(set(track_ids([composed, decomposed]))) == 2


def test_names_that_are_not_utf8_have_ids_of_their_own() -> None:
    assert len(set(track_ids([os.fsdecode(b"\xff.mp3"), os.fsdecode(b"\xfe.mp3"), "\ufffd.mp3"]))) == 3


@pytest.mark.parametrize("path", [b"/m/caf\xe9.mp3", b"/m/100%25 \xff.mp3", "/m/caf\u00e9 100%.mp3".encode()])
def test_uri_round_trip(path: bytes) -> None:
    uri = to_uri(os.fsdecode(path))
    uri.encode("utf-8")
    assert os.fsencode(to_path(uri)) == path


def test_the_store_inside_the_root_is_not_listed(tmp_path: Path) -> None:
    put(tmp_path, "a.mp3", "out/audio/b.wav")
    assert names(tmp_path, str(tmp_path / "x" / ".." / "out")) == ["a.mp3"]
    assert names(tmp_path, str(tmp_path)) == ["a.mp3", "out/audio/b.wav"]


def test_root_with_dots_and_links_is_the_folder_it_leads_to(tmp_path: Path) -> None:
    put(tmp_path, "music/a.mp3")
    (tmp_path / "link").symlink_to("music")
    (tmp_path / "music/b.mp3").symlink_to("a.mp3")
    for root in (tmp_path / "link", tmp_path / "music/../music", tmp_path / "music/"):
        assert [entry.status for entry in listed(root)] == ["ok", "ok"]


def test_linked_folders(tmp_path: Path) -> None:
    """Not entered; one that leads out is told, one that does not is found by its own name."""
    put(tmp_path, "root/a/x.mp3", "other/y.mp3")
    (tmp_path / "root/loop").symlink_to(tmp_path / "root")
    (tmp_path / "root/out").symlink_to(tmp_path / "other")
    found = {os.path.relpath(entry.uri, tmp_path / "root"): entry.status for entry in listed(tmp_path / "root")}
    assert found == {"a/x.mp3": "ok", "out": "outside_root"}


def test_folder_named_like_a_song_is_a_row_and_is_entered(tmp_path: Path) -> None:
    put(tmp_path, "Song.mp3/Song.mp3")
    assert names(tmp_path) == ["Song.mp3", "Song.mp3/Song.mp3"]


def test_folder_that_cannot_be_read_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tracks must not go missing without a word."""
    put(tmp_path, "a.mp3", "locked/b.mp3")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = {Path(entry.uri).name: (entry.status, entry.error) for entry in listed(tmp_path)}
    assert found == {
        "a.mp3": ("ok", ""),
        "locked": ("unreadable", "a folder that cannot be read: Permission denied"),
    }


def test_folders_deeper_than_the_stack(tmp_path: Path) -> None:
    put(tmp_path, "d/" * 150 + "a.mp3")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        assert len(names(tmp_path)) == 1
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize("root", ["nothing", "a.mp3"])
def test_root_that_is_no_folder(tmp_path: Path, root: str) -> None:
    put(tmp_path, "a.mp3")
    with pytest.raises(SourceError, match="is not a folder"):
        listed(tmp_path / root)


def test_root_of_nobody() -> None:
    with pytest.raises(SourceError, match="no such user"):
        folder.list_tracks(folder.Params(root="~no_such_user/Music"), store="", seed=0)


def test_nothing_there(tmp_path: Path) -> None:
    put(tmp_path, "cover.jpg")
    with pytest.raises(SourceError, match="no audio files"):
        listed(tmp_path)
