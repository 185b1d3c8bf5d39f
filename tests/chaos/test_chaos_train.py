"""Row 19 of BAD_INPUTS: a worker, a node, a raylet or the driver that is lost in training changes no number."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from losses import LOSSES
from ready_to_train import epochs_run, make_store, models
from simulated import ENV, Simulated
from small_job import config_file, finish, runs_in, start

from ray_pipeline.store import Table

pytestmark = pytest.mark.ray

NODES = 2
EPOCHS = 250
# Batches of four rows: it takes a while to train, whatever the machine.
LONG = {"epochs": EPOCHS, "batch_size": 4, "learning_rate": 1e-4}
VAE = {"model": {"kind": "vae", "latent_dim": 3, "hidden": [16]}}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose store was trained in one go, in this process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    make_store(folder, 100)
    runs_in(folder)("train", **VAE, training=LONG | {"num_workers": 0})
    return folder


@pytest.fixture(scope="module")
def seconds(cluster: Simulated, tmp_path_factory: pytest.TempPathFactory) -> float:
    """What the command takes where nothing is lost."""
    cluster.ready(NODES)
    folder = tmp_path_factory.mktemp("timed")
    make_store(folder, 100)
    began = time.monotonic()
    code, said = finish(*command_in(folder, cluster), env=ENV)
    assert code == 0, said
    return time.monotonic() - began


def command_in(folder: Path, cluster: Simulated) -> tuple[Any, ...]:
    return ("train", config_file(folder, **VAE, training=LONG | {"num_workers": 1}), "--address", cluster.address)


def latents(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.glob("store/latents/*.lance")
    found: list[dict[str, Any]] = Table(str(path)).read().sort_by("track_id").to_pylist()
    return found


def wait_for_state(folder: Path, running: Callable[[], bool]) -> int:
    """The process that trains, once it has left a state."""
    until = time.monotonic() + 200
    while not (list(folder.glob("store/scratch/train-*/*/epoch-*")) and epochs_run(folder)):
        assert running() and time.monotonic() < until, f"no state; epochs {epochs_run(folder)}"
        time.sleep(0.01)
    ((_, pid), *_) = epochs_run(folder)
    return pid


@pytest.mark.parametrize("fault", LOSSES)
def test_row_19_train_loses(
    fault: str, cluster: Simulated, tmp_path: Path, undisturbed: Path, seconds: float, cost: Callable[..., None]
) -> None:
    cluster.ready(NODES)
    make_store(tmp_path, 100)
    command = command_in(tmp_path, cluster)
    job = start(*command, env=ENV)
    pid = wait_for_state(tmp_path, lambda: job.poll() is None)
    struck = time.monotonic()
    LOSSES[fault](cluster, job, pid)
    said, _ = job.communicate(timeout=240)
    cluster.wait_until_free(len(cluster.nodes))
    if job.returncode == -signal.SIGKILL:
        job.returncode, said = finish(*command, env=ENV)
    recovered = (time.monotonic() - struck) / seconds
    assert job.returncode == 0, said
    first, second = epochs_run(tmp_path).values()
    assert first == list(range(1, len(first) + 1))
    assert second == list(range(second[0], EPOCHS + 1)) and 1 < second[0] <= len(first) + 1
    again = len(first) + 1 - second[0]
    cost(fault, "train (epochs)", {*first, *second}, EPOCHS, again=again, time=recovered)
    assert models(tmp_path) == models(undisturbed)
    assert latents(tmp_path) == latents(undisturbed)
