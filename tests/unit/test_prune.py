"""Prune: takes away what no run refers to, and nothing else; what is left is sound and reads as before."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from ray_pipeline.cli.main import app
from ray_pipeline.errors import Damaged, LeaseHeld, StoreError
from ray_pipeline.store import Lease, Run, Store, Table, record_run, write_fragment
from ray_pipeline.store.prune import Rubbish, prune, rubbish
from ray_pipeline.store.table import MANY_FRAGMENTS
from ray_pipeline.store.verify import verify

SCHEMA = pa.schema([pa.field("track_id", pa.string()), ("value", pa.float32())])
PAGES = ("index.html", "audit.html", "sweep-s1.html", "sweep-s2.html")


def rows(*ids: str) -> pa.Table:
    return pa.table({"track_id": ids, "value": [1.0] * len(ids)}, schema=SCHEMA)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One run with a dataset of many fragments, a model and a sweep; beside them one of each kind of rubbish."""
    store = Store(tmp_path / "store")
    kept, gone = store.table("features", "kept"), store.table("features", "gone")
    for table, n in ((kept, MANY_FRAGMENTS + 5), (gone, 1)):
        table.create(SCHEMA)
        for i in range(n):
            table.append(rows(f"{i:03d}"))
    write_fragment(rows("never committed"), kept.uri)
    store.table("trials", "s2").create(SCHEMA)
    tables = {"features": [store.address(kept)], "latents": ["latents/m1.lance"], "trials": ["trials/s1.lance"]}
    record_run(store, Run("run", {}, tables=tables, experiments=["e1"]))
    for name in (
        "models/m1", "models/m2", "experiments/e1", "experiments/e2", "tensorboard/m2", "scratch/x", "tune/s1/t", "tune/s2/t"
    ):  # fmt: skip
        (store.folder(name) / "file").write_text("something")
    for name in PAGES:
        (store.folder("report") / name).write_text("something")
    return store


def named(found: list[Rubbish]) -> set[str]:
    return {one.name for one in found}


def ids(table: Table) -> list[str]:
    return sorted(table.read()["track_id"].to_pylist())


def test_what_no_run_refers_to_is_listed_and_the_rest_is_not(store: Store) -> None:
    found = named(rubbish(store))
    whole = {"features/gone.lance", "models/m2", "experiments/e2", "tensorboard/m2", "scratch/x"}
    whole |= {"trials/s2.lance", "tune/s2", "report/sweep-s2.html"}
    files = found - whole
    assert whole <= found
    assert {Path(name).parent.as_posix() for name in files} == {
        "features/kept.lance/data",
        "features/kept.lance/_checksums",
    }
    assert len(files) == 2
    assert all(one.size > 0 and one.why for one in rubbish(store))


def test_it_goes_and_what_stays_reads_as_before(store: Store) -> None:
    kept = store.table("features", "kept")
    before = ids(kept)
    assert prune(store) > 0
    assert ids(kept) == before
    assert rubbish(store) == [] and verify(store) == []
    assert (store.root / "models/m1/file").is_file() and (store.root / "tune/s1/t/file").is_file()
    assert store.files.names("report") == sorted(set(PAGES) - {"sweep-s2.html"})
    assert len(kept.files()) == 1, "small fragments were put together"
    assert prune(store) <= 0 or rubbish(store) == []


def test_a_table_that_was_pruned_takes_more_rows(store: Store) -> None:
    prune(store)
    kept = store.table("features", "kept")
    n = kept.count()
    kept.append(rows("new"))
    assert kept.count() == n + 1 and verify(store) == []


def test_nothing_is_taken_while_something_is_written(store: Store) -> None:
    with Lease(store.folder("leases"), "features"), pytest.raises(LeaseHeld):
        prune(store)
    assert (store.root / "scratch/x").is_dir()


def test_nothing_begins_while_it_is_pruned(store: Store) -> None:
    """A sweep that begins has a lease whose name nobody could know."""
    prune(store)
    (store.root / "leases/prune.json").write_text(json.dumps({"host": "h", "token": "t", "time": time.time()}))
    with pytest.raises(LeaseHeld, match="is being pruned"), store.lease("trials-new"):
        pass
    assert not store.lease("trials-new").is_held(), "what was taken is let go"


def test_nothing_is_taken_where_a_file_is_damaged(store: Store) -> None:
    data = store.root / "features/kept.lance/data" / min(store.table("features", "kept").files())
    data.write_bytes(b"\0" * data.stat().st_size)
    with pytest.raises(Damaged):
        prune(store)
    assert (store.root / "scratch/x").is_dir()


def test_nothing_is_listed_where_a_run_cannot_be_read(store: Store) -> None:
    (store.root / "runs/1.json").write_text("{")
    with pytest.raises(StoreError, match=r"runs/1\.json"):
        rubbish(store)


def test_addresses_that_lead_out_of_the_store_are_refused(store: Store) -> None:
    outside = store.root.parent / "mine"
    outside.mkdir()
    (path,) = (store.root / "runs").glob("*.json")
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"tables": {"features": ["../mine"]}}))
    with pytest.raises(StoreError, match="outside the store"):
        prune(store)
    assert outside.is_dir()


def test_links_are_taken_and_not_followed(store: Store, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "song.mp3").write_text("mine")
    (store.root / "scratch/link").symlink_to(mine)
    prune(store)
    assert (mine / "song.mp3").is_file() and not (store.root / "scratch/link").is_symlink()


def test_the_command_lists_and_takes_away_only_when_told(store: Store) -> None:
    listed = CliRunner().invoke(app, ["prune", str(store.root)])
    assert listed.exit_code == 0 and "features/gone.lance: no run refers to it" in listed.output.replace("\n", "")
    assert (store.root / "features/gone.lance").is_dir()
    done = CliRunner().invoke(app, ["prune", str(store.root), "--yes"])
    assert done.exit_code == 0 and "freed" in done.output
    assert not (store.root / "features/gone.lance").is_dir()
