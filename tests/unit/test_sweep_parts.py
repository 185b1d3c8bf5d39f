"""What a sweep on Ray Tune is made of, without Ray: who may be compared, what is remembered, what is read back."""

from __future__ import annotations

import json
import math
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from configs import make_config

from ray_pipeline import experiment, schemas
from ray_pipeline.cli.board import Board, board
from ray_pipeline.collection import Collection, yardstick
from ray_pipeline.config import Config
from ray_pipeline.errors import ConfigError, StoreError, TrainingError
from ray_pipeline.fusion import LYRICS
from ray_pipeline.models.condition import condition_of
from ray_pipeline.needs import fusion_of
from ray_pipeline.space import Tune
from ray_pipeline.stages import sweep as stage
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.sweep_data import Shared, collection_of
from ray_pipeline.stages.sweep_log import Log
from ray_pipeline.stages.sweep_mlflow import Tracked
from ray_pipeline.stages.sweep_trial import _under_new_settings
from ray_pipeline.store import Store, Table
from ray_pipeline.sweep import WORST, Judged, Sweep, read_sweep, sweep_id
from ray_pipeline.sweep.objective import check_objectives, needs_nulls, needs_stability, uses_labels
from ray_pipeline.sweep.proposers import Optuna, n_points
from ray_pipeline.sweep.remembered import Remembered
from ray_pipeline.sweep.results import as_yaml, find_trial, read_rows
from ray_pipeline.sweep.rungs import rungs, stops
from ray_pipeline.sweep.trials import combinations, config_of, on_one_yardstick, trials

NOWHERE = {"kind": "folder", "root": "/"}
N = 30


def config_with(tune: dict[str, Any] | None, **sections: Any) -> Config:
    config: Config = make_config(Path("/nowhere"), source=NOWHERE, tune=tune, **sections)
    return config


@pytest.mark.parametrize(
    ("tune", "told"),
    [
        ({"seed": {"grid": [1]}}, "seed: a sweep searches fusion, model, training and clusterer"),
        ({"scoring.seeds": {"grid": [1]}}, "scoring.seeds: a sweep searches"),
        ({"together": [{"features": ["mfcc"]}]}, "features: a sweep searches"),
        ({"training.use_gpu": {"grid": [True, False]}}, "training.use_gpu: changes no result"),
        (
            {"training.learning_rate": {"grid": [1]}, "scheduler": "asha", "objective": ["silhouette", "coverage"]},
            "one number",
        ),
        ({"training.learning_rate": {"uniform": [0.1, 1]}, "scheduler": "pbt", "search": "optuna"}, "set search to"),
        ({"training.learning_rate": {"grid": [0.1, 1]}, "scheduler": "pbt"}, "pbt has nothing to change"),
        ({"training.epochs": {"randint": [1, 9]}, "scheduler": "pbt"}, "take training.epochs out"),
        ({"training.lr_gamma": {"uniform": [0.1, 1]}, "scheduler": "pbt", "max_concurrent": 2}, "leave max_concurrent"),
    ],
)
def test_a_space_says_what_it_cannot_be(tune: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        config_with(tune)


def test_an_objective_needs_what_it_is_held_against() -> None:
    plain = config_with(None).scoring
    with pytest.raises(ConfigError, match=r"'ami' is held against what scoring\.label names"):
        check_objectives(["ami"], plain)
    with pytest.raises(ConfigError, match=r"'mig' is held against what scoring\.factors names"):
        check_objectives(["mig"], plain)
    labelled = plain.model_copy(update={"label": "genre", "factors": ("label",)})
    check_objectives(["ami", "mig"], labelled)
    assert uses_labels(["mig"], labelled) and not uses_labels(
        ["mig"], labelled.model_copy(update={"factors": ("key",)})
    )
    assert needs_nulls(["silhouette.z"]) and needs_nulls(["stability"]) and not needs_nulls(["silhouette_input"])
    assert needs_stability(["coverage", "stability_bootstrap"]) and not needs_stability(["coverage"])


def test_schedulers_compare_the_objective_and_below_it_who_rebuilds_best() -> None:
    def gated(error: float) -> Judged:
        return Judged((WORST,), "a gate", {"reconstruction": error, "reconstruction_pca2": 10.0})

    standings = [one.standing for one in (Judged((-0.5,)), gated(12.0), gated(30.0), Judged((WORST,), "no scores"))]
    assert standings == sorted(standings, reverse=True) and len(set(standings)) == 4
    assert all(math.isfinite(value) for value in standings)


def test_rungs_are_shared_and_end_with_the_trial() -> None:
    asha = {"training.epochs": {"grid": [20, 90]}, "scheduler": "asha"}
    config = config_with(asha)
    assert rungs(config) == [10, 30]
    ends = [stops(config, one) for one in (config_with(None, training={"epochs": n}) for n in (20, 90, 8))]
    assert ends == [[10, 20], [10, 30, 90], [8]]
    late = config_with(None, training={"epochs": 90}, fusion={"kind": "none"}, model={"kind": "late"})
    assert stops(config, late) == [90]
    none = config_with({"training.epochs": {"grid": [20, 90]}})
    assert stops(none, none) == [none.training.epochs]
    pbt = config_with({"training.lr_gamma": {"uniform": [0.1, 1]}, "scheduler": "pbt"}, training={"epochs": 50})
    assert stops(pbt, pbt) == [10, 20, 30, 40, 50]


def test_a_sweep_is_named_by_what_decides_its_trials() -> None:
    tune = {"model.kind": {"grid": ["pca", "raw"]}}
    first = sweep_id(config_with(tune), "data", "labels")
    longer = tune | {"num_samples": 9, "time_budget_s": 9, "max_concurrent": 9, "cpus_per_trial": 0.5, "retries": 0}
    same = [
        config_with(longer),
        config_with(tune, resources={"num_cpus": 1}),
        config_with(tune, training={"epochs": 2, "num_workers": 3}),
    ]
    assert {sweep_id(config, "data", "labels") for config in same} == {first}
    other = [config_with(tune | {"objective": "silhouette"}), config_with(tune, training={"epochs": 3})]
    named = {sweep_id(config, "data", "labels") for config in other}
    named |= {sweep_id(config_with(tune), "others", "labels"), sweep_id(config_with(tune), "data", "others")}
    assert len(named | {first}) == 5


FEATURES = ["mfcc", "mfcc_stats", "mel_chroma"]


def test_trials_that_read_different_features_share_one_yardstick() -> None:
    both = {"fusion.view": {"grid": ["mfcc", "mfcc_stats"]}}
    assert on_one_yardstick(config_with(both, features=FEATURES)).scoring.yardstick == ("mfcc", "mfcc_stats")
    same = config_with({"model.kind": {"grid": ["pca", "raw"]}}, features=FEATURES)
    assert on_one_yardstick(same) == same
    told = config_with(both, features=FEATURES, scoring={"yardstick": ["mel_chroma"]})
    assert on_one_yardstick(told) == told


def test_what_does_not_go_together_is_left_out_unless_nothing_does() -> None:
    spoiled = {"together": [{"fusion.view": "mfcc"}, {"fusion.view": "mfcc_stats"}], "model.kind": {"choice": ["pca"]}}
    found = list(combinations(config_with(spoiled, features=["mfcc"])))
    assert [config.fusion.view for config in found] == ["mfcc"]  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="'mfcc_stats' is not among features"):
        list(combinations(config_with({"fusion.view": {"grid": ["mfcc_stats"]}}, features=["mfcc"])))


