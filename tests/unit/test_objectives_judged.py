"""The arithmetic of the study of objectives: what a candidate is worth where the answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest


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


def test_the_choice_is_the_least_expected_regret_and_never_one_for_comparison(bench: Any) -> None:
    good, bad = bench.judged(AMI, AMI, ALL), bench.judged(-AMI, AMI, ALL)
    found = dict.fromkeys((*bench.CANDIDATES, *bench.FOR_COMPARISON), bad)
    assert bench.chosen(found | {"silhouette": good, "stability": good}) == "stability"
