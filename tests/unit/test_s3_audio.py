"""Audio on S3: listed, looked at and decoded as in a folder; what is wrong with an object is a status."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configs import make_config
from s3_server import DENIED
from sounds import write

from ray_pipeline import audio
from ray_pipeline.audio import BadAudio, remote
from ray_pipeline.errors import ConfigError, SourceError, StoreError
from ray_pipeline.schemas import Status
from ray_pipeline.sources import folder, manifest
from ray_pipeline.sources.base import Entry
from ray_pipeline.stages.featurize import path_of


@pytest.fixture
def music(tmp_path: Path) -> Path:
    for name in ("b.wav", "a.flac", "deep/c.wav", "ü.wav"):
        write(tmp_path / "music" / name)
    for name in (".hidden.wav", "notes.txt", ".hid/x.wav"):
        (tmp_path / "music" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "music" / name).write_text("x")
    return tmp_path / "music"


@pytest.fixture
def put(bucket: str, s3_server: Any) -> Any:
    """`put("music/a.wav", data)`: an object, and its address."""

    def put(key: str, data: bytes) -> str:
        s3_server.client().put_object(Bucket=bucket.removeprefix("s3://"), Key=key, Body=data)
        return f"{bucket}/{key}"

    return put


@pytest.fixture
def root(bucket: str, music: Path, put: Any) -> str:
    for path in music.rglob("*"):
        if path.is_file():
            put(f"music/{path.relative_to(music)}", path.read_bytes())
    put("music/", b"")
    return f"{bucket}/music"


def entries(module: Any, store: str = "/nowhere", **params: Any) -> list[Entry]:
    found: list[Entry] = module.list_tracks(
        module.Params(kind=module.__name__.rpartition(".")[2], **params), store=store, seed=0
    )
    return found


def test_prefix_has_the_ids_and_order_of_the_folder(root: str, music: Path) -> None:
    here, there = entries(folder, root=str(music)), entries(folder, root=f"{root}/")
    assert [one.track_id for one in there] == [one.track_id for one in here]
    assert [one.uri.removeprefix(root) for one in there] == [one.uri.removeprefix(str(music)) for one in here]
    assert len(there) == 4
    assert all(one.size and one.mtime_ns for one in there)


def test_listing_tells_what_a_look_would(root: str) -> None:
    for one in entries(folder, root=root):
        assert audio.look(one.uri) == audio.Sighting(one.size, one.mtime_ns or 0)


def test_the_store_below_the_root_is_no_music(root: str, put: Any) -> None:
    put("music/out/report/x.wav", b"x")
    assert len(entries(folder, store=f"{root}/out", root=root)) == 4
    assert len(entries(folder, root=root)) == 5


def test_prefix_with_nothing_in_it_is_told(bucket: str, gate: Any) -> None:
    with pytest.raises(SourceError, match="no audio files in it"):
        entries(folder, root=f"{bucket}/nothing")
    gate.fail, gate.status, gate.body = 99, "403 Forbidden", DENIED
    with pytest.raises(SourceError, match="access denied"):
        entries(folder, root=f"{bucket}/nothing")


def test_decoded_as_in_a_folder_and_nothing_is_left(
    root: str, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_config(tmp_path, source={"kind": "folder", "root": "/"}).audio
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    here, there = audio.decode(str(music / "a.flac"), settings), audio.decode(f"{root}/a.flac", settings)
    assert isinstance(here, audio.Clip) and isinstance(there, audio.Clip)
    np.testing.assert_array_equal(there.samples, here.samples)
    assert audio.probe(f"{root}/a.flac") == audio.probe(str(music / "a.flac"))
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_is_wrong_with_an_object_is_a_status(
    root: str, put: Any, gate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def status(address: str) -> tuple[Any, Any]:
        looked, probed = audio.look(address), audio.probe(address)
        return tuple(one.status if isinstance(one, BadAudio) else None for one in (looked, probed))

    assert status(f"{root}/gone.wav") == (Status.MISSING, Status.MISSING)
    assert status(put("music/empty.wav", b""))[0] == Status.EMPTY
    assert status(put("music/x.mp3", b"<html>")) == (None, Status.UNSUPPORTED)
    monkeypatch.setattr(remote, "MOST_BYTES", 100)
    assert status(f"{root}/b.wav") == (None, Status.UNREADABLE)
    gate.fail, gate.status, gate.body = 2, "403 Forbidden", DENIED
    assert status(f"{root}/b.wav") == (Status.UNREADABLE, Status.UNREADABLE)


def test_a_store_that_does_not_answer_is_no_track_s_fault(root: str, gate: Any) -> None:
    gate.fail = 1000
    for act in (audio.look, audio.probe):
        with pytest.raises(StoreError, match="503"):
            act(f"{root}/b.wav")


def test_busy_and_broken_off_is_fetched_again(root: str, music: Path, gate: Any) -> None:
    gate.where, gate.fail, gate.cut = (lambda method, path: method == "GET"), 1, 1
    with ExitStack() as stack:
        fd = audio.opened(f"{root}/b.wav", stack)
        assert isinstance(fd, int)
        with open(fd, "rb", closefd=False) as file:
            same = file.read() == (music / "b.wav").read_bytes()
    assert same
    assert gate.cut == 0


def test_replaced_object_of_the_same_size_and_second_is_changed(put: Any) -> None:
    before = audio.look(put("music/a.wav", b"1" * 1000))
    assert isinstance(before, audio.Sighting)
    row = {"uri": put("music/a.wav", b"1" * 1000), "size": before.size, "mtime_ns": before.mtime_ns}
    put("music/a.wav", b"2" * 1000)
    found = path_of(row)
    assert isinstance(found, BadAudio) and found.status == Status.CHANGED


def test_manifest_and_audio_lie_there(root: str, bucket: str, put: Any, tmp_path: Path) -> None:
    paths = [
        "b.wav",
        "deep/c.wav",
        "deep/../a.flac",
        f"{root}/b.wav",
        "../secret.wav",
        f"{bucket}/secret.wav",
        "/etc/passwd",
    ]
    text = "path,genre\n" + "".join(f"{path},x\n" for path in paths)
    told = [("b.wav", True), ("deep/c.wav", True), ("a.flac", True), ("b.wav", True)]
    for where in (put("music/songs.csv", text.encode()), str(tmp_path / "songs.csv")):
        (tmp_path / "songs.csv").write_text(text)
        found = entries(manifest, root=where, audio_root=root)
        assert [(one.uri.removeprefix(f"{root}/"), one.status == Status.OK) for one in found[:4]] == told
        assert [one.status for one in found[4:]] == [Status.OUTSIDE_ROOT] * 3
    assert [one.uri for one in entries(manifest, root=f"{root}/songs.csv")][:1] == [f"{root}/b.wav"]
    with pytest.raises(SourceError, match="is not there"):
        entries(manifest, root=f"{root}/none.csv")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("gs://bucket/x", "s3://bucket/prefix"),
        ("s3://", "3 to 63"),
        ("s3://Bucket/x", "3 to 63"),
        ("s3://bucket/a//b", "single slashes"),
        ("s3://bucket/../x", "single slashes"),
        ("s3://bucket/a?endpoint_override=x", "single slashes"),
        ("s3://key:hidden@bucket/x", "credentials come from the environment"),
    ],
)
def test_address_that_is_no_store_is_refused(address: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as refused:
        make_config(address, source={"kind": "folder", "root": "/"})  # type: ignore[arg-type]
    assert "hidden" not in str(refused.value)


def test_store_is_kept_as_it_is_written(tmp_path: Path) -> None:
    config = make_config("s3://bucket/a/b/", source={"kind": "folder", "root": "/"})  # type: ignore[arg-type]
    assert config.store == "s3://bucket/a/b"
    assert json.loads(json.dumps(config.plain()))["store"] == "s3://bucket/a/b"


def test_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install -e '\.\[s3\]'"):
        make_config("s3://bucket/a", source={"kind": "folder", "root": "/"})  # type: ignore[arg-type]