def test_another_kind_brings_its_own_defaults_and_keeps_what_was_written() -> None:
    tune = {"together": [{"model.kind": "vae"}, {"model.kind": "conv"}, {"model.kind": "autoencoder"}]}
    config = config_with(tune, model={"kind": "vae", "latent_dim": 5})
    for trial in trials(config):
        made, alone = config_of(config, trial.point).model, {"kind": trial.point["model.kind"], "latent_dim": 5}
        assert made == config_with(None, model=alone).model


@pytest.fixture
def whole() -> Collection:
    rng = np.random.default_rng(0)
    views = {name: rng.normal(size=(N, 4)).astype(np.float32) for name in ("mfcc", "mfcc_stats", LYRICS)}
    masks = {name: np.ones(N, np.bool_) for name in views}
    masks[LYRICS][10:] = False
    names = [f"t{i}" for i in range(N)]
    classes: list[str | None] = [["a", "b"][i % 2] for i in range(N)]
    return Collection(names, names, views, masks, classes, "genre", artists=list(names), factors={"key": list(names)})


def shared_with(whole: Collection, tune: dict[str, Any], **sections: Any) -> Shared:
    config = config_with(tune, features=["mfcc", "mfcc_stats"], lyrics={"backend": "faster-whisper"}, **sections)
    assert config.tune
    return Shared("sweep", config, config.tune, whole, {"genre": whole.labels}, "cpu")


def test_each_trial_is_given_its_own_views_and_tracks(whole: Collection) -> None:
    shared = shared_with(whole, {"fusion.kind": {"grid": ["audio", "lyrics"]}}, scoring={"yardstick": ["mfcc_stats"]})
    audio, words = (collection_of(shared, config) for config in combinations(shared.config))
    assert set(audio.views) == {"mfcc"} and len(audio) == N
    assert set(words.views) == {LYRICS} and words.track_ids == [f"t{i}" for i in range(10)]
    assert len(words.labels) == len(words.artists) == len(words.factors["key"]) == 10
    assert yardstick(words).shape == (10, 4) and np.allclose(yardstick(audio).mean(axis=0), 0, atol=1e-6)


