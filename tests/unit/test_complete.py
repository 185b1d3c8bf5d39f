"""Tracks without the row that a stage owed them are found; what is yet to be done, and what was interrupted, is no alarm."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from ray_pipeline.store import Run, Store, Table, record_run
from ray_pipeline.store.verify import verify

KEYS = pa.schema(
    [pa.field("track_id", pa.string(), nullable=False), pa.field("content_hash", pa.string(), nullable=False)]
)
ALL = "abcd"
DONE = {"features": "featurize", "lyrics": "transcribe", "text_vectors": "embed"}
WHOLE = {"ingest": 4, "featurize": 4, "transcribe": 4, "embed": 1}


def rows(ids: str) -> pa.Table:
    return pa.table({"track_id": list(ids), "content_hash": [f"c{one}" for one in ids]}, schema=KEYS)


def fill(store: Store, name: str, ids: str) -> Table:
    """The dataset ``<name>/x`` with a row for each letter of `ids`, and no others."""
    table = store.table(name, "x")
    table.create(KEYS)
    table.replace(rows(ids))
    return table


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Four tracks, and their row in each table that owes one."""
    place = tmp_path / "store" if request.param == "local" else f"{request.getfixturevalue('bucket')}/store"
    store = Store(place)
    for name in ("tracks", *DONE):
        fill(store, name, ALL)
    return store


def record(store: Store, time: str, command: str, done: dict[str, int], *names: str, state: str = "done") -> None:
    tables = {name: [f"{name}/x.lance"] for name in ("tracks", *names)}
    record_run(store, Run(command, {}, time=time, state=state, tables=tables, done=done))


def whole(store: Store, time: str = "1") -> None:
    record(store, time, "run", WHOLE, *DONE)


def test_a_whole_run_and_one_stage_by_stage_are_sound(store: Store) -> None:
    whole(store)
    assert verify(store) == []
    record(store, "2", "ingest", {"ingest": 0})
    for i, (name, stage) in enumerate(DONE.items(), start=3):
        record(store, str(i), stage, {stage: 0}, *list(DONE)[: list(DONE).index(name) + 1])
    record(store, "6", "train", {"train": 1}, *DONE)
    assert verify(store) == []


@pytest.mark.parametrize("name", DONE)
@pytest.mark.parametrize("since", ["nothing", "train", "failed train", "another stage"])
def test_tracks_without_a_row_are_counted_and_named(store: Store, name: str, since: str) -> None:
    whole(store)
    if "train" in since:
        state = "failed" if "failed" in since else "done"
        record(store, "2", "train", {}, *DONE, state=state)
    elif since == "another stage":
        record(store, "2", "evaluate", {"evaluate": 1}, *DONE)
    fill(store, name, "ad")
    found = verify(store)
    assert found[0] == f"{name}/x: 2 of 4 tracks have no row in it, the first 'b', 'c'"
    # What was never heard has no vector either.
    assert len(found) == 1


def test_many_are_not_all_named(store: Store) -> None:
    whole(store)
    fill(store, "features", "")
    assert verify(store) == ["features/x: 4 of 4 tracks have no row in it, the first 'a', 'b', 'c'"]


def test_a_row_of_former_content_is_none(store: Store) -> None:
    whole(store)
    tracks = fill(store, "tracks", "bcd")
    tracks.append(pa.table({"track_id": ["a"], "content_hash": ["other"]}, schema=KEYS))
    assert [line for line in verify(store) if "the first 'a'" in line and "1 of 4" in line]


def test_a_table_that_is_gone_lacks_every_row(store: Store) -> None:
    whole(store)
    store.remove("lyrics/x.lance")
    assert verify(store) == ["lyrics/x: 4 of 4 tracks have no row in it, the first 'a', 'b', 'c'"]


def test_a_damaged_table_is_told_once(store: Store) -> None:
    whole(store)
    table = fill(store, "features", "a")
    (name,) = table.files()
    table.folder.write(f"data/{name}", b"")
    assert len(verify(store)) == 1


INTERRUPTED: dict[str, Callable[[Store], None]] = {
    "run, in ingest": lambda store: record(store, "2", "run", {}, state="interrupted"),
    "run, in featurize": lambda store: record(store, "2", "run", {"ingest": 1}, "features", state="interrupted"),
    "featurize": lambda store: record(store, "2", "featurize", {}, "features", state="interrupted"),
    "failed": lambda store: record(store, "2", "featurize", {}, "features", state="failed"),
}


@pytest.mark.parametrize("leave", INTERRUPTED.values(), ids=INTERRUPTED)
def test_an_interrupted_run_is_no_alarm(store: Store, leave: Callable[[Store], None]) -> None:
    """It may have found new tracks, and cleared rows that it would have made again."""
    whole(store)
    leave(store)
    record(store, "3", "train", {"train": 1}, *DONE)
    fill(store, "features", "ab")
    assert verify(store) == []


def test_what_an_interrupted_run_came_to_the_end_of_is_held_to_it(store: Store) -> None:
    record(store, "1", "run", {"ingest": 4, "featurize": 4}, "features", "lyrics", state="interrupted")
    fill(store, "lyrics", "a")
    assert verify(store) == []
    fill(store, "features", "abd")
    assert verify(store) == ["features/x: 1 of 4 tracks have no row in it, the first 'c'"]


@pytest.mark.parametrize("name", ["tracks", "features"])
def test_what_is_being_written_or_whose_writer_was_killed_is_no_alarm(store: Store, name: str) -> None:
    whole(store)
    fill(store, "features", "ab")
    killed = {"host": "elsewhere", "pid": 1, "token": "another", "time": 0}
    store.files.write(f"leases/{name}.json", json.dumps(killed).encode())
    assert verify(store) == []
    with store.lease(name):
        assert verify(store) == []
    assert len(verify(store)) == 1, "a lease that was given back stops nothing"


def test_tracks_that_were_ingested_since_are_yet_to_do(store: Store) -> None:
    whole(store)
    fill(store, "tracks", "abcde")
    record(store, "2", "ingest", {"ingest": 1})
    record(store, "3", "train", {"train": 1}, *DONE)
    assert verify(store) == []


def test_vectors_are_owed_for_what_was_heard_before_them(store: Store) -> None:
    record(store, "1", "ingest", {"ingest": 4})
    record(store, "2", "transcribe", {}, "lyrics", state="interrupted")
    record(store, "3", "embed", {"embed": 1}, "lyrics", "text_vectors")
    fill(store, "lyrics", "ab")
    fill(store, "text_vectors", "ab")
    assert verify(store) == []
    record(store, "4", "transcribe", {"transcribe": 2}, "lyrics")
    fill(store, "lyrics", ALL)
    assert verify(store) == []


def test_an_import_leaves_rows_to_featurize(store: Store) -> None:
    whole(store)
    record(store, "2", "import-features", {"import-features": 2}, "features")
    fill(store, "features", "ab")
    assert verify(store) == []


def test_runs_of_earlier_versions_and_stores_without_any_are_no_alarm(store: Store) -> None:
    fill(store, "features", "ab")
    assert verify(store) == []
    record_run(store, Run("featurize", {}, time="1", state="done", tables={"features": ["features/x.lance"]}))
    assert verify(store) == []
    record(store, "2", "run", {}, *DONE)
    assert verify(store) == []


def test_a_record_that_cannot_be_read_is_told(store: Store) -> None:
    store.files.write("runs/1.json", b"{")
    (problem,) = verify(store)
    assert "runs/1.json: not a run's record" in problem
