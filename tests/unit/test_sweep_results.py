"""What a sweep came to, as it is written down, watched and read back."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sweep_configs import config_with, shared_with, some_tracks

from ray_pipeline import schemas
from ray_pipeline.cli.board import Board, board
from ray_pipeline.errors import ConfigError, ImpossibleScore, StoreError
from ray_pipeline.stages import room
from ray_pipeline.stages import sweep as stage
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.sweep_left import NOT_COMPARED, NOT_RESUMABLE
from ray_pipeline.stages.sweep_log import Log
from ray_pipeline.stages.sweep_mlflow import Tracked
from ray_pipeline.store import Run, Store, Table, record_run
from ray_pipeline.sweep import WORST, Sweep, read_sweep, trials
from ray_pipeline.sweep.results import as_yaml, find_trial, read_rows


def row(number: int, status: str, objective: list[float], reason: str = "", **more: Any) -> dict[str, Any]:
    config = config_with(None)
    plain = config.plain()
    plain.pop("tune")
    return {
        "sweep_id": "s",
        "trial_id": f"{number:x}" * 16,
        "number": number,
        "config": json.dumps(plain),
        "point": json.dumps({"model.kind": "pca"}),
        "seed": 0,
        "status": status,
        "reason": reason,
        "objective": objective,
        "scores": [("silhouette_input", objective[0])],
        "spread": [("silhouette_input", 0.01)],
        "n_tracks": 72,
        "versions": "{}",
    } | more


def about(objective: list[str]) -> dict[str, Any]:
    return {"objective": objective, "uses_labels": False, "scheduler": "none", "n_tracks": 90}


def stored(root: Path, rows: list[dict[str, Any]], objective: list[str]) -> Sweep:
    store = Store(root)
    table: Table = store.table("trials", "s")
    table.create(schemas.TRIALS, about(objective))
    table.append(pa.Table.from_pylist(rows, schema=table.schema()))
    return read_sweep(store, "s")


def test_the_winner_is_printed_as_a_config_with_its_scores(tmp_path: Path) -> None:
    from ray_pipeline.config import load

    rows = [row(2, "ok", [0.3]), row(1, "ok", [0.1]), row(3, "stopped", [0.9], "stopped by asha after 3 epochs")]
    found = stored(tmp_path, rows, ["silhouette_input"])
    assert [one["number"] for one in found.rows] == [1, 2, 3]
    text = as_yaml(found, Store(tmp_path))
    assert "# trial 2222222222222222 of sweep s: silhouette_input 0.3; 2 of 3 trials passed" in text
    assert "# silhouette_input: 0.3 ± 0.01" in text
    (tmp_path / "best.yaml").write_text(text)
    assert load(tmp_path / "best.yaml").store == str(tmp_path)
    assert find_trial(Store(tmp_path), "2222")[1]["number"] == 2
    with pytest.raises(StoreError, match="no trial 'f'"):
        find_trial(Store(tmp_path), "f")
    with pytest.raises(StoreError, match="lies outside the store"):
        read_sweep(Store(tmp_path), "../../s")
    with pytest.raises(StoreError, match="no sweep 't'; there are: s"):
        read_sweep(Store(tmp_path), "t")


def test_a_front_is_the_best_first_and_outcomes_are_counted_by_reason(tmp_path: Path) -> None:
    rows = [row(1, "ok", [0.1, 5.0]), row(2, "ok", [0.3, 1.0]), row(3, "ok", [0.1, 4.0])]
    rows += [row(i, "gated", [WORST] * 2, f"a cluster of 0.{i}% of the tracks, less than 1%") for i in (4, 5)]
    found = stored(tmp_path, rows, ["silhouette_input", "coverage"])
    assert [one["number"] for one in found.front] == [2, 1]
    assert found.outcomes() == "3 ok; 2 gated: a cluster of … of the tracks, less than …"
    assert "also not beaten: trial 1111111111111111" in as_yaml(found, Store(tmp_path))


def test_no_winner_says_why(tmp_path: Path) -> None:
    found = stored(tmp_path, [row(1, "failed", [WORST], "no luck")], ["coverage"])
    with pytest.raises(StoreError, match="no trial passed: 1 failed: no luck"):
        as_yaml(found, Store(tmp_path))


class StandInForMlflow(types.ModuleType):
    """Keeps what MLflow would be told; the real package is an extra."""

    class exceptions:
        class MlflowException(Exception):
            pass

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.told: list[Any] = []
        self.gone = False

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: self.told.append((name, args, kwargs))

    def start_run(self, run_name: str) -> Any:
        from contextlib import nullcontext

        if self.gone:
            raise self.exceptions.MlflowException("the server is gone")
        self.told.append(("start_run", (run_name,), {}))
        return nullcontext()


def test_trials_become_runs_of_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = StandInForMlflow()
    monkeypatch.setitem(sys.modules, "mlflow", stand_in)
    noted: list[str] = []
    tracked = Tracked("http://127.0.0.1:1", "s", ["silhouette_input"], noted.append)
    tracked.begin("t")
    tracked.add("t", [[0, 1, 4.0, 3.0, 1.0], [1, 1, 2.0, 1.0, 1.0]], None)
    ended = row(1, "ok", [0.3]) | {"trial_id": "t", "point": {"model.beta": 2}, "scores": {"silhouette@permuted": 0.1}}
    tracked.end(ended)
    told = {name: args for name, args, _ in stand_in.told if name != "log_metric"}
    assert told["set_tracking_uri"] == ("http://127.0.0.1:1",) and told["set_experiment"] == ("sweep s",)
    assert told["start_run"] == ("t",) and told["log_params"] == ({"model.beta": "2"},)
    assert told["log_metrics"] == ({"silhouette_permuted": 0.1, "objective.silhouette_input": 0.3},)
    curve = {args[0]: (args[1], kwargs["step"]) for name, args, kwargs in stand_in.told if name == "log_metric"}
    assert curve == {"loss": (3.0, 1), "reconstruction": (2.0, 1), "kl": (1.0, 1)} and noted == []
    stand_in.gone = True
    tracked.end(ended)
    assert noted == ["tune.mlflow: not every trial could be told: the server is gone"]


def test_mlflow_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r"tune\.mlflow: the package mlflow is not installed"):
        Tracked("http://127.0.0.1:1", "s", ["coverage"], print)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """Of a sweep whose trials are told of by hand; `listened` has what its listener was told."""
    tune = {"training.learning_rate": {"loguniform": [1e-4, 1e-2]}, "num_samples": 2, "scheduler": "pbt"}
    shared = shared_with(some_tracks(), tune)
    ctx = Context.of(shared.config.model_copy(update={"store": str(tmp_path)}), "sweep")
    table = ctx.table("trials", "s")
    table.create(schemas.TRIALS, {"objective": ["silhouette_input"], "uses_labels": False, "scheduler": "pbt"})
    return Log(ctx, shared, table, [], 2, [])


def outcome(value: float) -> dict[str, Any]:
    return {"status": "ok", "reason": "", "objective": [value], "scores": {"silhouette_input": value}, "epochs": 9}


def test_the_log_keeps_a_trial_over_pauses_and_forgets_a_dead_try(log: Log) -> None:
    log.begin("a", {"training.learning_rate": 1e-3})
    log.heard("a", {"points": [[0, 1, 5.0, 4.0, 1.0]], "seconds": 2.0})
    log.again("a")
    assert (log.running["a"].seconds, log.running["a"].epoch, log.running["a"].number) == (0.0, 0, 1)
    log.heard("a", {"points": [], "seconds": 3.0, "standing": 0.1, "epoch": 3, "objective": [0.1]})
    log.begin("a", {"training.learning_rate": 2e-3})  # after a pause, with settings of another
    assert log.values("a") == [0.1]
    log.heard("a", {"points": [], "seconds": 1.5, "outcome": outcome(0.2)})
    (ended,) = read_rows(log.table)
    assert (ended["seconds"], ended["epochs"], ended["point"]) == (4.5, 9, {"training.learning_rate": 2e-3})
    assert json.loads(ended["config"])["training"]["learning_rate"] == 2e-3
    assert log.values("a") == [0.2] and not log.running


def test_a_stopped_trial_has_the_objective_of_its_rung_and_never_wins(log: Log) -> None:
    for name, value in (("a", 0.9), ("b", 0.2)):
        log.begin(name, {"training.learning_rate": 1e-3})
        log.heard(name, {"points": [], "seconds": 1.0, "standing": value, "epoch": 3, "objective": [value]})
    log.stopped("a")
    log.heard("b", {"points": [], "seconds": 2.0, "outcome": outcome(0.2)})
    found = read_sweep(log.ctx.store, "s")
    assert [(one["status"], one["objective"], one["number"]) for one in found.rows] == [
        ("stopped", [0.9], 1),
        ("ok", [0.2], 2),
    ]
    assert [one["trial_id"] for one in found.front] == ["b"]


def test_a_stopped_trial_keeps_the_scores_of_its_last_rung(log: Log) -> None:
    log.begin("a", {"training.learning_rate": 1e-3})
    for epoch, ami in ((3, 0.1), (9, 0.2)):
        scores = {"scores": [["ami", ami], ["ami.lift", 0.05]], "spread": [["ami", 0.01]], "n_tracks": 28}
        log.heard("a", {"points": [], "seconds": 1.0, "standing": 0.1, "epoch": epoch, "objective": [0.1]} | scores)
    log.stopped("a")
    (row,) = read_rows(log.table)
    assert (row["scores"], row["spread"]) == ({"ami": 0.2, "ami.lift": 0.05}, {"ami": 0.01})
    assert (row["epochs"], row["n_tracks"], row["reason"]) == (9, 28, "stopped by pbt after 9 epochs")


def test_a_score_that_cannot_be_ends_the_sweep(log: Log) -> None:
    from ray_pipeline.stages.sweep_tune import Hearing

    log.begin("a", {"training.learning_rate": 1e-3})
    hearing, trial = Hearing(log), types.SimpleNamespace(trial_id="1")
    hearing._names["1"] = "a"
    hearing.on_step_begin(0, [])
    hearing.on_trial_result(0, [], trial, {"seconds": 1.0, "impossible": "purity is below", "hint": "join by track_id"})
    with pytest.raises(ImpossibleScore, match="purity is below") as told:
        hearing.on_step_begin(1, [])
    assert told.value.hint == "join by track_id" and log.rows == []


def test_an_interrupted_population_begins_anew_and_says_so(log: Log) -> None:
    log.begin("a", {"training.learning_rate": 1e-3})
    log.failed("a", "no luck")
    said: list[str] = []
    log.ctx.say = said.append
    assert stage._stand(log.ctx, log.shared, log.table, retry_failed=False) == []
    assert said == [NOT_RESUMABLE] and log.table.count() == 0


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """`planned(log)`: what a dry run says of the sweep that `log` writes down."""
    monkeypatch.setattr(room, "check_room", lambda *_: None)
    monkeypatch.setattr(room, "told", lambda *_: [])

    def plan(log: Log, **asked: bool) -> list[str]:
        monkeypatch.setattr(stage, "read_shared", lambda ctx: replace(log.shared, name="s"))
        return stage.plan(log.ctx, **asked)

    return plan


def ended(log: Log, *statuses: str) -> Log:
    """`log`, of whose trials the next have ended so."""
    for trial, status in zip(trials(log.shared.config)[len(log.rows) :], statuses, strict=False):
        log.begin(trial.name, dict(trial.point))
        log.end(trial.name, outcome(0.1) | {"status": status, "reason": ""})
    return log


def test_a_dry_run_of_an_interrupted_population_says_that_all_of_it_begins_anew(
    log: Log, planned: Callable[..., list[str]]
) -> None:
    said, caution = planned(ended(log, "ok"))
    assert said.startswith("sweep s: 2 of 2 trials to run on 30 tracks") and caution == NOT_RESUMABLE
    assert log.table.count() == 1, "and leaves it as it is"
    assert planned(ended(log, "ok")) == ["sweep s: 0 of 2 trials to run on 30 tracks"]


def test_a_dry_run_counts_the_trials_that_are_to_be_tried_again(log: Log, planned: Callable[..., list[str]]) -> None:
    tune = log.shared.tune.model_copy(update={"scheduler": "asha"})
    log.shared = replace(log.shared, tune=tune, config=log.shared.config.model_copy(update={"tune": tune}))
    ended(log, "failed", "ok")
    assert planned(log) == ["sweep s: 0 of 2 trials to run on 30 tracks"]
    said, caution = planned(log, retry_failed=True)
    assert said.startswith("sweep s: 1 of 2 trials to run on 30 tracks") and caution == NOT_COMPARED


def test_the_board_tells_each_trial_once(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    with Board() as shown:
        log.watch = shown.watch
        log.begin("a", {"training.learning_rate": 1e-3})
        log.heard("a", {"points": [[0, 4, 5.0, 4.0, 1.0]], "seconds": 2.0})
        table = board(log)
        assert [next(iter(column.cells)) for column in table.columns][:4] == ["a", "running", "4", "5"]
        log.heard("a", {"points": [], "seconds": 2.5, "outcome": outcome(0.2)})
        log.look(now=True)
    assert capsys.readouterr().out == "trial 1 of 2  a ok: 0.2  learning_rate=0.001  30 tracks  2.5 s\n"
    assert board(log).title == "1 of 2 trials  1 ok"


def test_a_trial_of_several_sweeps_is_that_of_the_last_one_unless_another_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name, time, value in (("aa", "2025-01-02", 0.2), ("zz", "2025-01-01", 0.1)):
        table = store.table("trials", name)
        table.create(schemas.TRIALS, about(["silhouette_input"]))
        table.append(pa.Table.from_pylist([row(1, "ok", [value])], schema=table.schema()))
        record_run(store, Run(time=time, command="sweep", config={}, tables={"trials": [f"trials/{name}.lance"]}))
    assert find_trial(store, "1111")[0].name == "aa", "it ran last, though its name comes first"
    assert find_trial(store, "1111", "zz")[1]["objective"] == [0.1]
    with pytest.raises(StoreError, match="no sweep 'yy'; there are: aa, zz"):
        find_trial(store, "1111", "yy")
    assert "# on 72 of 90 tracks" in as_yaml(read_sweep(store, "aa"), store)
