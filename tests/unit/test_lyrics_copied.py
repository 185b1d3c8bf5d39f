"""Weights on s3:// are copied once a node, whole or not at all, from a real S3 protocol server on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from whisper_checkpoints import save

from ray_pipeline.errors import NotFetched, WeightsError
from ray_pipeline.lyrics import copied, openai_checkpoint
from ray_pipeline.lyrics.openai_whisper import OpenAIWhisper, Params
from ray_pipeline.store import objects

pytest.importorskip("moto", reason="moto is not installed")

ASK = """
import json, sys
from ray_pipeline.lyrics import copied
fetch, fetched = copied._fetch, []
def slow(*args):
    import time
    fetched.append(args[0])
    time.sleep(0.5)
    fetch(*args)
copied._fetch = slow
print(json.dumps({"path": str(copied.copy_of(sys.argv[1], setting="text.model")), "fetched": fetched}))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`bucket(key, data)` puts an object into a bucket that this test alone has; the node has nothing yet."""
    told = {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1",
    }
    for name, value in (told | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "AWS_DEFAULT_REGION": "us-east-1"}).items():
        monkeypatch.setenv(name, value)
    objects.client.cache_clear()
    client = objects.client()
    client.create_bucket(Bucket="weights")
    yield lambda key, data: client.put_object(Bucket="weights", Key=key, Body=data)
    for one in client.list_objects_v2(Bucket="weights").get("Contents", []):
        client.delete_object(Bucket="weights", Key=one["Key"])
    client.delete_bucket(Bucket="weights")
    objects.client.cache_clear()


def test_a_checkpoint_is_read_from_s3(bucket: Any, tmp_path: Path) -> None:
    path = save(tmp_path / "random.pt")
    bucket("whisper/random.pt", path.read_bytes())
    here = OpenAIWhisper.check(Params(model=str(path)))
    assert OpenAIWhisper.check(Params(model="s3://weights/whisper/random.pt")) == here
    assert openai_checkpoint.find("s3://weights/whisper/random.pt").is_relative_to(tmp_path / "cache")


def test_a_folder_is_copied_with_what_lies_below_it(bucket: Any) -> None:
    bucket("models/mini/config.json", b"{}")
    bucket("models/mini/1_Pooling/config.json", b"{1}")
    bucket("models/minimal/config.json", b"another model")
    folder = copied.copy_of("s3://weights/models/mini/", setting="text.model")
    assert folder.name == "mini"
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {"config.json": b"{}", "1_Pooling/config.json": b"{1}"}


def test_two_processes_copy_it_once(bucket: Any) -> None:
    bucket("mini/config.json", b"{}")
    bucket("mini/model.safetensors", bytes(2**20))
    command = [sys.executable, "-c", ASK, "s3://weights/mini"]
    asking = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) for _ in range(2)]
    told = [json.loads(one.communicate(timeout=120)[0]) for one in asking]
    assert told[0]["path"] == told[1]["path"]
    fetched = sorted(address for one in told for address in one["fetched"])
    assert fetched == ["s3://weights/mini/config.json", "s3://weights/mini/model.safetensors"]
    assert (Path(told[0]["path"]) / "model.safetensors").stat().st_size == 2**20


def test_what_is_there_is_not_fetched_and_what_was_replaced_is(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket("a.pt", b"first")
    first = copied.copy_of("s3://weights/a.pt", setting="lyrics.model")
    with monkeypatch.context() as patched:
        patched.setattr(copied, "_fetch", lambda *args: pytest.fail("fetched"))
        assert copied.copy_of("s3://weights/a.pt", setting="lyrics.model") == first
    bucket("a.pt", b"second")
    second = copied.copy_of("s3://weights/a.pt", setting="lyrics.model")
    assert (first.read_bytes(), second.read_bytes()) == (b"first", b"second")


def test_what_is_not_to_be_fetched_is_told_unless_it_is_here(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket("a.pt", b"weights")
    with monkeypatch.context() as patched:
        patched.setattr(copied, "_fetch", lambda *args: pytest.fail("fetched"))
        with pytest.raises(NotFetched, match=r"'a\.pt' are not on this machine: .* from s3://weights/a\.pt"):
            copied.copy_of("s3://weights/a.pt", setting="lyrics.model", fetch=False)
    here = copied.copy_of("s3://weights/a.pt", setting="lyrics.model")
    assert copied.copy_of("s3://weights/a.pt", setting="lyrics.model", fetch=False) == here


def test_a_copy_that_broke_off_is_not_taken_for_one(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket("mini/a", b"a")
    bucket("mini/b", b"b")
    fetch = copied._fetch

    def breaks_off(address: str, *args: Any) -> None:
        if address == "s3://weights/mini/b":
            raise OSError("no space left")
        fetch(address, *args)

    with monkeypatch.context() as patched, pytest.raises(WeightsError, match="no space left"):
        patched.setattr(copied, "_fetch", breaks_off)
        copied.copy_of("s3://weights/mini", setting="text.model")
    folder = copied.copy_of("s3://weights/mini", setting="text.model")
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]


def test_what_came_damaged_is_refused(bucket: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bucket("a.pt", b"as it was put there")
    seen = copied._objects

    def other(*args: Any) -> Any:
        return {name: replace(one, etag="0" * 32) for name, one in seen(*args).items()}

    monkeypatch.setattr(copied, "_objects", other)
    with pytest.raises(WeightsError, match="came damaged"):
        copied.copy_of("s3://weights/a.pt", setting="lyrics.model")
    assert not [path for path in (tmp_path / "cache").rglob("a.pt") if ".part" not in str(path)]


def test_what_was_replaced_by_more_while_it_was_copied_is_refused(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket("a.pt", b"as it is now")
    seen = copied._objects
    monkeypatch.setattr(copied, "_objects", lambda *args: {"": replace(seen(*args)[""], size=3)})
    with pytest.raises(WeightsError, match="was replaced meanwhile"):
        copied.copy_of("s3://weights/a.pt", setting="lyrics.model")


def test_refused_credentials_say_of_which_setting(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    objects.client.cache_clear()
    with pytest.raises(WeightsError, match=r"^text\.model: s3://weights/mini: .*credentials") as told:
        copied.copy_of("s3://weights/mini", setting="text.model")
    assert "AWS_PROFILE" in told.value.hint


@pytest.mark.parametrize("address", ["s3://weights", "s3://weights/", "s3:///a", "gs://weights/a", "http://x/y.pt"])
def test_an_address_that_is_none_is_told(address: str) -> None:
    with pytest.raises(WeightsError, match="write it as s3://bucket/key"):
        copied.copy_of(address, setting="lyrics.model")


def test_nothing_there_and_no_such_bucket_are_told(bucket: Any) -> None:
    with pytest.raises(WeightsError, match=r"text\.model: s3://weights/none: there is nothing there"):
        copied.copy_of("s3://weights/none", setting="text.model")
    with pytest.raises(WeightsError, match="NoSuchBucket"):
        copied.copy_of("s3://other-bucket/none", setting="text.model")


def test_a_key_that_leads_out_of_the_folder_is_refused(bucket: Any, tmp_path: Path) -> None:
    bucket("mini/../../../out", b"escaped")
    with pytest.raises(WeightsError, match="leads out"):
        copied.copy_of("s3://weights/mini", setting="text.model")
    assert not list(tmp_path.rglob("out"))


def test_without_the_extra_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copied, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"the \[s3\] extra is needed"):
        copied.copy_of("s3://weights/a.pt", setting="lyrics.model")
