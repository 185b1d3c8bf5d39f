"""`ray-pipeline sweep`, `best` and `train --from-trial` as people run them, killed half-way too."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_job import MARK, config_file, end_marked, finish, start
from sweeps import OPEN, run_sweep, write_store
from sweeps import config_file as sweep_file

from ray_pipeline.config import load
from ray_pipeline.stages import sweep_again
from ray_pipeline.store import Table, open_store
from ray_pipeline.store.verify import verify
from ray_pipeline.sweep import read_sweep
from ray_pipeline.sweep.results import all_sweeps

pytestmark = [pytest.mark.ray, pytest.mark.slow]

BETAS = [0.1, 0.2, 0.4, 0.8, 1.6]
LONG = {"training": {"epochs": 100, "batch_size": 16, "num_workers": 0}}


@pytest.fixture
def mark() -> Iterator[str]:
    """A word in the environment of all that a test starts, by which its processes are known; none is left behind."""
    word = uuid.uuid4().hex
    yield word
    end_marked(word)


def test_row_31_a_killed_driver_loses_only_the_trials_in_flight(tmp_path: Path, mark: str) -> None:
    write_store(tmp_path)
    tune = {"model.beta": {"grid": BETAS}, **OPEN}
    config = sweep_file(tmp_path, tune, **LONG)
    job = start("sweep", config, env=os.environ | {MARK: mark})
    table = until_a_row(tmp_path, job)
    job.kill()
    job.wait()
    kept = table.read(["trial_id"])["trial_id"].to_pylist()
    end_marked(mark)
    code, said = finish("sweep", config)
    assert code == 0, said
    assert f"{len(kept)} of {len(BETAS)} trials are there" in said
    ids = table.read(["trial_id"])["trial_id"].to_pylist()
    assert len(ids) == len(set(ids)) == len(BETAS) and ids[: len(kept)] == kept
    assert said.count("ok: 0.") >= len(BETAS) - len(kept)
    assert "Traceback" not in said and "ray.tune" not in said.lower()
    check_best(tmp_path, tune)


def test_ctrl_c_keeps_what_has_ended_and_says_how_to_go_on(tmp_path: Path, mark: str) -> None:
    write_store(tmp_path)
    config = sweep_file(tmp_path, {"model.beta": {"grid": BETAS}, **OPEN}, **LONG)
    job = start("sweep", config, env=os.environ | {MARK: mark})
    table = until_a_row(tmp_path, job)
    os.killpg(job.pid, signal.SIGINT)
    said, _ = job.communicate(timeout=120)
    assert job.returncode == 130, said
    assert "interrupted; what was finished is kept. To go on: ray-pipeline sweep" in said
    assert "Traceback" not in said
    assert 0 < table.count() < len(BETAS)
    assert not list((tmp_path / "store/scratch").iterdir())


def test_two_sweeps_at_once_in_one_store_each_end_with_their_own_trials(tmp_path: Path, mark: str) -> None:
    write_store(tmp_path)
    jobs = []
    for name, objective in (("one", "silhouette_input"), ("other", "silhouette")):
        (tmp_path / name).mkdir()
        tune = {"model.beta": {"grid": BETAS[:2]}, "objective": objective, **OPEN}
        config = sweep_file(tmp_path / name, tune, store=str(tmp_path / "store"), **LONG)
        jobs.append(start("sweep", config, env=os.environ | {MARK: mark}))
    for job in jobs:
        said, _ = job.communicate(timeout=280)
        assert job.returncode == 0, said
        assert "2 ok" in said
    found = all_sweeps(open_store(tmp_path / "store"))
    assert sorted(sweep.about["objective"] for sweep in found) == [["silhouette"], ["silhouette_input"]]
    for sweep in found:
        assert sorted(row["point"]["model.beta"] for row in sweep.rows) == BETAS[:2]
        assert (tmp_path / f"store/report/sweep-{sweep.name}.html").is_file()
        events = (tmp_path / "store/tune" / sweep.name).rglob("events.out.*")
        assert {path.parent.name for path in events} == {row["trial_id"] for row in sweep.rows}
    assert verify(open_store(tmp_path / "store")) == []
    assert not list((tmp_path / "store/scratch").iterdir())


def until_a_row(folder: Path, job: Any) -> Table:
    """The table of the sweep, when one of its trials is committed and more are to come."""
    until = time.monotonic() + 250
    while time.monotonic() < until:
        for path in folder.glob("store/trials/*.lance"):
            table = Table(str(path))
            if table.exists() and table.count():
                assert table.count() < len(BETAS)
                return table
        assert job.poll() is None, job.communicate()[0]
        time.sleep(0.05)
    raise AssertionError("no trial was committed in 250 s")


def check_best(folder: Path, tune: dict[str, Any]) -> None:
    """`best` prints a config that `run` takes, and it is the winner's."""
    found = read_sweep(open_store(folder / "store"))
    code, printed = finish("best", folder / "store", seconds=60)
    assert code == 0, printed
    (folder / "best.yaml").write_text(printed)
    config = load(folder / "best.yaml")
    assert config.model.beta == found.front[0]["point"]["model.beta"]  # type: ignore[attr-defined]
    assert config.tune is None and config.store == str(folder / "store")
    assert f"# trial {found.front[0]['trial_id']} of sweep {found.name}" in printed
    assert "# silhouette_input: " in printed
    code, said = finish("sweep", folder / "sweep.yaml", "--dry-run", seconds=60)
    assert code == 0 and f"0 of {len(BETAS)} trials to run" in said, said


