"""Artist leak: what clusters know of artists, and scores against classes once no artist can pay for them."""

from __future__ import annotations

import numpy as np
import pytest

from ray_pipeline.metrics import artist_share_score, external_scores, filtered_scores
from ray_pipeline.metrics.artists import known_artists, shares

NAMES = ["ami@artists", "ari@artists", "nmi@artists", "purity@artists"]


def artists_of(n_artists: int, n_tracks: int) -> list[str]:
    return [f"artist {i // n_tracks}" for i in range(n_artists * n_tracks)]


def by_artist(n_artists: int, n_tracks: int, n_values: int, rng: np.random.Generator) -> np.ndarray:
    """One value an artist, for all of its tracks."""
    return np.repeat(rng.integers(0, n_values, n_artists), n_tracks)


def filtered(labels: np.ndarray, classes: np.ndarray, artists: list[str], seed: int = 0) -> dict[str, object]:
    names = [f"class {one}" for one in classes]
    found = filtered_scores(labels, names, artists, draws=5, permutations=99, bootstrap=50, seed=seed)
    return {score.metric: score for score in found}


def test_share_closed_form() -> None:
    labels, artists = np.array([0, 0, 0, 1, 1]), ["a", "a", "b", "c", "c"]
    assert shares(labels, artists) == {0: pytest.approx(2 / 3), 1: 1.0}
    score = artist_share_score(labels, artists, permutations=20, bootstrap=20)
    assert score is not None
    assert score.value == pytest.approx(4 / 5) and score.n == 5
    assert score.note == "3 artists; at most 100% of a cluster (1) is by one"


def test_names_that_are_written_otherwise_are_one_artist_and_samplers_none() -> None:
    assert known_artists([" Miles  Davis", "miles davis", "Various Artists", "", None, "VA"]) == [
        "miles davis", "miles davis", None, None, None, None,
    ]  # fmt: skip


def test_clusters_that_are_artists_are_above_chance_and_others_at_it() -> None:
    rng = np.random.default_rng(0)
    artists = artists_of(12, 8)
    leaky = artist_share_score(np.repeat(np.arange(12) % 4, 8), artists, permutations=99, bootstrap=50)
    blind = artist_share_score(rng.integers(0, 4, 96), artists, permutations=99, bootstrap=50)
    assert leaky is not None and blind is not None
    assert leaky.p == pytest.approx(1 / 100) and leaky.lift < 0 and leaky.value == pytest.approx(1 / 3)
    assert blind.p > 0.05 and abs(blind.z) < 3
    assert blind.ci_low <= blind.value <= blind.ci_high


def test_without_a_known_artist_there_is_no_score() -> None:
    labels = np.array([0, 1, 0, 1])
    assert artist_share_score(labels, [None, "", "Various Artists", None]) is None
    assert filtered_scores(labels, ["a", "b", "a", "b"], [None] * 4) == []


def test_artists_with_one_track_each_leave_nothing_to_filter() -> None:
    labels, artists = np.array([0, 1, 0, 1]), list("wxyz")
    assert filtered_scores(labels, list("abab"), artists) == []
    score = artist_share_score(labels, artists, permutations=20, bootstrap=20)
    assert score is not None and "no artist has two tracks" in score.note


def test_clusters_that_are_the_classes_stay_so_under_the_filter() -> None:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 120)
    found = filtered(classes, classes, artists_of(30, 4))
    assert list(found) == NAMES
    for score in found.values():
        assert score.value == pytest.approx(1) and score.n == 30 and score.p == pytest.approx(1 / 100)
        assert "one track of each of 30 artists, mean of 5 draws, sd 0" in score.note


def test_agreement_that_artists_pay_for_is_gone_under_the_filter() -> None:
    """Each artist has a class and a cluster, drawn apart: over tracks they seem related, over artists they are not."""
    plain, alone = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        labels, classes = (by_artist(16, 12, 4, rng) for _ in range(2))
        names = [f"class {one}" for one in classes]
        plain.append(external_scores(labels, names, permutations=99, bootstrap=10, seed=seed)[0].p)
        alone.append(filtered(labels, classes, artists_of(16, 12), seed)["ami@artists"].p)
    assert np.mean(np.array(plain) <= 0.05) > 0.7
    assert np.mean(np.array(alone) <= 0.05) < 0.3


@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
def test_p_is_small_no_oftener_than_it_says_however_alike_an_artists_tracks_are(alike: float) -> None:
    """The sizes are uneven, as those of artists are."""
    sizes = np.array([1] * 20 + [5] * 5 + [20] * 2)
    artist = np.repeat(np.arange(len(sizes)), sizes)
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        labels, classes = (
            np.where(
                rng.random(len(artist)) < alike, rng.integers(0, 3, len(sizes))[artist], rng.integers(0, 3, len(artist))
            )
            for _ in range(2)
        )
        found.append(filtered(labels, classes, [f"artist {i}" for i in artist], seed)["ari@artists"].p)
    assert 0.05 <= np.mean(np.array(found) <= 0.2) <= 0.3


def test_only_tracks_with_class_and_artist_count() -> None:
    labels = np.array([0, 0, 1, 1, 0, 1])
    scores = filtered_scores(
        labels, ["a", "a", "b", "b", None, "a"], ["x", "x", "y", "y", "x", None], draws=3, permutations=9, bootstrap=9
    )
    assert {score.n for score in scores} == {2}
    assert scores[3].metric == "purity@artists" and scores[3].value == 1.0


def test_the_label_marks_the_scores() -> None:
    scores = filtered_scores(np.array([0, 0, 1]), list("aab"), list("xxy"), permutations=9, bootstrap=9, name="genre")
    assert scores[0].metric == "ami:genre@artists"


def test_the_same_seed_gives_the_same_scores() -> None:
    rng = np.random.default_rng(0)
    labels, classes = rng.integers(0, 4, 60), rng.integers(0, 3, 60)
    runs = [
        [score.as_row("e", 0) for score in filtered(labels, classes, artists_of(15, 4), seed).values()]
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]
