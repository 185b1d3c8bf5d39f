"""A store on S3: tables, leases, runs and commands work there as in a folder; what S3 refuses leaves nothing half-done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from ray_pipeline.cli.main import app
from ray_pipeline.errors import Damaged, LeaseHeld, StoreError
from ray_pipeline.store import Run, Store, Table, latest_run, lease, open_store, record_run, write_fragment
from ray_pipeline.store.export import export
from ray_pipeline.store.prune import prune, rubbish
from ray_pipeline.store.verify import verify

SCHEMA = pa.schema(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        ("vector", pa.list_(pa.float32(), 4)),
    ]
)


def rows(*ids: str) -> pa.Table:
    columns = {"track_id": ids, "content_hash": [f"c{i}" for i in ids], "vector": [[1.0] * 4] * len(ids)}
    return pa.table(columns, schema=SCHEMA)


def ids(table: Table) -> list[str]:
    return sorted(table.read(["track_id"])["track_id"].to_pylist())


@pytest.fixture
def store(bucket: str) -> Store:
    return Store(f"{bucket}/some/store")


@pytest.fixture
def table(store: Store) -> Table:
    """Two fragments of two rows each, of a run that is done."""
    table = store.table("tracks", "x")
    table.create(SCHEMA, {"stage": "test"})
    for i in range(2):
        table.append(rows(f"{i}a", f"{i}b"))
    run = Run("run", {}, tables={"tracks": ["tracks/x.lance"]}, state="done", statuses={"tracks": {"ok": 4}})
    record_run(store, run)
    return table


def test_table_round_trips(store: Store, table: Table) -> None:
    assert (ids(table), table.version(), table.recipe()) == (["0a", "0b", "1a", "1b"], 3, {"stage": "test"})
    assert table.schema().field("vector") == SCHEMA.field("vector")
    written = write_fragment(rows("new"), table.uri)
    assert "new" not in ids(table), "what is not committed is not read"
    table.commit([written])
    table.delete_keys("track_id", ["0a", "1b"])
    assert ids(table) == ["0b", "1a", "new"]
    table.replace(rows("only"))
    assert (ids(table), verify(store)) == (["only"], [])
    assert store.address(table) == "tracks/x.lance"
    assert store.datasets() == [store.at("tracks/x.lance")]


def test_two_processes_that_append_lose_nothing(table: Table, cost: Callable[..., None]) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from test_s3_store import rows\n"
        "from ray_pipeline.store import Table\n"
        "for i in range(6): Table(sys.argv[1]).append(rows(f'{sys.argv[3]}{i}'))"
    )
    paths = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
    here = str(Path(__file__).parent)
    writers = [subprocess.Popen([sys.executable, "-c", paths + code, table.uri, here, name]) for name in "pq"]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    found = ids(table)
    cost("two processes append at once", "a table on S3", found, 4 + 12)
    assert len(found) == len(set(found)) == 4 + 12
    assert table.damage() == []


def test_of_two_writers_one_is_told_who_holds_it(store: Store) -> None:
    with store.lease("features"), pytest.raises(LeaseHeld, match="being written by process"):
        store.lease("features").__enter__()
    with store.lease("features"):
        pass


def test_stale_lease_is_taken_over_by_one_alone(store: Store) -> None:
    gone = {"host": "elsewhere", "pid": 1, "token": "another", "time": time.time() - 3600}
    store.files.write("leases/features.json", json.dumps(gone).encode())
    first = store.lease("features")
    with first, pytest.raises(LeaseHeld):
        store.lease("features").__enter__()
    fresh = gone | {"time": time.time()}
    store.files.write("leases/features.json", json.dumps(fresh).encode())
    with pytest.raises(LeaseHeld, match="on elsewhere"):
        store.lease("features").__enter__()


def test_heartbeat_keeps_it_and_ends_with_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.05)

    def held() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(store.files.read("leases/f.json"))
        return found

    with store.lease("f"):
        first, until = held()["time"], time.monotonic() + 30
        while held()["time"] == first:
            assert time.monotonic() < until, "no heartbeat"
    assert held() == {}


def test_lease_whose_put_was_answered_too_late_is_ours(store: Store, gate: Any) -> None:
    """The put is done, its answer is lost, and the same put again finds a file that is there: our own."""
    app_below = gate.app
    lost = []

    def losing(environ: dict[str, Any], start_response: Any) -> Any:
        answer = app_below(environ, start_response if lost or environ["REQUEST_METHOD"] != "PUT" else lambda *_: None)
        if environ["REQUEST_METHOD"] == "PUT" and not lost:
            lost.append(b"".join(answer))
            start_response("500 Internal Server Error", [("Content-Length", "0")])
            return [b""]
        return answer

    gate.app = losing
    try:
        with store.lease("features"):
            assert lost
    finally:
        gate.app = app_below


def test_runs_are_written_down(store: Store, table: Table) -> None:
    run = latest_run(store)
    assert run.tables == {"tracks": ["tracks/x.lance"]}
    run.state = "failed"
    record_run(store, run)
    with pytest.raises(StoreError, match="no finished run"):
        latest_run(store)
    store.files.write("runs/9.json", b"{")
    with pytest.raises(StoreError, match=r"s3://.*/runs/9\.json: not a run's record"):
        latest_run(store)


def test_changed_object_is_named_and_its_rows_are_dropped(store: Store, table: Table) -> None:
    name = sorted(table.files())[0]
    data = bytearray(table.folder.read(f"data/{name}"))
    data[len(data) // 3] ^= 0xFF
    table.folder.write(f"data/{name}", bytes(data))
    (problem,) = verify(store)
    assert name in problem and "not those that were written" in problem
    assert table.mend() == 2
    assert (len(ids(table)), verify(store)) == (2, [])


def test_unreadable_version_is_told_and_set_aside(table: Table) -> None:
    manifest = table._manifests()[0]
    table.folder.write(manifest, table.folder.read(manifest)[:20])
    with pytest.raises(Damaged, match="cannot be read"):
        table.read()
    assert table.step_back() == 1
    assert ids(table) == ["0a", "0b"]


def test_store_out_of_reach_is_not_taken_for_damage(table: Table, gate: Any) -> None:
    gate.fail = 10_000
    for act in (table.step_back, table.mend, table.read, table.damage):
        with pytest.raises(StoreError) as told:
            act()
        assert not isinstance(told.value, Damaged)
    gate.open()
    assert (table.step_back(), len(ids(table))) == (0, 4)


def test_lance_waits_for_a_busy_store(table: Table, gate: Any) -> None:
    for act in (lambda: table.append(rows("new")), lambda: table.delete("track_id = '0a'"), table.read):
        gate.fail = 2
        act()
        assert gate.fail == 0
    assert ids(table) == ["0b", "1a", "1b", "new"]


def test_busy_for_ever_leaves_the_table_as_it_was(table: Table, gate: Any) -> None:
    version = table.version()
    gate.where, gate.fail = (lambda method, path: method == "PUT" and "_versions" in path), 10_000
    with pytest.raises(StoreError, match="S3 does not answer, or refuses") as told:
        table.append(rows("new"))
    assert "the same command goes on" in told.value.hint
    gate.open()
    assert (ids(table), table.version(), table.damage()) == (["0a", "0b", "1a", "1b"], version, [])
    table.append(rows("new"))
    assert "new" in ids(table)


def test_prune_takes_what_no_run_refers_to(store: Store, table: Table) -> None:
    gone = store.table("features", "gone")
    gone.create(SCHEMA)
    write_fragment(rows("never committed"), table.uri)
    for name in ("models/m2/card.json", "experiments/e2/clustering.json", "scratch/x/y"):
        store.files.write(name, b"something")
    found = {one.name for one in rubbish(store)}
    assert {"features/gone.lance", "models/m2", "experiments/e2", "scratch/x"} <= found
    assert sum(name.startswith("tracks/x.lance/data/") for name in found) == 1
    assert prune(store) > 0
    assert (rubbish(store), verify(store), len(ids(table))) == ([], [], 4)
    assert not gone.exists()


def test_prune_takes_a_sweeps_page_that_is_not_put_there_again(store: Store, table: Table) -> None:
    for name in ("report/sweep-gone.html", "report/index.html", "tune/gone/trial/events"):
        path = store.folder(*name.split("/")[:-1]) / name.rpartition("/")[2]
        path.write_text("something")
    store.keep("report")
    store.keep("tune", "gone")
    prune(store)
    store.keep("report")
    store.keep("tune", "gone")
    assert (store.files.names("report"), store.files.names("tune")) == (["index.html"], [])


def test_prune_stops_where_something_is_written(store: Store, table: Table) -> None:
    store.files.write("scratch/x/y", b"something")
    with store.lease("features"), pytest.raises(LeaseHeld):
        prune(store)
    assert store.files.names("scratch") == ["x"]


def test_export_reads_from_there(store: Store, table: Table, tmp_path: Path) -> None:
    (path,) = export(store, latest_run(store), tmp_path / "out")
    assert path.name == "tracks.parquet" and path.stat().st_size > 0


def test_commands_take_the_address(store: Store, table: Table) -> None:
    for args in (["status"], ["verify"], ["prune"], ["prune", "--yes"]):
        done = CliRunner().invoke(app, [args[0], str(store.root), *args[1:]])
        assert done.exit_code == 0, done.output
    assert f"{store.root}: last run" in CliRunner().invoke(app, ["status", f"{store.root}/"]).output.replace("\n", "")


@pytest.mark.parametrize(
    ("address", "code", "told"),
    [
        ("{bucket}/nothing", 1, "there is no such store"),
        ("{bucket}/some", 1, "holds no store"),
        ("s3://no_bucket/x", 2, "s3://bucket/prefix"),
    ],
)
def test_what_is_no_store_is_told(bucket: str, table: Table, address: str, code: int, told: str) -> None:
    done = CliRunner().invoke(app, ["status", address.format(bucket=bucket)])
    assert (done.exit_code, told in done.output.replace("\n", " ")) == (code, True), done.output


def test_addresses_that_lead_out_are_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="outside the store"):
        store.at("../elsewhere/x.lance")


def test_what_needs_a_file_system_is_kept_there_too(store: Store) -> None:
    folder = store.folder("logs")
    (folder / "a.log").write_text("one")
    store.keep("logs")
    (folder / "a.log").write_text("one, two")
    (folder / "b.log").write_text("three")
    store.keep("logs")
    assert store.files.read("logs/a.log") == b"one, two"
    assert store.files.names("logs") == ["a.log", "b.log"]


def test_what_another_machine_wrote_since_stays(store: Store) -> None:
    """This machine's page is of a former run."""
    old = store.folder("report") / "index.html"
    old.write_text("a page of last week")
    os.utime(old, (1.0, 1.0))
    store.files.write("report/index.html", b"today's")
    store.keep("report")
    assert store.files.read("report/index.html") == b"today's"


def test_opened_again_it_is_the_same(store: Store, table: Table) -> None:
    assert ids(open_store(f"{store.root}/").at("tracks/x.lance")) == ids(table)
