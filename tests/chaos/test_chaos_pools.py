"""A node is lost on which one pool decodes and another hears, by a stand-in for Whisper on a pretended GPU: no row is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from losses import LOSSES
from pretend_gpu import BATCH, BLOCK, command, good, words
from simulated import ENV, Simulated, simulated_cluster

from ray_pipeline.stages.pools import BATCHES_AHEAD

pytestmark = pytest.mark.ray

N, NODES = 64, 2


@pytest.fixture
def gpus() -> Iterator[Simulated]:
    """Two nodes of two CPUs and a GPU each."""
    with simulated_cluster() as cluster:
        for _ in range(NODES):
            cluster.add(gpu="1")
        yield cluster


def at_hearing(events: Path, running: Callable[[], bool]) -> int:
    """A process that hears, once something was heard and more is to come."""
    until = time.monotonic() + 200
    while True:
        seen = [line.split() for line in events.read_text().splitlines()] if events.exists() else []
        if sum(what == "heard" for what, *_ in seen) >= 2 * BATCH:
            return next(int(pid) for what, _, pid in reversed(seen) if what == "hearing")
        assert running() and time.monotonic() < until, "nothing was heard"
        time.sleep(0.005)


@pytest.mark.parametrize("fault", ["a node is removed", "a raylet is killed"])
def test_row_19_two_pools_lose_a_node(fault: str, gpus: Simulated, tmp_path: Path, cost: Callable[..., None]) -> None:
    env, events = ENV | {"PYTHONPATH": os.pathsep.join(sys.path)}, tmp_path / "events"
    what = command(tmp_path, "clean", good(N), gpus.address)
    job = subprocess.Popen(what, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    LOSSES[fault](gpus, job, at_hearing(events, lambda: job.poll() is None))
    said, failed = job.communicate(timeout=300)
    assert job.returncode == 0, failed[-3000:]
    came_to = json.loads(said.splitlines()[-1])
    names = [row["name"] for row in came_to["rows"]]
    begun = Counter(tuple(line.split()[:2]) for line in events.read_text().splitlines())
    again = {of: sum(n > 1 for (what, _), n in begun.items() if what == of) for of in ("decoding", "hearing")}
    cost(fault, "transcribe, two pools on two nodes", names, N, again=again["hearing"])
    assert {row["name"]: row["text"] for row in came_to["rows"]} == words(good(N))
    assert len(names) == N
    assert again["hearing"] <= BATCH
    assert again["decoding"] <= BLOCK + BATCH + NODES * BATCHES_AHEAD * BATCH
