"""The automatic number of clusters: found where there is structure, and "no structure found" where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ray_pipeline import shelf
from ray_pipeline.clusterers import choice
from ray_pipeline.clusterers.base import Clustering, stable_labels
from ray_pipeline.clusterers.choice import automatic
from ray_pipeline.errors import TrainingError
from ray_pipeline.metrics.calibration import gaussian_like
from ray_pipeline.metrics.internal import silhouette
from ray_pipeline.metrics.stability import agreement

QUICK = {"kmeans": {"n_init": 2}, "minibatch_kmeans": {"n_init": 2}, "gmm": {"n_init": 1, "covariance": "diag"}}


def choose(x: np.ndarray, kind: str = "kmeans", seed: int = 0, k_range: tuple[int, int] = (2, 8)) -> Clustering:
    part, params = shelf.part("clusterer", kind), settings(kind, k_range=k_range)
    x = x.astype(np.float32)
    return automatic(
        x, part, params, seed, silhouette=lambda x, y: silhouette(x, y).value, null=gaussian_like, agreement=agreement
    )


def settings(kind: str = "kmeans", **more: Any) -> Any:
    return shelf.params_of("clusterer", kind)(n_clusters="auto", **QUICK.get(kind, {}), **more)


def cloud(seed: int, n: int = 300, d: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def four_blobs(n: int = 300, apart: float = 6.0) -> tuple[np.ndarray, np.ndarray]:
    of = np.arange(n) % 4
    return np.random.default_rng(0).normal(0, apart, (4, 8))[of] + cloud(1, n), of


def test_structureless_data_has_no_structure_in_nine_of_ten_seeds() -> None:
    answers = [choose(cloud(seed), seed=seed, k_range=(2, 6)) for seed in range(10)]
    without = [found for found in answers if found.notes[0].startswith("no structure found")]
    assert len(without) >= 9
    assert all((found.labels == 0).all() and not any(row["chosen"] for row in found.curve) for found in without)


@pytest.mark.parametrize("kind", ["kmeans", "minibatch_kmeans", "gmm", "agglomerative"])
def test_four_blobs_are_four_clusters(kind: str) -> None:
    x, of = four_blobs()
    found = choose(x, kind)
    np.testing.assert_array_equal(found.labels, stable_labels(of))
    chosen = next(row for row in found.curve if row["chosen"])
    assert [row["k"] for row in found.curve] == list(range(2, 9)) and chosen["k"] == 4
    assert chosen["p"] == pytest.approx(1 / 21) and chosen["stability"] == 1.0
    assert chosen["lift"] == pytest.approx(chosen["silhouette"] - chosen["null_mean"])


def test_one_long_direction_alone_is_no_structure() -> None:
    """A collapsed model's latents: k-means has a high and stable silhouette there, and so it has on the null."""
    found = choose(cloud(1, d=4) * [1, 0.01, 0.01, 0.01], k_range=(2, 5))
    assert found.notes[0].startswith("no structure found") and max(row["silhouette"] for row in found.curve) > 0.5


def test_the_same_seed_gives_the_same_choice() -> None:
    x, _ = four_blobs(120, apart=1.5)
    first, second = choose(x, seed=3), choose(x, seed=3)
    assert first.curve == second.curve
    np.testing.assert_array_equal(first.labels, second.labels)


def test_clusters_that_do_not_come_back_are_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = four_blobs()
    monkeypatch.setattr(choice, "_stability", lambda x, search, seed: np.full(len(search.ks), 0.49))
    assert "do not come back in subsamples" in choose(x).notes[0]


def test_p_counts_the_draws_whose_best_k_is_as_good_as_this_one() -> None:
    drawn = np.random.default_rng(0).normal(size=(20, 5))
    seen = drawn.mean(axis=0) + np.array([100, 0, 0, 0, -100])
    p = choice._adjusted_p(seen, drawn)
    assert p[0] == pytest.approx(1 / 21) and p[4] == 1.0 and (p[1:4] > 0.5).all()


def test_p_of_structureless_data_is_small_no_oftener_than_it_says() -> None:
    """A plain p of each k, uncorrected, is at most 1 / 21 for one k or another in a third of these."""
    rng = np.random.default_rng(0)
    smallest = [choice._adjusted_p(*np.split(rng.normal(size=(21, 15)), [1])).min() for _ in range(2_000)]
    assert np.mean(np.array(smallest) <= 0.05) == pytest.approx(1 / 21, abs=0.015)


def test_many_tracks_are_chosen_on_a_sample_and_all_clustered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "ROWS", 100)
    x, of = four_blobs()
    found = choose(x, k_range=(2, 6))
    np.testing.assert_array_equal(found.labels, stable_labels(of))
    assert "on 100 tracks drawn at random" in found.notes[0]


@pytest.mark.parametrize("n", [1, 2])
def test_few_tracks_are_one_cluster(n: int) -> None:
    found = choose(cloud(0, n))
    assert found.labels.tolist() == [0] * n and "too few" in found.notes[0] and found.curve == []


def test_identical_rows_are_one_cluster() -> None:
    found = choose(np.ones((40, 3)))
    assert (found.labels == 0).all() and "all rows are the same" in found.notes[0]


def test_largest_k_chosen_says_that_more_may_fit() -> None:
    x, _ = four_blobs()
    found = choose(x, k_range=(2, 4))
    assert found.notes[1].startswith("4 clusters are the most that were tried")


def test_values_that_are_not_finite_are_refused() -> None:
    x = cloud(0)
    x[3] = np.nan
    with pytest.raises(TrainingError, match="1 of 300 rows"):
        choose(x)


def test_a_clusterer_by_itself_does_not_choose() -> None:
    with pytest.raises(TrainingError, match="n_clusters is auto"):
        shelf.part("clusterer", "kmeans")(cloud(0).astype(np.float32), settings(), 0)
