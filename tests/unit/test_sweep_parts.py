"""What a sweep on Ray Tune is made of, without Ray: what may be searched and compared, and what a trial is given."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_configs import N, config_with, shared_with, some_tracks

from ray_pipeline import experiment
from ray_pipeline.collection import Collection, yardstick
from ray_pipeline.config import Config
from ray_pipeline.errors import ConfigError, ImpossibleScore, TrainingError
from ray_pipeline.fusion import LYRICS
from ray_pipeline.models.condition import condition_of
from ray_pipeline.needs import fusion_of
from ray_pipeline.space import Tune
from ray_pipeline.stages import sweep_trial
from ray_pipeline.stages.sweep import _proposer
from ray_pipeline.stages.sweep_data import collection_of
from ray_pipeline.stages.sweep_trial import _fused, _under_new_settings
from ray_pipeline.sweep import WORST, Judged, sweep_id
from ray_pipeline.sweep.objective import check_objectives, needs_nulls, needs_stability, uses_labels
from ray_pipeline.sweep.proposers import Optuna, n_points
from ray_pipeline.sweep.remembered import Remembered
from ray_pipeline.sweep.rungs import rungs, stops
from ray_pipeline.sweep.trials import combinations, config_of, on_one_yardstick, trials


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
    return some_tracks()


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


def test_a_worker_fuses_once_for_trials_that_fuse_alike(whole: Collection) -> None:
    grids = {"fusion.view": {"grid": ["mfcc", "mfcc_stats"]}, "model.kind": {"grid": ["pca", "raw"]}}
    shared = shared_with(whole, grids)
    used = [_fused(shared, config_of(shared.config, trial.point)) for trial in trials(shared.config)]
    views = [trial.point["fusion.view"] for trial in trials(shared.config)]
    assert views == ["mfcc", "mfcc", "mfcc_stats", "mfcc_stats"]
    assert used[0] is used[1] and used[2] is used[3] and used[0] is not used[2]
    other = replace(shared, name="another sweep")
    assert _fused(other, config_of(shared.config, {})) is not used[0]


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


def test_optuna_is_told_of_what_was_tried(whole: Collection) -> None:
    """Of the objective of every row, also of those that were gated or failed."""
    tune = {"model.beta": {"uniform": [0.1, 4]}, "search": "optuna", "num_samples": 5}
    shared = shared_with(whole, tune, model={"kind": "beta"})
    rows = [
        {"point": {"model.beta": beta}, "objective": [value]} for beta, value in ((0.5, 0.3), (2.0, 0.1), (3.5, WORST))
    ]
    proposer = _proposer(shared, rows)
    assert isinstance(proposer, Optuna)
    told = [(trial.params, trial.values) for trial in proposer._study.get_trials() if trial.state.is_finished()]
    assert told == [(row["point"], row["objective"]) for row in rows]
    asked = [proposer.ask(), proposer.ask(), proposer.ask()]
    assert None not in asked[:2] and asked[2] is None, "what was tried counts"


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


def test_trials_that_come_to_the_same_are_one() -> None:
    assert len(trials(config_with({"training.learning_rate": {"grid": [1, 1.0, 2]}}))) == 2


def test_a_trial_with_a_score_that_cannot_be_is_told_and_is_no_outcome(
    whole: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import tune

    def impossible(trial: Any) -> dict[str, Any]:
        raise ImpossibleScore("purity is below", hint="join by track_id")

    reported: list[dict[str, Any]] = []
    monkeypatch.setattr(tune, "report", reported.append)
    monkeypatch.setattr(sweep_trial._Trial, "run", impossible)
    with pytest.raises(ImpossibleScore):
        sweep_trial.run_trial({"spec": {"point": {}}}, shared_with(whole, {"model.kind": {"grid": ["pca", "raw"]}}))
    (told,) = reported
    assert (told["impossible"], told["hint"]) == ("purity is below", "join by track_id") and "outcome" not in told


def test_a_trial_tells_all_its_scores_at_each_rung(whole: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """External ones too: it may be stopped there."""
    from ray import tune

    grid = {"training.learning_rate": {"grid": [1e-3]}, "scheduler": "asha", "gates": {"reconstruction": False}}
    scoring = {"label": "genre", "seeds": 2, "null_draws": 2, "permutations": 10}
    model, training = {"kind": "beta", "latent_dim": 2}, {"epochs": 2, "batch_size": 16, "num_workers": 0}
    shared = shared_with(replace(whole, factors={}), grid, scoring=scoring, model=model, training=training)
    shared = replace(shared, name="of this test")  # a worker keeps what it cut for a sweep
    reported: list[dict[str, Any]] = []
    monkeypatch.setattr(tune, "report", lambda told, **_: reported.append(told))
    monkeypatch.setattr(tune, "get_checkpoint", lambda: None)
    sweep_trial.run_trial({"spec": {"point": {"training.learning_rate": 1e-3}}}, shared)
    (rung,) = (told for told in reported if "standing" in told)
    scores, outcome = dict(rung["scores"]), reported[-1]["outcome"]
    assert (rung["epoch"], rung["n_tracks"], outcome["epochs"]) == (1, N, 2)
    assert {"ami", "ami.lift", "silhouette_input"} <= set(scores) == set(outcome["scores"])
    assert set(dict(rung["spread"])) == set(outcome["spread"]) and rung["objective"] == [scores["silhouette_input"]]
