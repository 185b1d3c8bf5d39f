"""Stability: mean pairwise ARI by hand, groups that come back, and a collapse that comes back no more than its null."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from ray_pipeline import shelf
from ray_pipeline.metrics import bootstrap_stability, seeds_stability
from ray_pipeline.metrics import stability as module_of
from ray_pipeline.metrics.stability import agreement, bootstrapped, pairwise, stability

ROWS = np.arange(12)


def kmeans(k: int, n_init: int = 2) -> Any:
    params = shelf.params_of("clusterer", "kmeans")(n_clusters=k, n_init=n_init)
    return lambda x, seed: shelf.part("clusterer", "kmeans")(x.astype(np.float32), params, seed).labels


def groups(n: int = 120, k: int = 4, d: int = 6, apart: float = 6.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(0, apart, (k, d))[np.arange(n) % k] + rng.normal(size=(n, d))).astype(np.float32)


def line(n: int = 150, d: int = 4, seed: int = 0) -> np.ndarray:
    """What a collapsed model leaves: one direction that varies."""
    return (np.random.default_rng(seed).normal(size=(n, d)) * [1, *[0.01] * (d - 1)]).astype(np.float32)


def test_mean_and_deviation_are_those_of_the_pairs() -> None:
    rng = np.random.default_rng(0)
    labels = [rng.integers(0, 3, 12) for _ in range(3)]
    expected = [adjusted_rand_score(labels[a], labels[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    score = stability([(ROWS, one) for one in labels])
    assert score.value == pytest.approx(np.mean(expected))
    assert score.note == f"mean of 3 pairs, sd {np.std(expected, ddof=1):.2g}"


def test_only_tracks_that_both_have_count_whatever_the_clusters_are_called() -> None:
    one = (np.array([0, 1, 2, 3, 4, 5]), np.array([0, 0, 1, 1, 7, 7]))
    other = (np.array([2, 3, 4, 5, 8, 9]), np.array([4, 4, 2, 2, 4, 2]))
    assert pairwise([one, other]).tolist() == [1.0]
    assert pairwise([one, (np.array([5, 8]), np.array([0, 1]))]).tolist() == []


def test_one_cluster_for_all_agrees_with_nothing() -> None:
    all_in_one = (ROWS, np.zeros(12, int))
    assert pairwise([all_in_one, all_in_one]).tolist() == [0.0]


def test_noise_is_a_cluster_of_its_own() -> None:
    half = np.repeat([-1, 0], 6)
    assert pairwise([(ROWS, half), (ROWS, half + 1)]).tolist() == [1.0]


def test_groups_come_back_and_structureless_data_does_not() -> None:
    x = groups()
    score = bootstrap_stability(x, kmeans(4)(x, 0), cluster=kmeans(4), null_draws=9)
    assert score.metric == "stability_bootstrap" and score.n == 120
    assert score.value > 0.98 and score.p == pytest.approx(1 / 10) and score.z > 5
    assert score.null_mean < 0.6


def test_collapsed_models_are_stable_and_no_more_than_their_null() -> None:
    found = [
        bootstrap_stability(x, kmeans(2)(x, 0), cluster=kmeans(2), null_draws=9, seed=seed)
        for seed, x in enumerate(line(seed=seed) for seed in range(10))
    ]
    assert np.mean([score.value for score in found]) > 0.6
    # One in five is as low as this by its meaning.
    assert 0 < np.mean([score.p <= 0.2 for score in found]) <= 0.5


def test_a_resample_counts_each_track_once() -> None:
    seen: list[int] = []

    def cluster(x: np.ndarray, seed: int) -> np.ndarray:
        seen.append(len(x))
        return x[:, 0].astype(int)

    found = bootstrapped(np.arange(50, dtype=np.float32)[:, None], cluster, 4, seed=0)
    assert seen == [50] * 4
    for rows, labels in found:
        assert len(rows) == len(np.unique(rows)) < 50
        np.testing.assert_array_equal(rows, labels)


def test_subsamples_agree_fully_on_groups_and_hardly_on_a_cloud() -> None:
    cloud = np.random.default_rng(0).normal(size=(120, 6)).astype(np.float32)
    assert agreement(groups(), kmeans(4), 4, 0.8, seed=0) == 1.0
    assert agreement(cloud, kmeans(8), 4, 0.8, seed=0) < 0.5
    assert agreement(cloud[:1], lambda x, seed: np.zeros(len(x)), 4, 0.8, seed=0) == 0.0


def over_seeds(latents: list[np.ndarray], cluster: Any, **settings: Any) -> Any:
    seeds = list(range(len(latents)))
    labels = [cluster(x, seed) for x, seed in zip(latents, seeds, strict=True)]
    return seeds_stability(latents, labels, clusters=[cluster] * len(seeds), seeds=seeds, **settings)


def test_seeds_that_find_the_same_groups_stand_out() -> None:
    rng = np.random.default_rng(1)
    turned = [(groups(apart=3) @ np.linalg.qr(rng.normal(size=(6, 6)))[0]).astype(np.float32) for _ in range(3)]
    noisy = [x + rng.normal(0, 0.3, x.shape).astype(np.float32) for x in turned]
    score = over_seeds(noisy, kmeans(4, 5), null_draws=9)
    assert score.metric == "stability" and score.n == 120 and "mean of 3 pairs" in score.note
    assert score.value > 0.9 and score.p == pytest.approx(1 / 10) and score.z > 2


def test_seeds_that_share_nothing_do_not_agree() -> None:
    latents = [np.random.default_rng(seed).normal(size=(200, 4)).astype(np.float32) for seed in range(3)]
    score = over_seeds(latents, kmeans(4), null_draws=9)
    assert abs(score.value) < 0.05 and abs(score.null_mean) < 0.05


def test_seeds_that_collapse_to_the_same_direction_agree_as_structureless_data_does() -> None:
    """Draws made for each seed apart would share no direction, and so have an ARI of 0: the collapse would be praised."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(200, 1))
    latents = [(shared * [1, 0, 0] + rng.normal(0, 0.05, (200, 3))).astype(np.float32) for _ in range(3)]
    score = over_seeds(latents, kmeans(3), null_draws=19)
    assert score.value > 0.7 and score.null_mean > 0.7
    assert abs(score.z) < 3 and score.p > 0.05


