"""Training that is killed half-way, worker or driver, goes on from its last state and ends in the same numbers."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from outcome import done, rows
from ready_to_train import epochs_run, make_store, models
from small_job import MARK, config_file, end_marked, runs_in, start

from ray_pipeline import experiment
from ray_pipeline.errors import TrainingError
from ray_pipeline.stages.ray_train import MAX_FAILURES

pytestmark = [pytest.mark.ray, pytest.mark.slow]

EPOCHS = 250
# Batches of four rows: it takes a while to train, whatever the machine.
LONG = {"epochs": EPOCHS, "batch_size": 4, "learning_rate": 1e-4}
VAE = {"model": {"kind": "vae", "latent_dim": 3, "hidden": [16]}}
UNDER_RAY = VAE | {"training": LONG | {"num_workers": 1}}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A folder whose store was trained in one go, in one process; the rows of its latents."""
    folder = tmp_path_factory.mktemp("undisturbed")
    make_store(folder, 100)
    return folder, rows(runs_in(folder)("train", **VAE, training=LONG | {"num_workers": 0}), "latents")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_store(tmp_path, 100)
    return tmp_path


@pytest.fixture
def mark() -> Iterator[str]:
    word = uuid.uuid4().hex
    yield word
    end_marked(word)


def wait_for_state(folder: Path, running: Callable[[], bool]) -> int:
    """Wait until a training has left a state and gone on; the process that trains."""
    until = time.monotonic() + 200
    while True:
        states = list(folder.glob("store/scratch/train-*/*/epoch-*"))
        runs = epochs_run(folder)
        if states and runs:
            ((_, pid), epochs), *_ = runs.items()
            if epochs[-1] > int(states[0].name.removeprefix("epoch-")):
                return pid
        assert running() and time.monotonic() < until, f"no state; epochs {runs}"
        time.sleep(0.01)


def check_continued(folder: Path, undisturbed: Path, cost: Callable[..., None], fault: str) -> None:
    """Two processes trained the one model; the second began where the first had left a state, not at the first epoch."""
    (name, _), *_ = epochs_run(folder)
    (first, second) = epochs_run(folder).values()
    assert {model for model, _ in epochs_run(folder)} == {name}
    assert first == list(range(1, len(first) + 1)), "undisturbed up to the kill"
    assert second == list(range(second[0], EPOCHS + 1))
    assert 1 < second[0] <= len(first) + 1 < EPOCHS, "no epoch is left out, and not all are run again"
    cost(fault, "train (epochs), one machine", {*first, *second}, EPOCHS, again=len(first) + 1 - second[0])
    assert models(folder) == models(undisturbed)
    assert not list(folder.glob("store/scratch/*"))


def test_killed_worker_goes_on_from_its_last_state(
    ray_session: Any, folder: Path, undisturbed: tuple[Path, list[dict[str, Any]]], cost: Callable[..., None]
) -> None:
    over = threading.Event()

    def kill() -> None:
        os.kill(wait_for_state(folder, lambda: not over.is_set()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        ctx = runs_in(folder)("train", **UNDER_RAY)
    finally:
        over.set()
        killer.join()
    assert done(ctx) == {"train": 1}
    check_continued(folder, undisturbed[0], cost, "a worker is killed")
    assert rows(ctx, "latents") == undisturbed[1]


def test_worker_that_dies_each_time_is_not_started_for_ever(ray_session: Any, folder: Path) -> None:
    over = threading.Event()

    def kill_each() -> None:
        killed: set[int] = set()
        while not over.wait(0.01):
            for pid in {pid for _, pid in epochs_run(folder)} - killed:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)

    killer = threading.Thread(target=kill_each)
    killer.start()
    try:
        with pytest.raises(TrainingError, match="training failed: a worker was lost 3 times") as told:
            runs_in(folder)("train", **UNDER_RAY)
    finally:
        over.set()
        killer.join()
    assert told.value.hint == "what was trained so far is kept, and the same command goes on from there"
    assert len(epochs_run(folder)) == 1 + MAX_FAILURES
    assert models(folder) == {}


def test_killed_driver_is_gone_on_from(
    ray_session: Any,
    folder: Path,
    mark: str,
    undisturbed: tuple[Path, list[dict[str, Any]]],
    cost: Callable[..., None],
) -> None:
    job = start("train", config_file(folder, **UNDER_RAY), env=os.environ | {MARK: mark})
    wait_for_state(folder, lambda: job.poll() is None)
    job.kill()
    job.wait()
    ctx = runs_in(folder)("train", **UNDER_RAY)
    assert done(ctx) == {"train": 1}
    check_continued(folder, undisturbed[0], cost, "the driver is killed")
    assert rows(ctx, "latents") == undisturbed[1]


def test_models_finished_before_the_driver_was_killed_are_not_trained_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = VAE | {"training": {"epochs": 3, "num_workers": 0}, "scoring": {"seeds": 3}}
    fit = experiment.fit

    def killed(collection: Any, config: Any, seed: int, **kwargs: Any) -> Any:
        if seed == 1:
            raise KeyboardInterrupt
        return fit(collection, config, seed, **kwargs)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(experiment, "fit", killed)
        runs_in(folder)("train", **short)
    assert models(folder) == {}, "what is not finished is not seen"
    ctx = runs_in(folder)("train", **short)
    assert sorted(epochs_run(folder).values()) == [[1, 2, 3]] * 3
    assert len(models(folder)) == 3
    assert {path.name for path in ctx.store.root.glob("tensorboard/*")} == set(models(folder))
