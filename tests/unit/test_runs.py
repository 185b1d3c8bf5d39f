"""What each run was told, read and wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ray_pipeline.errors import StoreError
from ray_pipeline.store import Run, Store, latest_run, open_store, record_run


def _record(store: Store, time: str, state: str = "done", **values: object) -> Run:
    run = Run("run", {"seed": 1}, time=time, state=state, tables={"tracks": ["tracks/x.lance"]})
    for name, value in values.items():
        setattr(run, name, value)
    record_run(store, run)
    return run


def test_round_trip(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run = _record(store, "1", notes=["\udcff hostile \u202e"], done={"ingest": 3}, seconds={"ingest": 0.5})
    assert latest_run(store) == run


def test_latest_is_the_last_that_finished(tmp_path: Path) -> None:
    store = Store(tmp_path)
    _record(store, "20260101T000000.000001Z")
    _record(store, "20260101T000000.000002Z")
    for number, state in enumerate(("failed", "interrupted", "running"), start=3):
        _record(store, f"20260101T000000.00000{number}Z", state=state)
    assert latest_run(store).time.endswith("2Z")
    assert latest_run(store, states=("failed", "interrupted")).state == "interrupted"


def test_where_chooses(tmp_path: Path) -> None:
    store = Store(tmp_path)
    _record(store, "1", experiments=["e"])
    _record(store, "2")
    assert latest_run(store, where=lambda run: bool(run.experiments)).time == "1"


def test_recording_again_replaces(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run = _record(store, "1", state="failed")
    run.state = "done"
    record_run(store, run)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["1-run.json"]
    assert latest_run(store).state == "done"


def test_none_finished_is_an_error(tmp_path: Path) -> None:
    store = Store(tmp_path)
    _record(store, "1", state="failed")
    with pytest.raises(StoreError, match="no finished run"):
        latest_run(store)


def test_keys_of_another_version_are_left_out(tmp_path: Path) -> None:
    store = Store(tmp_path)
    _record(store, "1")
    (path,) = (tmp_path / "runs").glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"from_the_future": 1}))
    assert latest_run(store).time == "1"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"x"'])
def test_broken_record_is_named(tmp_path: Path, text: str) -> None:
    path = Store(tmp_path).folder("runs") / "1-run.json"
    path.write_text(text)
    with pytest.raises(StoreError, match=r"1-run\.json"):
        latest_run(Store(tmp_path))


def test_open_store_wants_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such store"):
        open_store(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="holds no store"):
        open_store(tmp_path)


def test_address_that_leads_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="outside the store"):
        Store(tmp_path / "store").at("../elsewhere/x.lance")


@pytest.mark.skipif("os.geteuid() == 0", reason="root may write anywhere")
def test_read_only_store_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="Permission denied"):
        record_run(Store(tmp_path), Run("run", {}))
