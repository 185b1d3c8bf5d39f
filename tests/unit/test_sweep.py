"""A sweep without Ray: the space, its trials, what they are worth, and what is tried next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ray_pipeline import experiment
from ray_pipeline.collection import Collection
from ray_pipeline.config import check, load
from ray_pipeline.errors import ConfigError
from ray_pipeline.metrics.latent import RECONSTRUCTION_SLACK
from ray_pipeline.metrics.score import LEAK, Score
from ray_pipeline.space import MOST_IN_TIME, Gates, Tune
from ray_pipeline.sweep import WORST, config_of, judge, pareto_front, trials
from ray_pipeline.sweep.objective import check_objectives, uses_labels
from ray_pipeline.sweep.proposers import Listed, Optuna, n_points

HEAD = "source: {kind: folder, root: /}\nmodel: {kind: beta}\ntune:\n"


def loaded(tmp_path: Path, block: str, *overrides: str) -> Any:
    file = tmp_path / "sweep.yaml"
    file.write_text(HEAD + "".join(f"  {line}\n" for line in block.strip().splitlines()), encoding="utf-8")
    return load(file, overrides)


def test_grids_are_crossed_and_draws_repeat_them(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "model.beta: {grid: [1, 4]}\nmodel.latent_dim: {grid: [2, 8]}\ntraining.learning_rate: {loguniform: [1e-4, 1e-2]}\n"
        "num_samples: 3",
    )
    points = [trial.point for trial in trials(config)]
    assert len(points) == 12
    assert {(point["model.beta"], point["model.latent_dim"]) for point in points} == {(1, 2), (1, 8), (4, 2), (4, 8)}
    assert len({point["training.learning_rate"] for point in points}) == 12
    assert all(1e-4 <= point["training.learning_rate"] <= 1e-2 for point in points)


def test_the_same_seed_makes_the_same_list_and_another_another(tmp_path: Path) -> None:
    block = "model.beta: {uniform: [0.1, 8]}\nnum_samples: 5"
    first, again = trials(loaded(tmp_path, block)), trials(loaded(tmp_path, block))
    assert [one.name for one in first] == [one.name for one in again]
    assert [one.name for one in first] != [one.name for one in trials(loaded(tmp_path, block, "seed=1"))]


def test_more_samples_go_on_with_the_same_list(tmp_path: Path) -> None:
    """So that a sweep can be made longer without doing anything twice."""
    block = "model.beta: {uniform: [0.1, 8]}\nnum_samples: 3"
    few, more = trials(loaded(tmp_path, block)), trials(loaded(tmp_path, block, "tune.num_samples=6"))
    assert [one.name for one in more][:3] == [one.name for one in few]


def test_a_point_drawn_twice_is_one_trial(tmp_path: Path) -> None:
    config = loaded(tmp_path, "model.beta: {choice: [1, 4]}\nnum_samples: 50")
    assert sorted(trial.point["model.beta"] for trial in trials(config)) == [1, 4]


def test_together_sets_several_keys_at_once(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "together:\n  - {model.kind: vae}\n  - {model.kind: beta, model.beta: 4}\nclusterer.n_clusters: {grid: [4, 8]}",
    )
    made = [config_of(config, trial.point) for trial in trials(config)]
    assert [(one.model.kind, one.clusterer.n_clusters) for one in made] == [  # type: ignore[attr-defined]
        ("vae", 4), ("beta", 4), ("vae", 8), ("beta", 8),
    ]  # fmt: skip
    assert all(one.tune is None for one in made)


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ("{}", "sweep.yaml:3: tune"),
        ("model.betta: {grid: [1]}", "sweep.yaml:4: model.betta: unknown key; did you mean 'beta'"),
        ("model.beta: {grid: [1, x]}", "sweep.yaml:4: model.beta"),
        ("model.beta: {uniform: [-1, 2]}", "sweep.yaml:4: model.beta"),
        ("model.beta: {uniform: [2, 1]}", "sweep.yaml:4: tune.model.beta: uniform: \\[low, high\\] with low < high"),
        ("model.beta: {loguniform: [0, 1]}", "sweep.yaml:4: tune.model.beta: loguniform: low must be above 0"),
        ("model.beta: {gird: [1]}", "sweep.yaml:4: tune.model.beta.gird: unknown key; did you mean 'grid'"),
        ("model.beta: {grid: [1], choice: [2]}", "sweep.yaml:4: tune.model.beta: exactly one of"),
        ("model.beta: {grid: []}", "sweep.yaml:4: tune.model.beta.grid"),
        ("model.beta: 4", "sweep.yaml:4: tune.model.beta"),
        ("model.beta: {grid: [1]}\nnum_samples: 0", "sweep.yaml:5: tune.num_samples"),
        ("model.beta: {uniform: [1, 2]}\nsearch: grid", "search is grid, and model.beta would have to be drawn"),
        ("num_samples: 3", "names nothing to search"),
        ("model.beta: {uniform: [1, 2]}\nsearch: optuna", "search optuna needs num_samples or time_budget_s"),
        ("model.kind: {grid: [vae, bta]}", "sweep.yaml:4: model.kind: unknown model 'bta'; did you mean 'beta'"),
    ],
)
def test_mistakes_say_where(tmp_path: Path, block: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        loaded(tmp_path, block)


def test_a_config_without_the_block_is_no_sweep(tmp_path: Path) -> None:
    file = tmp_path / "plain.yaml"
    file.write_text("source: {kind: folder, root: /}\n")
    with pytest.raises(ConfigError, match="tune: a sweep needs this block"):
        trials(load(file))


def test_objectives_are_metrics_their_lift_or_their_z() -> None:
    check_objectives(["silhouette_input", "silhouette.lift", "ami", "silhouette@permuted"])
    check_objectives(["silhouette@permuted.z", "ami@artists", "ami@artists.lift", "mig@rotated", "coverage"])
    assert uses_labels(["silhouette_input", "ami"]) and not uses_labels(["silhouette_input"])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("silhuette", "unknown metric 'silhuette'; did you mean 'silhouette'"),
        ("silhouette@foo", "there is no 'silhouette@foo'; there is silhouette@permuted"),
        ("silhouette@permuted.zz", r"there is no '\.zz' of silhouette; there is silhouette\.lift, silhouette\.z"),
        ("silhouette.", r"there is no '\.' of silhouette"),
        ("ami:nothing", "there is no 'ami:nothing'; there is ami@artists"),
        ("silhouette_input@permuted", "there is none but silhouette_input"),
        ("reconstruction.lift", r"there is no '\.lift' of reconstruction; there is none"),
    ],
)
def test_an_objective_that_no_trial_can_have_is_refused(name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        check_objectives([name])


LABELS = np.repeat(np.arange(4, dtype=np.int32), 25)


def scored(value: float = 0.3, error: float = 5.0, **others: float) -> list[Score]:
    values = {"silhouette_input": value, "reconstruction": error, "reconstruction_pca2": 10.0} | others
    return [Score(name, one, lift=one - 0.1, z=2.0) for name, one in values.items()]


def test_a_trial_is_worth_the_mean_over_its_seeds() -> None:
    found = judge([scored(0.2), scored(0.4)], [LABELS, LABELS], ["silhouette_input", "silhouette_input.lift"], Gates())
    assert found.values == pytest.approx((0.3, 0.2))
    assert found.reason == ""


def test_less_is_better_where_the_metric_says_so() -> None:
    found = judge([scored(davies_bouldin_input=1.5)], [LABELS], ["davies_bouldin_input"], Gates())
    assert found.values == (-1.5,)


@pytest.mark.parametrize(
    ("scores", "labels", "reason"),
    [
        (scored(error=11.0), LABELS, "rebuilds worse than PCA with two components"),
        (scored(error=float("nan")), LABELS, "rebuilds worse"),
        (scored(), np.where(np.arange(100) < 30, -1, 0).astype(np.int32), "30.0% noise, more than 20%"),
        (scored(), np.array([0] * 1 + [1] * 299, np.int32), "a cluster of 0.33% of the tracks"),
        (scored(), np.full(100, -1, np.int32), "100.0% noise"),
        (scored(), np.zeros(100, np.int32), "one cluster only"),
        (scored(active_units=0.0), LABELS, "not one latent dimension is active"),
        ([Score("reconstruction", 1.0), Score("reconstruction_pca2", 2.0)], LABELS, "no value of silhouette_input"),
    ],
)
def test_a_gated_trial_is_worth_the_worst_and_says_why(scores: list[Score], labels: Any, reason: str) -> None:
    found = judge([scored(), scores] if len(scores) > 2 else [scores], [LABELS, labels] if len(scores) > 2 else [labels],
                  ["silhouette_input"], Gates())  # fmt: skip
    assert found.values == (WORST,)
    assert reason in found.reason


def test_a_seed_without_a_lift_is_no_better_for_the_others() -> None:
    nothing = [Score(one.metric, one.value) for one in scored(0.9)]
    found = judge([scored(0.2), nothing], [LABELS, LABELS], ["silhouette_input.lift"], Gates())
    assert found.reason == "no value of silhouette_input.lift" and found.values == (WORST,)
    assert "silhouette_input.lift" not in found.metrics and found.metrics["silhouette_input"] == pytest.approx(0.55)


def test_what_only_the_first_seed_has_stands_for_all() -> None:
    first = [*scored(0.2), Score("stability", 0.8, z=3.0)]
    assert judge([first, scored(0.2)], [LABELS, LABELS], ["stability"], Gates()).values == (0.8,)


def test_a_label_that_the_model_was_given_is_no_score() -> None:
    leaked = [*scored(), Score("ami", 0.9, note=f"{LEAK}: the model was given the label")]
    found = judge([leaked], [LABELS], ["ami"], Gates())
    assert found.reason == f"{LEAK}: the model was given what ami is held against" and found.values == (WORST,)
    beside = judge([leaked], [LABELS], ["silhouette_input"], Gates())
    assert beside.values == (0.3,) and "ami" not in beside.metrics


def test_what_rebuilds_as_pca_does_is_not_gated_by_rounding() -> None:
    """The gate allows the slack that the verdict "collapsed" does."""
    bound = 10.0 * (1 + RECONSTRUCTION_SLACK)
    assert judge([scored(error=bound)], [LABELS], ["silhouette_input"], Gates()).reason == ""
    assert judge([scored(error=bound * 1.0001)], [LABELS], ["silhouette_input"], Gates()).reason.startswith("rebuilds")


@pytest.mark.parametrize("seed", range(4))
def test_a_pca_of_two_components_passes_the_gate_that_is_held_against_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(60, 3)) @ rng.normal(size=(3, 20)) + rng.normal(size=(60, 20))).astype(np.float32)
    names = [str(i) for i in range(60)]
    collection = Collection(names, names, {"mfcc": x}, {"mfcc": np.ones(60, np.bool_)})
    plain = {"source": {"kind": "folder", "root": "/"}, "features": ["mfcc"], "lyrics": {"backend": "none"},
             "fusion": {"kind": "audio"}, "model": {"kind": "pca", "n_components": 2},
             "clusterer": {"kind": "kmeans", "n_clusters": 4}, "scoring": {"null_draws": 2}}  # fmt: skip
    _, _, found = experiment.run(collection, check(plain), seed)
    assert judge([found.scores], [found.labels], ["silhouette_input"], Gates()).reason == ""


def test_a_trial_on_much_fewer_tracks_than_others_is_not_compared() -> None:
    fewer = judge([scored()], [LABELS], ["silhouette_input"], Gates(), most_tracks=126)
    assert fewer.reason == "places 100 tracks, others 126: not to be compared" and fewer.values == (WORST,)
    assert fewer.metrics["silhouette_input"] == 0.3, "its scores are kept"
    assert judge([scored()], [LABELS], ["silhouette_input"], Gates(), most_tracks=125).reason == ""
    assert judge([scored()], [LABELS], ["silhouette_input"], Gates(fewest_tracks=0), most_tracks=999).reason == ""


def test_gates_can_be_opened() -> None:
    assert judge([scored(error=11.0)], [LABELS], ["silhouette_input"], Gates(reconstruction=False)).reason == ""


def test_the_pareto_front_holds_what_nothing_beats() -> None:
    assert pareto_front([(1, 5), (2, 4), (1, 4), (2, 4), (0, 6)]) == [0, 1, 3, 4]
    assert pareto_front([]) == []


def tune_block(**block: Any) -> Tune:
    return Tune.model_validate(block)


def test_a_list_is_given_in_its_order() -> None:
    proposer = Listed([{"a": 1}, {"a": 2}])
    assert [proposer.ask(), proposer.ask(), proposer.ask()] == [{"a": 1}, {"a": 2}, None]


def best_beta(known: list[tuple[dict[str, Any], tuple[float, ...]]] | None = None) -> list[float]:
    tune = tune_block(**{"model.beta": {"uniform": [0, 10]}, "model.kind": {"choice": ["a", "b"]}, "num_samples": 40})
    proposer, tried = Optuna(tune, 0, known or []), []
    while (point := proposer.ask()) is not None:
        tried.append(point["model.beta"])
        proposer.tell(point, (-((point["model.beta"] - 3) ** 2) - (point["model.kind"] == "a"),))
    return tried


def test_optuna_closes_in_and_is_seeded() -> None:
    tried = best_beta()
    assert len(tried) == 40
    assert abs(np.median(tried[20:]) - 3) < abs(np.median(tried[:10]) - 3) + 0.5
    assert min(abs(beta - 3) for beta in tried) < 0.3
    assert tried == best_beta()


def test_optuna_goes_on_from_what_it_is_told() -> None:
    known = [({"model.beta": float(beta), "model.kind": "b"}, (-((beta - 3.0) ** 2),)) for beta in range(11)]
    tried = best_beta(known)
    assert len(tried) == 40 - 11
    assert abs(np.mean(tried[:5]) - 3) < 2.5


def test_optuna_chooses_among_points_that_set_several_keys() -> None:
    tune = tune_block(together=[{"model.kind": "vae"}, {"model.kind": "beta", "model.beta": 4}], num_samples=10)
    proposer, seen = Optuna(tune, 0), []
    while (point := proposer.ask()) is not None:
        seen.append(point)
        proposer.tell(point, (float(point.get("model.beta", 0)),))
    assert {"model.kind": "beta", "model.beta": 4} in seen
    again = Optuna(tune, 0, [(point, (0.0,)) for point in seen])
    assert again.ask() is None


def test_optuna_is_asked_for_every_point_of_a_grid_unless_fewer_are_asked_for() -> None:
    grid = {"model.beta": {"grid": [0.5, 1, 4]}, "training.epochs": {"randint": [3, 6]}, "search": "optuna"}
    assert n_points(tune_block(**grid)) == 12
    assert n_points(tune_block(**grid, num_samples=5)) == 5
    both = [{"model.kind": "vae"}, {"model.kind": "beta"}]
    assert n_points(tune_block(together=both, search="optuna")) == 2
    proposer, asked = Optuna(tune_block(**grid), seed=0), []
    while (point := proposer.ask()) is not None:
        asked.append(tuple(sorted(point.items())))
        proposer.tell(point, [0.0])
    assert len(set(asked)) == len(asked) == 12


def test_a_time_budget_alone_ends_draws() -> None:
    drawn = {"model.beta": {"uniform": [0.1, 8]}, "time_budget_s": 9}
    assert len(list(tune_block(**drawn).points(0))) == MOST_IN_TIME
    assert n_points(tune_block(**drawn, search="optuna")) == MOST_IN_TIME
