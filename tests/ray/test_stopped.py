"""The command killed or interrupted half-way: what was committed stays, its Ray ends, the same command does the rest."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from outcome import done
from small_job import MARK, config_file, end_marked, finish, marked, runs_in, start
from sounds import tone, write

from ray_pipeline.stages.blocks import COMMIT_EVERY_S
from ray_pipeline.store import Table, open_store
from ray_pipeline.store.verify import verify

pytestmark = pytest.mark.ray

N = 160
BLOCK = 2
PATIENCE_S = 10.0  # for a commit, and for whoever is interrupted, on a busy machine
WORKER = {"resources": {"num_cpus": 1, "block_size": BLOCK}}


@pytest.fixture(scope="module")
def _once(ray_session: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    for i in range(N):
        write(folder / f"music/{i:03d}.wav", tone(1.1, 8000, hz=200 + i, seed=i), 8000)
    assert done(runs_in(folder)("ingest")) == {"ingest": N}
    (folder / "store").rename(folder / "kept")
    return folder


@pytest.fixture
def ingested(_once: Path) -> Path:
    """A folder with `N` ingested tracks of 1.1 s, and nothing else done."""
    shutil.rmtree(_once / "store", ignore_errors=True)
    shutil.copytree(_once / "kept", _once / "store")
    return _once


@pytest.fixture
def mark() -> Iterator[str]:
    """A word in the environment of all that a test starts, by which its processes are known; none is left behind."""
    word = uuid.uuid4().hex
    yield word
    end_marked(word)


def wait_until_gone(word: str, but: str | None = None) -> None:
    """Wait for all that was started with `word` to end, less what has `but` in its name."""
    until = time.monotonic() + 90
    while left := [name for name in map(command_of, marked(word)) if name and not (but and but in name)]:
        assert time.monotonic() < until, left
        time.sleep(0.2)


def command_of(pid: int) -> str:
    """Its command line; nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def featurize_until_committed(folder: Path, word: str) -> tuple[subprocess.Popen[str], Table]:
    """`ray-pipeline featurize`, running, when some of its rows are committed and more are to come."""
    job = start("featurize", config_file(folder, **WORKER), env=os.environ | {MARK: word})
    until = time.monotonic() + 200
    while time.monotonic() < until:
        for path in folder.glob("store/features/*.lance"):
            table = Table(str(path))
            if table.exists() and table.count():
                return job, table
        assert job.poll() is None, job.communicate()[0]
        time.sleep(0.05)
    raise AssertionError("no row was committed in 200 s")


def check_the_rest(folder: Path, table: Table, cost: Callable[..., None], fault: str) -> None:
    """What is committed is whole, what is not came since the last commit; the same command does what is left, no more."""
    ended, kept = time.time(), table.count()
    in_vain = [path for path in Path(table.uri).glob("data/*.lance") if path.name not in table.files()]
    assert all(ended - path.stat().st_mtime < COMMIT_EVERY_S + PATIENCE_S for path in in_vain)
    assert 0 < kept < N
    assert len(set(table.read()["track_id"].to_pylist())) == kept
    assert done(runs_in(folder)("featurize")) == {"featurize": N - kept}
    ids = table.read()["track_id"].to_pylist()
    cost(fault, "featurize, one machine", ids, N, again=BLOCK * len(in_vain))
    assert len(ids) == len(set(ids)) == N
    assert verify(open_store(folder / "store")) == []


def test_row_20_killed_driver_loses_only_what_was_in_flight(
    ingested: Path, mark: str, cost: Callable[..., None]
) -> None:
    job, table = featurize_until_committed(ingested, mark)
    job.kill()
    job.wait()
    check_the_rest(ingested, table, cost, "the driver is killed")
    # Ray's two agents look for their node once a minute; they hold no CPU and write nothing.
    wait_until_gone(mark, but="Agent")


def test_ctrl_c_keeps_what_was_finished_and_says_how_to_go_on(
    ingested: Path, mark: str, cost: Callable[..., None]
) -> None:
    job, table = featurize_until_committed(ingested, mark)
    os.killpg(job.pid, signal.SIGINT)
    said, _ = job.communicate(timeout=120)
    assert job.returncode == 130, said
    assert "interrupted; what was finished is kept. To go on: ray-pipeline featurize" in said
    assert "Traceback" not in said
    wait_until_gone(mark)
    check_the_rest(ingested, table, cost, "Ctrl-C")


@pytest.mark.slow
def test_row_22_of_two_jobs_at_once_one_commits_and_a_reader_reads(
    ingested: Path, mark: str, cost: Callable[..., None]
) -> None:
    job, table = featurize_until_committed(ingested, mark)
    code, said = finish("featurize", config_file(ingested, **WORKER))
    assert (code, f"process {job.pid} on" in said, "Traceback" in said) == (1, True, False), said
    code, said = finish("status", ingested / "store")
    assert code == 0 and job.poll() is None, said
    assert table.count() == len(set(table.read()["track_id"].to_pylist())), "a reader sees one version, whole"
    said, _ = job.communicate(timeout=120)
    assert job.returncode == 0, said
    ids = table.read()["track_id"].to_pylist()
    cost("another job starts on the same store", "featurize, one machine", ids, N)
    assert len(ids) == len(set(ids)) == N
    assert verify(open_store(ingested / "store")) == []


@pytest.mark.slow
def test_ctrl_c_in_training_ends_it_too(folder: Path, mark: str) -> None:
    """Ray Train has a handler of its own, which would end the process with another code and without a word."""
    endless = {"model": {"kind": "vae"}, "training": {"epochs": 1_000_000, "num_workers": 1}}
    job = start("train", config_file(folder, **endless), env=os.environ | {MARK: mark})
    until = time.monotonic() + 200
    while not list(folder.glob("store/scratch/train-*/fit")):
        assert job.poll() is None and time.monotonic() < until, job.communicate()[0]
        time.sleep(0.1)
    time.sleep(3)  # past the start of the worker, where nothing else runs
    os.killpg(job.pid, signal.SIGINT)
    said, _ = job.communicate(timeout=120)
    assert job.returncode == 130, said
    assert "To go on: ray-pipeline train" in said
    wait_until_gone(mark, but="Agent")


def test_nothing_to_do_starts_no_ray(music: Path, folder: Path) -> None:
    code, said = finish("run", config_file(folder), seconds=60)
    assert code == 0, said
    assert "nothing was left to do" in said
    assert "starting Ray" not in said
