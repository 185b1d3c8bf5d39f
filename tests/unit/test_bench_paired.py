"""Two clusterings of the same tracks held against each other: who is ahead where the answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

CLASSES = [str(i % 4) for i in range(200)]
RIGHT = np.arange(200) % 4
SEEDS = 3


@pytest.fixture
def difference(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
    import paired

    return lambda ours, theirs, classes=CLASSES: paired.difference([ours] * SEEDS, [theirs] * SEEDS, [classes] * SEEDS)


@pytest.fixture
def random() -> np.ndarray:
    """Clusters that know nothing: int64 [200]."""
    return np.random.default_rng(0).integers(4, size=200)


def test_right_is_ahead_of_random_by_all_there_is(difference: Any, random: np.ndarray) -> None:
    found = difference(RIGHT, random)
    assert found.mean == pytest.approx(1, abs=0.03) and found.low > 0.9
    assert found.verdict == "yes"


def test_the_other_way_round_it_is_behind_by_as_much(difference: Any, random: np.ndarray) -> None:
    ahead, behind = difference(RIGHT, random), difference(random, RIGHT)
    assert behind.mean == pytest.approx(-ahead.mean) and behind.high == pytest.approx(-ahead.low, abs=0.02)
    assert behind.verdict == "no"


def test_the_same_clusters_by_other_names_are_no_different(difference: Any) -> None:
    found = difference(RIGHT, (RIGHT + 2) % 4)
    assert (found.mean, found.low, found.high) == (pytest.approx(0), pytest.approx(0), pytest.approx(0))


def test_two_that_know_nothing_cannot_be_told_apart(difference: Any, random: np.ndarray) -> None:
    found = difference(random, np.random.default_rng(1).integers(4, size=200))
    assert found.low < 0 < found.high and found.verdict == "not told"


def test_tracks_without_a_class_have_no_say(difference: Any, random: np.ndarray) -> None:
    half = [name if at < 100 else None for at, name in enumerate(CLASSES)]
    ours = np.where(np.arange(200) < 100, RIGHT, random)
    assert difference(ours, RIGHT, half).mean == pytest.approx(0)