def test_what_cannot_be_is_told_before_ray_starts(tmp_path: Path) -> None:
    write_store(tmp_path)
    for tune, told in (
        ({"model.beta": {"grid": [1]}, "objective": "silhouete"}, "unknown metric 'silhouete'; did you mean"),
        ({"seed": {"grid": [1, 2]}}, "a sweep searches fusion, model, training and clusterer"),
        ({}, "names nothing to search"),
    ):
        code, said = finish("sweep", sweep_file(tmp_path, tune), seconds=60)
        assert code == 2 and told in said, said
        assert "starting Ray" not in said
    plain = config_file(tmp_path)
    code, said = finish("sweep", plain, seconds=60)
    assert code == 2 and "tune: a sweep needs this block" in said
    code, said = finish("best", tmp_path / "store", seconds=60)
    assert code == 1 and "no sweep in it" in said


@pytest.mark.parametrize("n_workers", [0, 1], ids=["in the driver", "under Ray Train"])
def test_a_trial_trained_again_scores_the_same(ray_session: Any, tmp_path: Path, n_workers: int) -> None:
    """Also where trials read other features than the winner: the yardstick goes with its config."""
    write_store(tmp_path)
    two = {"label": "style", "seeds": 2, "null_draws": 2, "permutations": 10}
    training = {"epochs": 6, "batch_size": 16, "num_workers": n_workers}
    tune = {"fusion.view": {"grid": ["mfcc", "mfcc_stats"]}, **OPEN}
    _, found = run_sweep(tmp_path, tune, scoring=two, training=training)
    ctx, row = sweep_again.context_of(open_store(tmp_path / "store"), found.rows[0]["trial_id"][:8])
    compared = sweep_again.train_again(ctx, row)
    assert sweep_again.CHANGED not in ctx.run.notes
    assert sweep_again.is_of_other_data(ctx, row | {"versions": {"data": "of other tracks"}})
    assert set(compared) == set(row["scores"]) and len(compared) > 20
    assert sweep_again.largest_difference(compared) <= sweep_again.AGREED, compared
    assert ctx.run.done["train"] == 2


def test_train_takes_a_store_with_a_trial(tmp_path: Path) -> None:
    write_store(tmp_path)
    code, said = finish("train", tmp_path / "store", "--from-trial", "abc", seconds=60)
    assert code == 1 and "no trial 'abc'" in said
    code, said = finish("train", tmp_path / "store", "--from-trial", "abc", "--set", "seed=1", seconds=60)
    assert code == 2 and "leave --set out" in said
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump({"source": {"kind": "folder", "root": "/"}, "modl": 1}))
    code, said = finish("train", tmp_path / "plain.yaml", seconds=60)
    assert code == 2 and "unknown key" in said
