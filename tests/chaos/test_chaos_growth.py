"""A cluster that begins with no node to work on and grows: a stage waits for the first, and takes in those that follow.

The autoscaler is this test: the file that it leaves on a head is written here, and simulated nodes are added by hand.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from simulated import ENV, Simulated, simulated_cluster
from small_job import config_file, finish, start
from sounds import tone, write

from ray_pipeline.store import Table

pytestmark = pytest.mark.ray

N = 120
GROWS = {"head": {"resources": {"CPU": 0}, "max_workers": 0}, "worker": {"resources": {"CPU": 1}, "max_workers": 3}}


@pytest.fixture
def empty() -> Iterator[Simulated]:
    """A head, and nothing beside it."""
    with simulated_cluster() as cluster:
        yield cluster


def wait_for(what: Callable[[], object], running: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not what():
        assert running() and time.monotonic() < until, "nobody began"
        time.sleep(0.002)


def test_nodes_that_come_while_a_stage_runs_are_put_to_work(empty: Simulated, tmp_path: Path) -> None:
    for i in range(N):
        write(tmp_path / f"music/{i:03d}.wav", tone(10, 8000, hz=200 + i, seed=i), 8000)
    job = config_file(tmp_path, resources={"block_size": 1})
    assert finish("ingest", job)[0] == 0
    (tmp_path / "ray_bootstrap_config.yaml").write_text(json.dumps({"available_node_types": GROWS}), encoding="utf-8")
    work = start("featurize", job, "--address", empty.address, env=ENV | {"HOME": str(tmp_path)})

    def running() -> bool:
        return work.poll() is None

    time.sleep(10)
    assert running(), work.communicate()[0]
    for _ in range(2):
        node = empty.add(group="worker")
        wait_for(lambda node=node: empty.notes("featurize", node), running)
    said, _ = work.communicate(timeout=200)
    assert work.returncode == 0, said
    (path,) = tmp_path.glob("store/features/*.lance")
    assert Counter(Table(str(path)).read()["status"].to_pylist()) == {"ok": N}
    _, said = finish("featurize", job, "--address", empty.address, "--dry-run", env=ENV | {"HOME": str(tmp_path)})
    assert "up to 1 more 'worker'" in said, "two of three are there"
