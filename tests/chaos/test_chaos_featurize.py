"""Row 19 of BAD_INPUTS: a worker, a node or a raylet that is lost while features are computed changes no row."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_flight import pid_at_work
from simulated import ENV, Simulated
from small_job import config_file, finish, start
from sounds import tone, write

from ray_pipeline.store import Table, open_store
from ray_pipeline.store.verify import verify

pytestmark = pytest.mark.ray

N = 60
NODES = 2


@pytest.fixture(scope="module")
def job(cluster: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config beside which lie music, ingested, and what a run without any loss makes of it."""
    cluster.ready(NODES)
    folder = tmp_path_factory.mktemp("chaos")
    for i in range(N):
        write(folder / f"music/{i:02d}.wav", tone(3.0, 22050, hz=200 + i, seed=i), 22050)
    job = config_file(folder, resources={"block_size": 2})
    run("ingest", job, cluster)
    shutil.copytree(folder / "store", folder / "ingested")
    run("featurize", job, cluster)
    (folder / "store").rename(folder / "clean")
    return job


@pytest.fixture
def folder(job: Path) -> Path:
    shutil.rmtree(job.parent / "store", ignore_errors=True)
    shutil.copytree(job.parent / "ingested", job.parent / "store")
    return job.parent


def run(command: str, job: Path, cluster: Simulated) -> None:
    code, said = finish(command, job, "--address", cluster.address, env=ENV)
    assert code == 0, said


def features(store: Path) -> list[dict[str, Any]]:
    """Every row of the one feature, by track."""
    (path,) = store.glob("features/*.lance")
    found: list[dict[str, Any]] = Table(str(path)).read().sort_by("track_id").to_pylist()
    return found


def kill_worker(cluster: Simulated, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def remove_node(cluster: Simulated, pid: int) -> None:
    cluster.remove(cluster.node_of(pid))


def kill_raylet(cluster: Simulated, pid: int) -> None:
    cluster.kill(cluster.node_of(pid))


@pytest.mark.parametrize("lose", [kill_worker, remove_node, kill_raylet])
def test_row_19_featurize_loses(lose: Callable[[Simulated, int], None], cluster: Simulated, folder: Path) -> None:
    cluster.ready(NODES)
    job = start("featurize", folder / "job.yaml", "--address", cluster.address, env=ENV)
    lose(cluster, pid_at_work(lambda: cluster.notes("featurize"), lambda: job.poll() is None))
    said, _ = job.communicate(timeout=240)
    assert job.returncode == 0, said
    found = features(folder / "store")
    assert [row["status"] for row in found] == ["ok"] * N
    assert found == features(folder / "clean")
    assert verify(open_store(folder / "store")) == []
    assert not cluster.notes("featurize")
    cluster.wait_until_free(len(cluster.nodes))