def test_a_single_seed_has_no_stability() -> None:
    assert over_seeds([groups()], kmeans(4)) is None


@pytest.mark.parametrize(
    ("x", "labels", "why"),
    [
        (np.zeros((9, 2)), np.arange(9) % 2, "9 tracks are too few"),
        (np.full((20, 2), np.nan), np.arange(20) % 2, "not finite"),
        (np.eye(20), np.zeros(20, int), "one cluster only"),
    ],
)
def test_what_cannot_be_told_has_the_worst_score_and_clusters_nothing(x: Any, labels: Any, why: str) -> None:
    def never(x: np.ndarray, seed: int) -> np.ndarray:
        raise AssertionError("clustered what cannot be told")

    for score in (
        bootstrap_stability(x, labels, cluster=never),
        seeds_stability([x, x], [labels, labels], clusters=[never, never], seeds=[0, 1]),
    ):
        assert score is not None
        assert score.value == 0.0 and why in score.note and np.isnan(score.lift)


def test_more_clusters_than_tracks_are_looked_at_cannot_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{module_of.__name__}.RESAMPLED_ROWS", 60)
    found = bootstrap_stability(groups(), np.arange(120) % 90, cluster=kmeans(90))
    assert found.value == 0.0 and "90 clusters are more than the 60 tracks" in found.note


def test_many_tracks_are_looked_at_on_a_sample_and_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{module_of.__name__}.RESAMPLED_ROWS", 60)
    monkeypatch.setattr(f"{module_of.__name__}.SEEDS_ROWS", 60)
    x = groups()
    for score in (
        bootstrap_stability(x, kmeans(4)(x, 0), cluster=kmeans(4), null_draws=2),
        over_seeds([x, x], kmeans(4), null_draws=2),
    ):
        assert score.n == 60 and "on 60 of 120 tracks drawn at random" in score.note and score.value > 0.9


def test_the_same_seed_gives_the_same_score() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    runs = [
        bootstrap_stability(x, kmeans(3)(x, 0), cluster=kmeans(3), null_draws=3, seed=s).as_row("e", 0)
        for s in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]
