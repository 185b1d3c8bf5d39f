"""Consensus clustering: how often pairs are together, what many runs agree on, and the sample past its limit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import squareform
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from ray_pipeline.clusterers import consensus
from ray_pipeline.clusterers.base import stable_labels
from ray_pipeline.clusterers.consensus import Params, apart, cluster


def groups(n: int = 200, k: int = 4, apart: float = 8.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    of = np.arange(n) % k
    return (rng.normal(0, apart, (k, 5))[of] + rng.normal(size=(n, 5))).astype(np.float32), of


def rings(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Two rings, one around the other: no cut by k-means parts them."""
    rng = np.random.default_rng(0)
    of, angle = np.arange(n) % 2, rng.uniform(0, 2 * np.pi, n)
    radius = np.where(of == 0, 1.0, 5.0) + rng.normal(0, 0.1, n)
    return (radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])).astype(np.float32), of


def test_distances_are_the_share_of_common_runs_in_which_a_pair_was_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consensus, "BLOCK_BYTES", 8 * 40 * 7)  # blocks of seven rows
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    member, seen = consensus._runs(x, 12, 3, seed=0)
    cluster_of = np.where(seen > 0, member.toarray().reshape(40, 12, 3).argmax(axis=2), -1)
    expected = np.zeros((40, 40))
    for i in range(40):
        for j in range(40):
            both = (cluster_of[i] >= 0) & (cluster_of[j] >= 0)
            together = (cluster_of[i] == cluster_of[j]) & both
            expected[i, j] = 1 - together.sum() / max(both.sum(), 1)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(squareform(apart(x, Params(n_runs=12), 3, 0)), expected, atol=1e-6)


def test_each_run_sees_four_fifths_of_the_tracks_in_k_clusters() -> None:
    x, _ = groups(100)
    member, seen = consensus._runs(x, 10, 4, seed=0)
    assert seen.sum(axis=0).tolist() == [80] * 10
    assert (np.asarray(member.sum(axis=0)).reshape(10, 4) > 0).all()
    np.testing.assert_array_equal(np.asarray(member.sum(axis=1)).ravel(), seen.sum(axis=1))


def test_groups_are_clusters_whatever_the_seed() -> None:
    x, of = groups()
    for seed in range(3):
        np.testing.assert_array_equal(cluster(x, Params(n_clusters=4), seed).labels, stable_labels(of))


def test_runs_agree_on_more_than_single_runs_do() -> None:
    """Nine groups of which one start of k-means usually merges two and parts another."""
    rng = np.random.default_rng(3)
    x = (rng.normal(0, 4, (9, 4))[np.arange(270) % 9] + rng.normal(size=(270, 4))).astype(np.float32)
    single = [KMeans(9, n_init=1, init="random", random_state=seed).fit_predict(x) for seed in range(4)]
    together = [cluster(x, Params(n_clusters=9), seed).labels for seed in range(4)]

    def agreed(found: list[np.ndarray]) -> float:
        return float(np.mean([adjusted_rand_score(found[0], one) for one in found[1:]]))

    assert agreed(together) > agreed(single) + 0.05


def test_many_clusters_a_run_follow_rings_that_k_means_cuts() -> None:
    x, of = rings()
    evidence = cluster(x, Params(n_clusters=2, run_clusters=25, n_runs=80), 0)
    plain = cluster(x, Params(n_clusters=2), 0)
    assert adjusted_rand_score(of, evidence.labels) > 0.95
    assert adjusted_rand_score(of, plain.labels) < 0.5


def test_past_its_limit_a_sample_is_clustered_and_the_rest_goes_to_the_nearest_centre() -> None:
    x, of = groups()
    found = cluster(x, Params(n_clusters=4, full_up_to=60), 0)
    np.testing.assert_array_equal(found.labels, stable_labels(of))
    assert found.notes == [
        "consensus of 60 of 200 tracks drawn at random; the others went to the nearest of its centres"
    ]
    np.testing.assert_allclose(found.centres[0], x[found.labels == 0].mean(axis=0), rtol=1e-4)


def test_as_many_clusters_as_tracks() -> None:
    x, _ = groups(5)
    assert cluster(x, Params(n_clusters=5), 0).labels.tolist() == [0, 1, 2, 3, 4]
