"""Tracks that end the process that works on them. Numbers are those of BAD_INPUTS."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processed import Row, process
from sounds import write

from ray_pipeline.schemas import Status
from ray_pipeline.stages.blocks import Job, run_job
from ray_pipeline.stages.featurize import ExtractFeatures, feature_table, to_decode
from ray_pipeline.stages.guard import Guard, verdicts
from ray_pipeline.stages.ingest import read_tracks
from ray_pipeline.store.verify import verify

TIMEOUT_S = 20.0
MEMORY_MB = 200
HUNG_S, SWALLOWED_MB = 120, 2000
"""What would be taken if nobody stepped in."""


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def hang() -> None:
    """As a decoder does that never comes back: holding the interpreter's lock, so that no thread of ours can run."""
    ctypes.PyDLL(None).sleep(HUNG_S)


def swallow() -> None:
    """Much, in steps that the machine bears."""
    held = []
    for _ in range(SWALLOWED_MB // 50):
        held.append(np.ones(50 * 2**20, np.uint8))
        time.sleep(0.05)


DEEDS: dict[str, Callable[[], None]] = {"crash.wav": crash, "hang.wav": hang, "swallow.wav": swallow}


class Poisoned(ExtractFeatures):
    """Features, but a track of one of three names does what a broken decoder might."""

    def _extract(self, row: Row) -> Row:
        DEEDS.get(os.path.basename(row["uri"]), lambda: None)()  # noqa: PTH119
        return super()._extract(row)


@pytest.mark.ray
def test_row_18_poison_costs_only_itself(ray_session: Any, tmp_path: Path, cost: Callable[..., None]) -> None:
    from ray import cloudpickle

    good = [f"{i}.wav" for i in range(6)]
    for name in (*good, *DEEDS):
        write(tmp_path / "music" / name)
    limits = {"num_cpus": 2, "track_timeout_s": TIMEOUT_S, "track_memory_mb": MEMORY_MB}
    source = {"kind": "folder", "root": str(tmp_path / "music")}
    ctx = process(tmp_path / "store", source, "ingest", resources=limits)
    tracks = read_tracks(ctx)
    table = feature_table(ctx, "mfcc")
    table.create(_schema(), {})

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        job = Job("featurize", Poisoned(("mfcc",), ctx.config.audio), [table], block_size=3)
        counted = run_job(job, [to_decode(track) for track in tracks], ctx)
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])

    names = {track["track_id"]: Path(track["uri"]).name for track in tracks}
    rows = {names[row["track_id"]]: row for row in table.read().to_pylist()}
    what = "3 tracks crash, hang and swallow memory"
    ids = table.read()["track_id"].to_pylist()
    cost(what, "featurize", ids, len(tracks), again=ctx.run.retried["featurize"])
    assert table.count() == len(tracks)
    assert {name: row["status"] for name, row in rows.items()} == dict.fromkeys(good, "ok") | {
        "crash.wav": "worker_crash",
        "hang.wav": "timeout",
        "swallow.wav": "out_of_memory",
    }
    assert f"{TIMEOUT_S:g} s" in rows["hang.wav"]["error"]
    assert f"{MEMORY_MB} MiB" in rows["swallow.wav"]["error"]
    assert counted == {"ok": 6, "worker_crash": 1, "timeout": 1, "out_of_memory": 1}
    assert verify(ctx.store) == []


def _schema() -> Any:
    from ray_pipeline import schemas

    return schemas.feature("mfcc", (20,))


def _work(folder: Path, key: str, deed: Callable[[], None]) -> None:
    guard = Guard(folder, timeout_s=0.5, memory_mb=100)
    guard.begin("the one before")
    guard.rest()
    guard.begin(key)
    deed()


@pytest.mark.parametrize(
    ("deed", "status"), [(crash, Status.WORKER_CRASH), (hang, Status.TIMEOUT), (swallow, Status.OUT_OF_MEMORY)]
)
def test_guard_names_the_track_whatever_it_is_called(tmp_path: Path, deed: Callable[[], None], status: Status) -> None:
    """A key may be a path, and a path may hold a line break. Nothing gets near to what it would take."""
    key = "/music/new\nline \u202e\udcff.wav"
    child = multiprocessing.get_context("spawn").Process(target=_work, args=(tmp_path, key, deed))
    began, peak = time.monotonic(), 0
    child.start()
    while child.is_alive():
        peak = max(peak, peak_kib(child.pid))
        time.sleep(0.02)
    assert child.exitcode not in {0, None}
    assert verdicts(tmp_path) == {key: status}
    assert time.monotonic() - began < HUNG_S / 2 and 0 < peak < SWALLOWED_MB / 2 * 1024


def peak_kib(pid: int | None) -> int:
    """The most memory that a process has held; 0 once it has ended."""
    try:
        told = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(told.partition("VmHWM:")[2].split()[0]) if "VmHWM:" in told else 0


def test_guard_at_rest_accuses_nobody(tmp_path: Path) -> None:
    with Guard(tmp_path, timeout_s=60, memory_mb=1000) as guard:
        guard.begin("a")
    assert verdicts(tmp_path) == {}


def test_verdict_of_a_note_that_was_not_finished(tmp_path: Path) -> None:
    (tmp_path / "1-a").write_text('"half of a na')
    assert verdicts(tmp_path) == {}
