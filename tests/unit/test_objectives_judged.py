"""The arithmetic of the study of objectives: what a candidate is worth where the answer is known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ray_pipeline.sweep.objective import check_objectives


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
    import objectives_judged

    return objectives_judged


AMI = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
ALL = np.ones(5, np.bool_)


def test_a_candidate_that_ranks_as_ami_does_costs_nothing(bench: Any) -> None:
    it = bench.judged(AMI**3, AMI, ALL)
    assert (it.rho.value, it.regret.value, it.winner) == (pytest.approx(1), 0, 4)
    assert it.rho.low == pytest.approx(1) and it.regret.high == 0


def test_its_opposite_costs_the_whole_range(bench: Any) -> None:
    it = bench.judged(-AMI, AMI, ALL)
    assert (it.rho.value, it.regret.value, it.winner) == (pytest.approx(-1), pytest.approx(0.4), 0)


def test_gates_keep_a_winner_out_and_regret_is_held_against_the_best_of_all(bench: Any) -> None:
    it = bench.judged(AMI, AMI, np.array([True, True, True, False, False]))
    assert it.winner == 2 and it.regret_gated.value == pytest.approx(0.2) and it.regret.value == 0


def test_a_random_trial_costs_the_mean(bench: Any) -> None:
    assert bench.by_chance(AMI, ALL).value == pytest.approx(0.2)
    assert bench.by_chance(AMI, np.array([False, False, False, True, True])).value == pytest.approx(0.05)
    assert bench.by_chance(AMI, ~ALL).value == pytest.approx(0.2)


def test_a_sum_of_ranks_takes_each_name_with_its_sign(bench: Any) -> None:
    metrics = [{"a": 1.0, "b": 30.0}, {"a": 2.0, "b": 10.0}, {"a": 3.0, "b": 20.0}]
    assert bench.values_of("-b", metrics).tolist() == [-30, -10, -20]
    assert bench.values_of("a & -b", metrics).tolist() == [2, 5, 5]
    assert np.argmin(bench.values_of("a", [{"a": 5.0}, {}, {"a": 4.0}])) == 1


def test_the_choice_is_the_least_expected_regret_of_what_a_sweep_can_maximise(bench: Any) -> None:
    good, bad = bench.judged(AMI, AMI, ALL), bench.judged(-AMI, AMI, ALL)
    found = dict.fromkeys(bench.EVERY, bad)
    better = dict.fromkeys((*bench.FOR_COMPARISON, *bench.RANK_SUMS, "stability"), good)
    assert bench.chosen(found | better) == "stability"
    check_objectives([name.removeprefix("-") for name in bench.CANDIDATES])


def test_the_choice_is_held_against_the_raw_silhouette_with_the_same_gates(bench: Any) -> None:
    """The gates alone may do it all; then the choice has shown nothing."""
    import objectives_verdict as verdicts

    passed = np.array([True, True, True, False, False])
    it, other = bench.judged(AMI, AMI, passed), bench.judged(-AMI, AMI, passed)
    random = bench.by_chance(AMI, passed)
    assert verdicts.not_confirmed(it, other, random) == ""
    assert verdicts.not_confirmed(it, it, random) == (
        "regret not below that of the raw silhouette with gates, the raw silhouette without"
    )
    assert verdicts.not_confirmed(other, it, random).endswith("ρ not above 0")


def test_the_page_says_whether_the_choice_is_the_default(bench: Any) -> None:
    import objectives_verdict as verdicts

    good, bad = bench.judged(AMI, AMI, ALL), bench.judged(-AMI, AMI, ALL)
    found = [dict.fromkeys(bench.EVERY, bad) | {"stability": good}]
    assert verdicts.as_default(found, verdicts.DEFAULT) == "It is the default of `tune.objective`."
    assert verdicts.as_default(found, "stability").startswith("**The default of `tune.objective` is")
    assert "stays" in verdicts.as_default([dict.fromkeys(bench.EVERY, good)], "stability")


def test_the_default_is_what_the_study_chose_or_the_study_says_why_not() -> None:
    page = Path(__file__).parents[2] / "docs/objective.md"
    if not page.is_file():
        pytest.skip("docs/objective.md is not made yet: bench/objectives.py makes it")
    told = " ".join(page.read_text(encoding="utf-8").split())
    assert "It is the default of `tune.objective`." in told or "The default of `tune.objective` stays" in told


def trial(beta: float, silhouette: float, ami: float) -> dict[str, Any]:
    metrics = {"silhouette": silhouette, "silhouette.lift": 0.1, "ami": ami, "collapsed": float(beta > 1)}
    return {"point": {"model.beta": beta, "model.latent_dim": 2}, "metrics": metrics, "reason": "gated" * (beta > 1)}


@pytest.mark.parametrize(("sign", "told"), [(1, "As β rises, the raw silhouette rises"), (-1, "is not shown here**")])
def test_the_table_of_beta_says_whether_silhouette_and_ami_part(bench: Any, sign: int, told: str) -> None:
    from objectives_beta import over_beta

    outcomes = [
        trial(beta, 0.2 + sign * 0.01 * beta, 0.5 - 0.01 * beta) for beta in (0.1, 0.5, 1, 2, 4, 8) for _ in "ab"
    ]
    lines = list(over_beta(SimpleNamespace(outcomes=outcomes)))
    assert "| 8 | " in lines[7] and lines[7].endswith("100% of the models | 2 of 2 trials |")
    assert told in " ".join(lines) and "ith its null, and −1.000" in " ".join(lines)
