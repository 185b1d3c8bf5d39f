"""Row 23 of BAD_INPUTS: a full disk and a read-only store say what, where and how much, and leave nothing half-committed.

S3 that refuses is in tests/unit/test_s3_store.py and tests/ray/test_s3_whole.py.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from processed import process
from sounds import tone, write

from ray_pipeline.errors import Damaged, StoreError
from ray_pipeline.store import Run, Store, Table, record_run
from ray_pipeline.store.verify import verify

SCHEMA = pa.schema([pa.field("track_id", pa.string()), ("vector", pa.list_(pa.float32(), 1000))])
SIZE = 2 * 2**20
N = 160


def mount(*args: str) -> None:
    if os.geteuid() != 0 or subprocess.run(["mount", *args], capture_output=True, check=False).returncode:
        pytest.skip("a small disk of its own takes the right to mount one")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place))
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def table(disk: Path) -> Table:
    table = Store(disk / "store").table("features", "x")
    table.create(SCHEMA)
    table.append(rows(0))
    return table


def rows(number: int, n: int = 50) -> pa.Table:
    vectors = np.random.default_rng(number).random((n, 1000), np.float32)
    return pa.table({"track_id": [f"{number}-{i}" for i in range(n)], "vector": list(vectors)}, schema=SCHEMA)


def fill(table: Table) -> int:
    """Append until the disk is full; how many appends were committed."""
    for number in range(1, 100):
        try:
            table.append(rows(number))
        except StoreError as error:
            assert not isinstance(error, Damaged)
            assert table.uri in str(error) and "No space left on device" in str(error)
            assert f"bytes free of {SIZE:,}" in str(error)
            assert "is the disk full" in error.hint
            return number
    raise AssertionError("the disk was never full")


def test_row_23_full_disk_leaves_what_was_committed(disk: Path, table: Table, cost: Callable[..., None]) -> None:
    store, n = Store(disk / "store"), fill(table)
    cost("the disk is full", "a table", table.read()["track_id"].to_pylist(), 50 * n)
    assert table.count() == 50 * n
    assert verify(store) == []


def test_row_23_full_disk_keeps_the_record_that_was_there(disk: Path, table: Table) -> None:
    store, run = Store(disk / "store"), Run("run", {})
    record_run(store, run)
    before = [(disk / "store/runs" / name).read_bytes() for name in store.files.names("runs")]
    run.notes = ["x" * SIZE]
    with pytest.raises(StoreError, match=r"runs/.*\.json: No space left on device, [\d,]+ bytes free of"):
        record_run(store, run)
    assert [(disk / "store/runs" / name).read_bytes() for name in store.files.names("runs")] == before


@pytest.mark.ray
@pytest.mark.slow
def test_row_23_disk_that_fills_under_workers_ends_the_stage_and_the_same_command_does_the_rest(
    ray_session: Any, disk: Path, tmp_path: Path, cost: Callable[..., None]
) -> None:
    """A log-mel takes 16 kB: about a hundred find room."""
    for i in range(N):
        write(tmp_path / f"music/{i:03d}.wav", tone(1.1, 8000, hz=200 + i, seed=i), 8000)
    told = {"features": ["log_mel"], "resources": {"num_cpus": 2, "workers": 2, "block_size": 4}}
    store, source = disk / "store", {"kind": "folder", "root": str(tmp_path / "music")}
    process(store, source, "ingest", **told)
    with pytest.raises(StoreError, match="No space left on device") as ended:
        process(store, source, "featurize", **told)
    assert "is the disk full" in ended.value.hint
    (table,) = Store(store).datasets("features")
    kept = table.count()
    assert kept < N and verify(Store(store)) == [], "something was half-committed"
    mount("-o", f"remount,size={32 * SIZE}", str(disk))
    ctx = process(store, source, "featurize", **told)
    ids = table.read()["track_id"].to_pylist()
    cost("the disk fills, and has room again", "featurize", ids, N)
    assert ctx.run.done["featurize"] == N - kept
    assert len(ids) == len(set(ids)) == N
    assert set(table.read()["status"].to_pylist()) == {"ok"} and verify(Store(store)) == []


def test_row_23_read_only_store_can_be_read_and_says_why_it_cannot_be_written(disk: Path, table: Table) -> None:
    store = Store(disk / "store")
    mount("-o", "remount,ro", str(disk))
    assert table.count() == 50
    for act in (
        lambda: table.append(rows(1)),
        lambda: table.delete("true"),
        lambda: store.table("features", "y").create(SCHEMA),
        lambda: record_run(store, Run("run", {})),
        lambda: store.lease("features").__enter__(),
    ):
        with pytest.raises(StoreError, match="Read-only file system") as told:
            act()
        assert not isinstance(told.value, Damaged)
        assert "read-only" in told.value.hint
    assert table.count() == 50