def test_a_conditional_model_is_given_the_label_it_asks_for(whole: Collection) -> None:
    told = {"kind": "cvae", "condition": {"label": "genre"}}
    shared = shared_with(whole, {"together": [{"model.kind": "pca"}, {"model": told}]})
    conditions = [
        collection_of(shared, one).condition for one in combinations(shared.config) if condition_of(one.model)
    ]
    assert conditions == [whole.labels]


def test_a_fusion_is_fitted_once_and_gives_the_same(whole: Collection) -> None:
    config = config_with(None, fusion={"kind": "audio"})
    plain, remembered = fusion_of(config.fusion), Remembered(fusion_of(config.fusion))
    plain.fit(whole.views, whole.masks)
    for _ in range(2):
        remembered.fit(whole.views, whole.masks)
        made, seen = remembered.transform(whole.views, whole.masks)
        np.testing.assert_array_equal(made["fused"], plain.transform(whole.views, whole.masks)[0]["fused"])
        made.clear()  # a caller's own dict
    assert remembered.fits == 1 and seen["fused"].all()
    few = {name: view[:5] for name, view in whole.views.items()}
    assert remembered.transform(few, {name: mask[:5] for name, mask in whole.masks.items()})[0]["fused"].shape == (5, 4)


def test_weights_go_on_under_new_settings_only_if_they_are_told_so(whole: Collection, tmp_path: Path) -> None:
    def at(rate: float, epochs: int) -> Config:
        training = {"epochs": epochs, "learning_rate": rate, "batch_size": 8}
        return config_with(None, model={"kind": "beta", "latent_dim": 2}, training=training)

    experiment.fit(whole, at(1e-3, 2), 0, checkpoint=tmp_path)
    with pytest.raises(TrainingError, match="belongs to other settings"):
        experiment.fit(whole, at(1e-2, 4), 0, checkpoint=tmp_path)
    (path,) = tmp_path.glob("epoch-*/state.json")
    _under_new_settings(path, at(1e-2, 4), ["training.learning_rate"])
    fitted = experiment.fit(whole, at(1e-2, 4), 0, checkpoint=tmp_path)
    assert [epoch["epoch"] for epoch in fitted.card["history"]] == [1, 2, 3, 4]


def test_optuna_never_asks_twice_and_knows_when_a_space_is_spent() -> None:
    tune = Tune.model_validate({"model.kind": {"choice": ["a", "b", "c"]}, "num_samples": 10})
    assert n_points(tune) == 3
    proposer, seen = Optuna(tune, 0), []
    while (point := proposer.ask()) is not None:
        seen.append(point["model.kind"])  # not told: asked again while it runs
    assert sorted(seen) == ["a", "b", "c"]
    for kind in seen:
        proposer.tell({"model.kind": kind}, (0.0,))
    assert proposer.ask() is None


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
        "versions": "{}",
    } | more


def stored(root: Path, rows: list[dict[str, Any]], objective: list[str]) -> Sweep:
    store = Store(root)
    table: Table = store.table("trials", "s")
    table.create(schemas.TRIALS, {"objective": objective, "uses_labels": False, "scheduler": "none"})
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


def test_trials_that_come_to_the_same_are_one() -> None:
    assert len(trials(config_with({"training.learning_rate": {"grid": [1, 1.0, 2]}}))) == 2


@pytest.fixture
def log(whole: Collection, tmp_path: Path) -> Log:
    """Of a sweep whose trials are told of by hand; `listened` has what its listener was told."""
    tune = {"training.learning_rate": {"loguniform": [1e-4, 1e-2]}, "num_samples": 2, "scheduler": "pbt"}
    shared = shared_with(whole, tune)
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


def test_an_interrupted_population_begins_anew_and_says_so(log: Log) -> None:
    log.begin("a", {"training.learning_rate": 1e-3})
    log.failed("a", "no luck")
    said: list[str] = []
    log.ctx.say = said.append
    assert stage._stand(log.ctx, log.shared, log.table, retry_failed=False) == []
    assert said == [stage.NOT_RESUMABLE] and log.table.count() == 0


def test_the_board_tells_each_trial_once(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    log.begin("a", {"training.learning_rate": 1e-3})
    with Board() as shown:
        log.watch = shown.watch
        log.heard("a", {"points": [[0, 4, 5.0, 4.0, 1.0]], "seconds": 2.0})
        table = board(log)
        assert [list(column.cells)[0] for column in table.columns][:4] == ["a", "running", "4", "5"]
        log.heard("a", {"points": [], "seconds": 2.5, "outcome": outcome(0.2)})
        log.look(now=True)
    assert capsys.readouterr().out == "trial 1 of 2  a ok: 0.2  learning_rate=0.001  2.5 s\n"
    assert board(log).title == "1 of 2 trials  1 ok"
