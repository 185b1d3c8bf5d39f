"""The check of a label join: what falls to chance when classes are dealt to other tracks, and what does not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from ray_pipeline.errors import ImpossibleScore
from ray_pipeline.metrics import join_check
from ray_pipeline.metrics.external import ami, check_purity


def joined(agree: float, n: int = 400, seed: int = 0) -> tuple[np.ndarray, list[str | None]]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n)
    drawn = np.where(rng.random(n) < agree, labels, rng.integers(0, 5, n))
    return labels, [f"genre {one}" for one in drawn]


def test_a_right_join_falls_to_chance_once_it_is_undone() -> None:
    found = join_check(*joined(0.5), shuffles=40)
    assert [one.metric for one in found] == ["ami", "ari", "nmi", "purity"]
    for one in found:
        assert one.falls_to_chance and one.p == pytest.approx(1 / 41)
        assert one.joined > one.chance + 0.05 and one.shuffled == pytest.approx(one.chance, abs=0.01)
        assert one.verdict.startswith("the join holds")


def test_labels_of_other_tracks_are_no_better_than_shuffled() -> None:
    labels, classes = joined(0.5)
    wrong = np.random.default_rng(9).permutation(classes).tolist()
    for one in join_check(labels, wrong, shuffles=40):
        assert one.falls_to_chance and one.p > 0.05
        assert "those are of other tracks" in one.verdict


def test_a_score_that_ignores_which_track_has_which_class_is_found_out() -> None:
    def by_rank(labels: np.ndarray, classes: Sequence[str | None]) -> dict[str, float]:
        return {"ami": ami(np.sort(labels), sorted(str(name) for name in classes)).value}

    (found,) = join_check(*joined(0.0), score=by_rank, shuffles=20)
    assert not found.falls_to_chance and found.shuffled == pytest.approx(found.joined) and found.joined > 0.5
    assert "does not depend on the join" in found.verdict


def test_right_joins_are_seldom_accused() -> None:
    accused = [
        not one.falls_to_chance
        for seed in range(20)
        for one in join_check(*joined(0.3, 60, seed), shuffles=20, seed=seed)
    ]
    assert sum(accused) <= 1


def test_tracks_without_a_class_keep_having_none() -> None:
    """Those that have one may all lie in one cluster: chance is worked out from the sizes that they have there."""
    labels, classes = joined(0.8)
    holed = [None if i % 3 == 0 else name for i, name in enumerate(classes)]
    assert all(one.falls_to_chance for one in join_check(labels, holed, shuffles=40))
    aside = [None if cluster else name for cluster, name in zip(labels, classes, strict=True)]
    assert all(one.falls_to_chance for one in join_check(labels, aside, shuffles=40))
    assert join_check(labels, [None] * len(labels)) == []


def test_a_score_that_is_no_external_metric_is_refused() -> None:
    with pytest.raises(ValueError, match="silhouette: not among the external metrics ami, ari"):
        join_check(*joined(0.5), score=lambda labels, classes: {"silhouette": 0.5})


def test_purity_that_cannot_be_stops_the_check() -> None:
    def impossible(labels: np.ndarray, classes: Sequence[str | None]) -> dict[str, float]:
        check_purity(0.1477, 460 / 3_081)
        return {}

    with pytest.raises(ImpossibleScore, match="impossible"):
        join_check(*joined(0.5), score=impossible)
