"""Sweeps on Ray Tune: each trial ends as one row, whatever becomes of it, and the same command goes on."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweeps import OPEN, N, run_sweep, write_store

from ray_pipeline.config import check
from ray_pipeline.errors import ConfigError, ImpossibleScore, LeaseHeld, StoreError, TrainingError
from ray_pipeline.stages import sweep_again, sweep_trial, sweep_tune
from ray_pipeline.stages.report import write_reports
from ray_pipeline.stages.sweep_left import NOT_COMPARED
from ray_pipeline.stages.sweep_trial import run_trial
from ray_pipeline.store import Lease, Table, fragments
from ray_pipeline.store.verify import verify
from ray_pipeline.sweep import WORST, Sweep

pytestmark = [pytest.mark.ray, pytest.mark.slow]

BETAS = {"model.beta": {"grid": [0.5, 1, 4]}, **OPEN}


@pytest.fixture
def folder(ray_session: Any, tmp_path: Path) -> Path:
    write_store(tmp_path)
    return tmp_path


def statuses(found: Sweep) -> dict[Any, str]:
    """Status of each trial by the one value of its point."""
    return {next(iter(row["point"].values())): row["status"] for row in found.rows}


def tell(cost: Callable[..., None], fault: str, found: Sweep, again: int) -> None:
    """Note what `fault` cost a sweep of three trials."""
    cost(fault, "sweep", [row["trial_id"] for row in found.rows], 3, again=again)


def once(found: Sweep) -> bool:
    """Whether no trial is there twice."""
    ids = [row["trial_id"] for row in found.rows]
    return len(ids) == len(set(ids))


def test_each_trial_is_a_row_with_all_that_it_came_to(folder: Path) -> None:
    two_seeds = {"label": "style", "seeds": 2, "null_draws": 2, "permutations": 10}
    ctx, found = run_sweep(folder, BETAS, scoring=two_seeds)
    assert statuses(found) == {0.5: "ok", 1: "ok", 4: "ok"}
    assert [row["number"] for row in found.rows] == [1, 2, 3]
    for row in found.rows:
        assert {"silhouette_input", "silhouette.lift", "reconstruction", "ami"} <= set(row["scores"])
        assert row["objective"] == [row["scores"]["silhouette_input"]]
        assert row["spread"]["silhouette_input"] >= 0
        assert (row["epochs"], row["n_tracks"], row["versions"]["threads"]) == (4, N, 1)
        assert row["versions"]["precision"] == "fp32" and row["versions"]["ray"]
        assert check(json.loads(row["config"])).model.beta == row["point"]["model.beta"]  # type: ignore[attr-defined]
    assert found.front[0]["objective"] == max(row["objective"] for row in found.rows)
    assert ctx.run.done == {"sweep": 3} and ctx.run.statuses["trials"] == {"ok": 3}
    assert ctx.run.tables["trials"] == [f"trials/{found.name}.lance"]
    assert not list((folder / "store/scratch").iterdir())
    page = folder / f"store/report/sweep-{found.name}.html"
    assert all(row["trial_id"] in page.read_text(encoding="utf-8") for row in found.rows)
    page.unlink()
    assert write_reports(ctx.store) == [str(page)] and page.is_file()
    assert verify(ctx.store) == []


def test_the_same_again_does_nothing_and_a_longer_sweep_only_what_is_new(folder: Path) -> None:
    drawn = {"model.beta": {"uniform": [0.1, 4]}, "num_samples": 2, **OPEN}
    _, first = run_sweep(folder, drawn)
    ctx, again = run_sweep(folder, drawn)
    assert ctx.run.done == {"sweep": 0} and again.rows == first.rows
    ctx, longer = run_sweep(folder, drawn | {"num_samples": 3, "max_concurrent": 1})
    assert ctx.run.done == {"sweep": 1} and longer.name == first.name
    assert longer.rows[:2] == first.rows and len(longer.rows) == 3 and once(longer)


def test_two_sweeps_in_one_store_do_not_disturb_each_other(folder: Path) -> None:
    _, first = run_sweep(folder, BETAS)
    ctx, other = run_sweep(folder, BETAS | {"objective": "silhouette"})
    assert other.name != first.name
    # Trials that run side by side are numbered in the order in which their workers have started.
    assert {row["trial_id"] for row in other.rows} == {row["trial_id"] for row in first.rows}, "the same experiments"
    assert ctx.run.done == {"sweep": 3}
    with Lease(folder / "store/leases", f"trials-{first.name}"):
        assert run_sweep(folder, BETAS | {"objective": "silhouette"})[1].rows == other.rows
        with pytest.raises(LeaseHeld):
            run_sweep(folder, BETAS)
    assert run_sweep(folder, BETAS)[1].rows == first.rows


def fails(folder: Path, beta: float, how: str, times: int) -> Any:
    """`run_trial`, but the trial of `beta` fails the first `times` times: raises, or is killed with its worker."""

    def run(told: dict[str, Any], shared: Any) -> None:
        tries = folder / f"tries-of-{told['spec']['point']['model.beta']}"
        n = len(tries.read_text()) if tries.exists() else 0
        tries.write_text("." * (n + 1))
        if told["spec"]["point"]["model.beta"] == beta and n < times:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("no luck")
        run_trial(told, shared)

    return run


def test_a_trial_whose_worker_is_killed_is_tried_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, cost: Callable[..., None]
) -> None:
    monkeypatch.setattr(sweep_tune, "run_trial", fails(folder, 1, "killed", times=1))
    _, found = run_sweep(folder, BETAS)
    tell(cost, "a trial's worker is killed", found, again=len((folder / "tries-of-1").read_text()) - 1)
    assert statuses(found) == {0.5: "ok", 1: "ok", 4: "ok"} and once(found)
    assert (folder / "tries-of-1").read_text() == ".."


@pytest.mark.parametrize(
    ("how", "reason"),
    [("raises", "RuntimeError: no luck"), ("killed", "its worker died: killed, or out of memory")],
)
def test_row_31_a_trial_that_fails_again_is_recorded_and_tried_once_more_only_if_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, how: str, reason: str
) -> None:
    monkeypatch.setattr(sweep_tune, "run_trial", fails(folder, 1, how, times=2))
    _, found = run_sweep(folder, BETAS)
    assert statuses(found) == {0.5: "ok", 1: "failed", 4: "ok"}
    (failed,) = (row for row in found.rows if row["status"] == "failed")
    assert failed["reason"] == f"{reason} (2 tries)" and failed["objective"] == [WORST]
    assert run_sweep(folder, BETAS)[1].rows == found.rows
    _, found = run_sweep(folder, BETAS, retry_failed=True)
    assert statuses(found) == {0.5: "ok", 1: "ok", 4: "ok"} and once(found)


@pytest.mark.parametrize("kept", [1, 2], ids=["in its middle", "at its last trial"])
def test_a_full_disk_ends_the_sweep_and_the_same_command_does_the_rest(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kept: int, cost: Callable[..., None]
) -> None:
    written = fragments.write_fragments

    def full(rows: Any, uri: str, **kwargs: Any) -> Any:
        if "trials" in uri and Table(uri).count() >= kept:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written(rows, uri, **kwargs)

    monkeypatch.setattr(fragments, "write_fragments", full)
    with pytest.raises(StoreError, match="No space left on device") as told:
        run_sweep(folder, BETAS)
    assert "is the disk full" in told.value.hint
    monkeypatch.undo()
    ctx, found = run_sweep(folder, BETAS)
    tell(cost, f"the disk is full after {kept} trials", found, again=ctx.run.done["sweep"] - (3 - kept))
    assert ctx.run.done == {"sweep": 3 - kept}
    assert statuses(found) == {0.5: "ok", 1: "ok", 4: "ok"} and once(found)


def test_if_all_fail_the_first_error_is_told(folder: Path) -> None:
    """What this package raises on purpose comes again, so it is not tried again."""
    with pytest.raises(TrainingError, match=rf"all 2 trials failed; the first: {N} tracks for 50 clusters"):
        run_sweep(folder, {"model.beta": {"grid": [1, 2]}}, clusterer={"kind": "kmeans", "n_clusters": 50})
    with pytest.raises(TrainingError, match="all 2 trials failed"):
        run_sweep(folder, {"model.beta": {"grid": [1, 2]}}, clusterer={"kind": "kmeans", "n_clusters": 50})


def test_a_score_that_cannot_be_ends_the_sweep_with_its_own_words(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impossible(told: dict[str, Any], shared: Any) -> None:
        def judge(*_: Any, **__: Any) -> Any:
            raise ImpossibleScore("purity is below", hint="join by track_id")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sweep_trial, "judge", judge)
            run_trial(told, shared)

    monkeypatch.setattr(sweep_tune, "run_trial", impossible)
    with pytest.raises(ImpossibleScore) as told:
        run_sweep(folder, BETAS)
    assert (str(told.value), told.value.hint) == ("purity is below", "join by track_id")
    monkeypatch.undo()
    assert statuses(run_sweep(folder, BETAS)[1]) == {0.5: "ok", 1: "ok", 4: "ok"}, "no trial was put down as failed"


def test_gates_that_nothing_passes_end_with_the_reasons(folder: Path) -> None:
    gates = {"reconstruction": False, "smallest_cluster": 0.9}
    ctx, found = run_sweep(folder, {"model.beta": {"grid": [1, 2]}, "gates": gates})
    assert set(statuses(found).values()) == {"gated"} and found.front == []
    assert all(row["objective"] == [WORST] and row["scores"]["silhouette_input"] > -1 for row in found.rows)
    assert [note for note in ctx.run.notes if note.startswith("no trial passed: 2 gated: a cluster of")]


def test_labels_are_used_only_if_asked_and_then_it_is_said(folder: Path) -> None:
    ctx, found = run_sweep(folder, {"model.beta": {"grid": [1, 2]}, "objective": ["ami", "silhouette_input"], **OPEN})
    page = (folder / f"store/report/sweep-{found.name}.html").read_text(encoding="utf-8")
    assert "LABELS WERE USED" in page
    assert found.about["uses_labels"] and any(note.startswith("labels were used") for note in ctx.run.notes)
    assert all(row["objective"] == [row["scores"]["ami"], row["scores"]["silhouette_input"]] for row in found.rows)
    assert 1 <= len(found.front) <= 2


def test_optuna_goes_on_with_a_longer_sweep(folder: Path) -> None:
    search = {"model.beta": {"uniform": [0.1, 4]}, "search": "optuna", "num_samples": 2, **OPEN}
    _, first = run_sweep(folder, search)
    ctx, more = run_sweep(folder, search | {"num_samples": 4})
    assert ctx.run.done == {"sweep": 2}
    assert more.rows[:2] == first.rows and len(more.rows) == 4 and once(more)


def test_a_time_budget_begins_no_more_trials(folder: Path) -> None:
    ctx, found = run_sweep(folder, BETAS | {"time_budget_s": 1e-3})
    assert found.rows == []
    assert "3 of 3 trials were not begun: the time budget is over" in ctx.run.notes
    assert len(run_sweep(folder, BETAS)[1].rows) == 3


def test_asha_stops_trials_that_are_behind(folder: Path) -> None:
    rates = [1e-2, 1e-2 + 1e-6, 1e-7, 1e-8]
    tune = {"training.learning_rate": {"grid": rates}, "scheduler": "asha", "max_concurrent": 1}
    ctx, found = run_sweep(folder, tune, training={"epochs": 27, "batch_size": 16, "num_workers": 0})
    stopped = {row["point"]["training.learning_rate"]: row for row in found.rows if row["status"] == "stopped"}
    assert set(stopped) >= {1e-7} and 1e-2 not in stopped
    assert all(row["epochs"] in {3, 9} for row in stopped.values())
    assert all({"ami", "silhouette_input"} <= set(row["scores"]) for row in found.rows), "stopped ones too"
    assert {row["reason"] for row in stopped.values()} <= {f"stopped by asha after {n} epochs" for n in (3, 9)}
    assert all(row["epochs"] == 27 for row in found.rows if row["status"] != "stopped")
    assert once(found) and len(found.rows) == 4
    assert NOT_COMPARED not in ctx.run.notes
    ctx.store.table("trials", found.name).delete("number = 4")
    ctx, again = run_sweep(folder, tune, training={"epochs": 27, "batch_size": 16, "num_workers": 0})
    assert NOT_COMPARED in ctx.run.notes and len(again.rows) == 4 and once(again)


def test_a_population_passes_weights_on_under_new_settings(folder: Path) -> None:
    tune = {
        "training.learning_rate": {"loguniform": [1e-6, 1e-2]},
        "num_samples": 4,
        "scheduler": "pbt",
        "cpus_per_trial": 0.5,
        **OPEN,
    }
    training = {"epochs": 10, "batch_size": 16, "num_workers": 0}
    ctx, found = run_sweep(folder, tune, training=training)
    assert len(found.rows) == 4 and once(found)
    assert {row["status"] for row in found.rows} == {"ok"}
    assert {row["epochs"] for row in found.rows} == {10}
    drawn = {point["training.learning_rate"] for point in ctx.config.tune.points(0)}
    changed = [rate for row in found.rows if (rate := row["point"]["training.learning_rate"]) not in drawn]
    assert changed and all(1e-6 <= rate <= 1e-2 for rate in changed)
    ctx, again = run_sweep(folder, tune, training=training)
    assert ctx.run.done == {"sweep": 0} and again.rows == found.rows
    with pytest.raises(ConfigError, match=r"its settings changed while it trained \(pbt\)"):
        sweep_again.context_of(ctx.store, found.rows[0]["trial_id"])


def test_trials_with_other_features_are_measured_in_one_space(folder: Path) -> None:
    tune = {"fusion.view": {"grid": ["mfcc", "mfcc_stats"]}, **OPEN}
    _, found = run_sweep(folder, tune)
    configs = [check(json.loads(row["config"])) for row in found.rows]
    assert [config.scoring.yardstick for config in configs] == [("mfcc", "mfcc_stats")] * 2
    assert len({row["scores"]["reconstruction_pca2"] for row in found.rows}) == 2
    assert np.isfinite([row["objective"][0] for row in found.rows]).all()
