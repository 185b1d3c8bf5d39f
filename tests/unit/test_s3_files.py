"""A folder of named bytes is the same thing on a disk and on S3."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ray_pipeline.errors import StoreError
from ray_pipeline.store import Folder, folder_at, objects
from ray_pipeline.store.s3 import S3Folder


@pytest.fixture(params=["local", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    if request.param == "local":
        return folder_at(tmp_path / "store")
    return folder_at(f"{request.getfixturevalue('bucket')}/a/store")


def put_to(path: str) -> Any:
    return lambda method, asked: method == "PUT" and asked.endswith(path)


def test_what_is_written_is_read(folder: Folder) -> None:
    folder.write("runs/1.json", b"one")
    folder.write("runs/1.json", b"other")
    assert folder.read("runs/1.json") == b"other"
    assert (folder / "runs").read("1.json") == b"other"
    assert folder.size("runs/1.json") == 5


def test_what_is_not_there(folder: Folder) -> None:
    with pytest.raises(FileNotFoundError):
        folder.read("runs/1.json")
    with pytest.raises(FileNotFoundError):
        folder.checksum("runs/1.json")
    assert not folder.is_file("runs/1.json")
    assert folder.names("runs") == []
    folder.remove("runs")


def test_names_are_those_directly_below(folder: Folder) -> None:
    for name in ("runs/2.json", "runs/1.json", "models/m/card.json", "models-old"):
        folder.write(name, b"x")
    assert folder.names() == ["models", "models-old", "runs"]
    assert folder.names("runs") == ["1.json", "2.json"]
    assert folder.names("models") == ["m"]


def test_a_folder_goes_with_all_in_it_and_its_namesake_stays(folder: Folder) -> None:
    for name in ("models/m/card.json", "models/m/deep/er", "models/m2/card.json", "models/m.txt"):
        folder.write(name, b"1234")
    assert folder.size("models/m") == 8
    folder.remove("models/m")
    assert folder.names("models") == ["m.txt", "m2"]
    assert folder.read("models/m2/card.json") == b"1234"


def test_checksum_is_the_same_everywhere(folder: Folder) -> None:
    data = bytes(range(256)) * 10_000
    folder.write("x", data)
    assert folder.checksum("x") == hashlib.blake2b(data, digest_size=16).hexdigest()


def test_moved_file_has_its_new_name_alone(folder: Folder) -> None:
    folder.write("v/1.manifest", b"x")
    folder.move("v/1.manifest", "v/1.damaged")
    assert folder.names("v") == ["1.damaged"]


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a//b", "./x", "a\0b"])
def test_names_do_not_lead_out(folder: Folder, name: str) -> None:
    for act in (folder.read, folder.remove, lambda name: folder.write(name, b"")):
        with pytest.raises(StoreError, match="outside the store"):
            act(name)


def test_whole_folder_is_replaced(folder: Folder) -> None:
    model = folder / "models" / "m"
    model.write_all({"model.safetensors": b"1", "more": b"1", "card.json": b"1"}, last="card.json")
    model.write_all({"model.safetensors": b"2", "card.json": b"2"}, last="card.json")
    assert model.names() == ["card.json", "model.safetensors"]
    assert model.read("card.json") == b"2"
    assert model.is_whole("card.json")


def test_concurrent_changes_lose_nothing(folder: Folder) -> None:
    def count(data: bytes) -> bytes:
        return str(int(data or b"0") + 1).encode()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(folder.update, "counter", count) for _ in range(12)]:
            done.result()
    assert folder.read("counter") == b"12"


def test_change_that_is_none_leaves_it(folder: Folder) -> None:
    folder.write("x", b"1")
    folder.update("x", lambda held: None)
    assert folder.read("x") == b"1"


def test_card_comes_last(bucket: str, gate: Any) -> None:
    """A writer that is stopped on the way leaves no model: the file that readers look for is not there."""
    model = S3Folder(f"{bucket}/store/models/m")
    gate.where, gate.fail = put_to("card.json"), 99
    with pytest.raises(StoreError, match=r"card\.json: cannot be written: 503 SlowDown.*\(3 tries in \d+ s\)"):
        model.write_all({"card.json": b"{}", "model.safetensors": b"1"}, last="card.json")
    assert model.names() == ["model.safetensors"]
    assert not model.is_whole("card.json")


def test_of_two_that_write_one_model_the_second_is_told(bucket: str, gate: Any) -> None:
    model = S3Folder(f"{bucket}/store/models/m")

    def meanwhile(method: str, path: str) -> bool:
        if put_to("model.safetensors")(method, path) and not model.is_file("card.json"):
            objects.put(model.at("card.json"), b"another's")
        return False

    gate.where = meanwhile
    with pytest.raises(StoreError, match="another job wrote it meanwhile"):
        model.write_all({"model.safetensors": b"1", "card.json": b"mine"}, last="card.json")
    assert model.read("card.json") == b"another's"


def test_conditional_put_is_conditional(bucket: str) -> None:
    address = f"{bucket}/x"
    assert objects.put(address, b"1", held="")
    assert not objects.put(address, b"2", held="")
    data, etag = objects.read(address)
    assert data == b"1"
    assert objects.put(address, b"2", held=etag)
    assert not objects.put(address, b"3", held=etag)
    assert objects.read(address)[0] == b"2"


def test_busy_for_a_while_is_waited_for(bucket: str, gate: Any) -> None:
    folder = S3Folder(f"{bucket}/store")
    for act in (
        lambda: folder.write("x", b"1"),
        lambda: folder.read("x"),
        folder.names,
        lambda: folder.remove("x"),
    ):
        gate.fail = 2
        act()
        assert gate.fail == 0
    assert folder.names() == []


def test_busy_for_ever_is_bounded_and_told(bucket: str, gate: Any) -> None:
    folder = S3Folder(f"{bucket}/store")
    gate.fail = 1000
    with pytest.raises(
        StoreError, match=rf"{bucket}/store/x: cannot be read: 503 SlowDown: Please reduce .*\(3 tries in"
    ) as told:
        folder.read("x")
    assert gate.fail == 997
    assert "the same command goes on" in told.value.hint


def test_body_that_breaks_off_is_read_again(bucket: str, gate: Any) -> None:
    folder = S3Folder(f"{bucket}/store")
    data = bytes(range(256)) * 10_000
    folder.write("x", data)
    whole = folder.checksum("x")
    gate.where, gate.cut = (lambda method, path: method == "GET"), 2
    same = folder.read("x") == data
    assert same
    assert gate.cut == 0
    gate.cut = 2
    assert folder.checksum("x") == whole
    gate.cut = 1000
    with pytest.raises(StoreError, match=r"cannot be read: .*3 tries"):
        folder.read("x")


def test_slow_answers_are_waited_for(bucket: str, gate: Any) -> None:
    folder = S3Folder(f"{bucket}/store")
    gate.delay = 1.5
    folder.write("x", b"1")
    assert folder.read("x") == b"1"


def test_answer_that_never_comes_is_bounded(bucket: str, gate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "READ_S", 0.3)
    objects.client.cache_clear()
    gate.delay = 5
    with pytest.raises(StoreError, match="cannot be read: ReadTimeoutError"):
        S3Folder(f"{bucket}/store").read("x")


def test_refused_credentials_say_so(bucket: str, gate: Any) -> None:
    from s3_server import DENIED

    gate.fail, gate.status, gate.body = 1, "403 Forbidden", DENIED
    with pytest.raises(StoreError, match="access denied") as told:
        S3Folder(f"{bucket}/store").read("x")
    assert "credentials" in told.value.hint


def test_no_credentials_say_so(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    objects.client.cache_clear()
    with pytest.raises(StoreError, match="credentials") as told:
        S3Folder(f"{bucket}/store").read("x")
    assert "AWS_PROFILE" in told.value.hint


def test_bucket_that_is_not_there_says_so(bucket: str) -> None:
    with pytest.raises(StoreError, match="NoSuchBucket") as told:
        S3Folder("s3://never-made-bucket/store").names()
    assert "make the bucket" in told.value.hint


def test_threads_share_the_client(bucket: str) -> None:
    folder = S3Folder(f"{bucket}/store")
    threads = [threading.Thread(target=folder.write, args=(f"t/{i}", b"x")) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folder.names("t")) == 8
