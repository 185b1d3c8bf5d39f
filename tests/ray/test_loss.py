"""What goes wrong in a worker costs the blocks in flight and no more, and is told."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from in_flight import notes, pid_at_work
from outcome import rows
from small_job import settings
from sounds import tone, write

from ray_pipeline import schemas
from ray_pipeline.config import check
from ray_pipeline.errors import WeightsError
from ray_pipeline.schemas import Status
from ray_pipeline.stages.blocks import Job, Row, run_job
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.featurize import featurize
from ray_pipeline.stages.ingest import ingest
from ray_pipeline.store import Table

pytestmark = pytest.mark.ray


class Echo:
    """A row for each row."""

    def load(self) -> None:
        return None

    def process(self, rows: list[Row], begin: Callable[[str], None]) -> list[Row]:
        out = []
        for row in rows:
            begin(row["track_id"])
            out.append(row | {"status": "ok", "error": "", "value": [1.0]})
        return out

    def failed(self, row: Row, status: Status, error: str) -> list[Row]:
        return [row | {"status": str(status), "error": error}]


class NoWeights(Echo):
    def load(self) -> None:
        raise WeightsError("no weights for 'x'", hint="get some")


class Raises(Echo):
    def process(self, rows: list[Row], begin: Callable[[str], None]) -> list[Row]:
        raise ZeroDivisionError("a bug in a part")


class HandsBack(Echo):
    """Of blocks after the second, each is refused the first time, before any of its tracks is begun."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def process(self, rows: list[Row], begin: Callable[[str], None]) -> list[Row]:
        seen = self.folder / f"{rows[0]['track_id']}-{len(rows)}"
        if rows[0]["track_id"] >= "012" and not seen.exists():
            seen.touch()
            raise ConnectionError("as Ray says of a node that died without a word")
        return super().process(rows, begin)


def echo(ctx: Context, work: Echo, ids: list[str]) -> tuple[Table, dict[str, int]]:
    table = ctx.table("features", "echo")
    table.create(schemas.feature("value", (1,)))
    counted = run_job(Job("echo", work, [table]), [{"track_id": i, "content_hash": i} for i in ids], ctx)
    return table, dict(counted)


@pytest.fixture(autouse=True, scope="module")
def _sent_whole(ray_session: Any) -> Iterator[None]:
    """Workers do not find this file by its name."""
    ray_session.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    ray_session.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def ctx(ray_session: Any, tmp_path: Path) -> Context:
    return Context.of(check(settings(tmp_path, resources={"num_cpus": 2, "block_size": 6})), "test")


def test_worker_that_cannot_load_says_why(ctx: Context) -> None:
    with pytest.raises(WeightsError, match="no weights for 'x'") as told:
        echo(ctx, NoWeights(), ["a", "b"])
    assert told.value.hint == "get some"
    assert told.value.exit_code == 2


def test_bug_in_a_part_ends_in_rows_and_in_the_log(ctx: Context) -> None:
    table, counted = echo(ctx, Raises(), ["a", "b"])
    assert counted == {"worker_crash": 2}
    assert {row["error"] for row in table.read().to_pylist()} == {
        "its worker process died, or raised what logs/ray_data.log tells"
    }


def test_blocks_that_nobody_began_go_out_again_as_blocks(ctx: Context, tmp_path: Path) -> None:
    said: list[str] = []
    ctx.say = said.append
    table, counted = echo(ctx, HandsBack(tmp_path), [f"{i:03d}" for i in range(30)])
    assert counted == {"ok": 30} and table.count() == 30
    assert {path.name for path in tmp_path.glob("0*-*")} == {"012-6", "018-6", "024-6"}, "tried one by one"
    assert ctx.run.retried["echo"] == 18
    assert "echo: 18 tracks came back without a word of what became of them; sending them out again" in said


def test_interrupt_keeps_what_was_finished(ctx: Context) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if done >= 12:
            raise KeyboardInterrupt

    ctx.progress = interrupt
    with pytest.raises(KeyboardInterrupt):
        echo(ctx, Echo(), [f"{i:03d}" for i in range(60)])
    table = ctx.table("features", "echo")
    assert 12 <= table.count() < 60
    assert table.damage() == []


def _ingested(folder: Path) -> Context:
    """The context of a featurize over `folder`/music that is to come, in blocks of two tracks."""
    ctx = Context.of(check(settings(folder, resources={"num_cpus": 2, "block_size": 2, "workers": 2})), "featurize")
    ingest(ctx)
    return ctx


@contextmanager
def _one_is_killed(ctx: Context, stage: str) -> Iterator[None]:
    """Kills the first worker that is seen at work on `stage`."""
    ended = threading.Event()
    killed: list[int] = []

    def kill() -> None:
        killed.append(pid_at_work(lambda: notes(stage, ctx.run.time), lambda: not ended.is_set()))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        ended.set()
        killer.join()
    assert killed


@pytest.mark.slow
def test_killed_worker_changes_no_row(ray_session: Any, tmp_path: Path) -> None:
    for i in range(16):
        write(tmp_path / "one/music" / f"{'x' * (i + 1)}.wav", tone(10.0, hz=200 + i, seed=i))
    (tmp_path / "two").mkdir()
    (tmp_path / "two/music").symlink_to(tmp_path / "one/music")
    clean, hurt = _ingested(tmp_path / "one"), _ingested(tmp_path / "two")
    featurize(clean)
    with _one_is_killed(hurt, "featurize"):
        featurize(hurt)
    found = rows(hurt, "features")
    assert [row["status"] for row in found] == ["ok"] * 16
    assert found == rows(clean, "features")
    assert (clean.run.retried["featurize"], hurt.run.bad["featurize"]) == (0, {})
    assert 1 <= hurt.run.retried["featurize"] <= 2
    assert not notes("featurize", hurt.run.time)
    _wait_for_cpus(ray_session)


class Counted(Echo):
    """Writes down each row that it begins, and takes a moment for it."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def process(self, rows: list[Row], begin: Callable[[str], None]) -> list[Row]:
        def began(key: str) -> None:
            with self.log.open("a") as log:  # before the note, by which the test finds a worker to kill
                log.write(f"{key}\n")
            begin(key)
            time.sleep(0.05)

        return super().process(rows, began)


@pytest.mark.slow
def test_killed_worker_costs_its_one_block(ctx: Context, tmp_path: Path, cost: Callable[..., None]) -> None:
    """Blocks are of six rows, two at a time in flight: rows of the one that was killed are begun again, no others are."""
    ids = [f"{i:03d}" for i in range(60)]
    with _one_is_killed(ctx, "echo"):
        table, counted = echo(ctx, Counted(tmp_path / "begun"), ids)
    begun = Counter((tmp_path / "begun").read_text().split())
    assert begun.keys() == set(ids)
    again = sorted(key for key, times in begun.items() if times > 1)
    cost("a worker is killed", "blocks of 6 tracks", table.read()["track_id"].to_pylist(), 60, again=len(again))
    assert 1 <= len(again) <= 6
    assert {int(key) // 6 for key in again} == {int(again[0]) // 6}
    assert max(begun.values()) == 2
    assert ctx.run.retried["echo"] == 6
    assert counted == {"ok": 60}
    assert sorted(table.read()["track_id"].to_pylist()) == ids


def _wait_for_cpus(ray: Any) -> None:
    """The pool's CPUs come back a moment after it ends."""
    until = time.monotonic() + 30
    while ray.available_resources().get("CPU") != 2.0:
        assert time.monotonic() < until, f"CPUs are still held: {ray.available_resources()}"
        time.sleep(0.1)
