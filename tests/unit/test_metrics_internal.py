"""Internal scores: equal to sklearn where it answers, defined where it raises, and beside their null."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ray_pipeline.metrics import METRICS, internal_scores
from ray_pipeline.metrics.calibration import gaussian_like, generator, permuted_columns
from ray_pipeline.metrics.internal import calinski_harabasz, coverage, davies_bouldin, silhouette
from ray_pipeline.metrics.score import Score, shelf_name
from ray_pipeline.schemas import SCORES
from ray_pipeline.shelf import part

INTERNAL = [silhouette, calinski_harabasz, davies_bouldin]


def kmeans(n_clusters: int, n_init: int = 1):
    from sklearn.cluster import KMeans

    def cluster(x: NDArray[np.float32], seed: int) -> NDArray[np.int32]:
        return KMeans(n_clusters, n_init=n_init, random_state=seed).fit_predict(x)

    return cluster


def blobs(n: int, d: int, k: int, apart: float, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    centres = apart * rng.standard_normal((k, d))
    return (centres[labels] + rng.standard_normal((n, d))).astype(np.float32), labels


def named(scores: list[Score]) -> dict[str, Score]:
    return {score.metric: score for score in scores}


@pytest.mark.parametrize(
    ("n", "d", "k", "apart"), [(50, 1, 2, 3.0), (700, 32, 8, 0.3), (300, 5, 40, 1.0), (64, 100, 4, 0.0)]
)
def test_equal_to_sklearn(n, d, k, apart):
    from sklearn import metrics

    x, labels = blobs(n, d, k, apart)
    x64 = x.astype(np.float64)
    assert silhouette(x, labels).value == pytest.approx(metrics.silhouette_score(x64, labels), abs=1e-7)
    assert calinski_harabasz(x, labels).value == pytest.approx(metrics.calinski_harabasz_score(x64, labels), rel=1e-9)
    assert davies_bouldin(x, labels).value == pytest.approx(metrics.davies_bouldin_score(x64, labels), rel=1e-9)


def test_silhouette_far_from_the_origin_and_over_several_blocks(monkeypatch):
    from sklearn.metrics import silhouette_score

    x, labels = blobs(500, 4, 3, 2.0)
    far = x.astype(np.float64) + 1e4
    monkeypatch.setattr("ray_pipeline.metrics.separation.BLOCK_BYTES", 7 * 8 * 500)
    assert silhouette(far, labels).value == pytest.approx(silhouette_score(far - 1e4, labels), abs=1e-7)


def test_silhouette_closed_form():
    x, labels = np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([0, 0, 1, 1])
    assert silhouette(x, labels).value == pytest.approx(((9.5 / 10.5) + (8.5 / 9.5)) / 2)


def test_sampled_silhouette_is_within_its_standard_error():
    x, labels = blobs(4_000, 8, 6, 0.8)
    exact = silhouette(x, labels)
    off = []
    for seed in range(10):
        sampled = silhouette(x, labels, max_rows=500, seed=seed)
        error = (sampled.ci_high - sampled.ci_low) / (2 * 1.96)
        off.append((sampled.value - exact.value) / error)
    assert np.isnan(exact.ci_low)
    assert "500 of 4,000 rows" in sampled.note
    assert np.max(np.abs(off)) < 4
    assert 0.3 < np.std(off) < 2


def test_collapsed_latents_are_no_better_than_a_gaussian():
    x = np.random.default_rng(0).standard_normal((3_081, 1)).astype(np.float32)
    cluster = kmeans(8, n_init=3)
    scores = named(internal_scores(x, cluster(x, 0), cluster=cluster, null_draws=6))
    assert scores["silhouette"].value == pytest.approx(0.524, abs=0.012)
    assert scores["silhouette"].null_mean == pytest.approx(0.524, abs=0.008)
    assert abs(scores["silhouette"].lift) < 0.012
    assert scores["calinski_harabasz"].null_mean == pytest.approx(12_521, rel=0.06)
    assert scores["davies_bouldin"].null_mean == pytest.approx(0.528, abs=0.012)


def test_blobs_stand_out_from_both_nulls():
    x, labels = blobs(400, 6, 4, 6.0)
    scores = named(internal_scores(x, labels, cluster=kmeans(4), null_draws=5, x_input=x))
    for name in ("silhouette", "calinski_harabasz", "davies_bouldin"):
        for row in (scores[name], scores[f"{name}@permuted"]):
            assert row.lift > 0
            assert row.z > 3
            assert row.n_null == 5
            assert row.p == pytest.approx(1 / 6)
    for name in ("silhouette_input", "davies_bouldin_input"):
        assert scores[name].lift > 0
        assert scores[name].p == pytest.approx(1 / 6)
        assert np.isnan(scores[name].null_mean)
    assert scores["silhouette_input"].value == scores["silhouette"].value


def test_clusters_unrelated_to_the_input_score_as_chance_there():
    x, labels = blobs(300, 4, 3, 6.0)
    unrelated = np.random.default_rng(5).standard_normal((300, 10))
    score = named(internal_scores(x, labels, cluster=kmeans(3), null_draws=19, x_input=unrelated))["silhouette_input"]
    assert score.p > 0.05
    assert abs(score.z) < 4


def test_the_same_seed_gives_the_same_scores():
    x, labels = blobs(200, 3, 3, 1.0)
    runs = [internal_scores(x, labels, cluster=kmeans(3), null_draws=3, seed=seed, x_input=x) for seed in (1, 1, 2)]
    rows = [[score.as_row("e", 0) for score in run] for run in runs]
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]


def test_noise_is_left_out_and_said():
    x, labels = blobs(100, 3, 2, 5.0)
    labels[:20] = -1
    score = silhouette(x, labels)
    assert score.value == silhouette(x[20:], labels[20:]).value
    assert score.n == 80
    assert "coverage 80.0%" in score.note
    assert "20.0%" in score.note
    assert coverage(x, labels).value == pytest.approx(0.8)


def test_mostly_noise_is_not_flattered():
    x, labels = blobs(100, 3, 2, 50.0)
    labels[8:] = -1
    labels[:2] = [0, 1]
    score = silhouette(x, labels)
    assert score.value == -1.0
    assert "92.0%" in score.note
    assert "those in clusters alone have" in score.note


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ([0] * 6, "one cluster"),
        ([-1] * 6, "every track is noise"),
        ([0, 1, 2, 3, 4, 5], "alone"),
        ([0, -1, 1, -1, 2, 3], "alone"),
        ([0, 1], "too few"),
        ([0], "too few"),
        ([], "too few"),
    ],
)
@pytest.mark.parametrize("metric", INTERNAL, ids=lambda metric: metric.name)
def test_what_cannot_be_scored_has_the_worst_score(metric, labels, why):
    x = np.random.default_rng(0).standard_normal((len(labels), 2))
    score = metric(x, np.array(labels, dtype=np.int64))
    assert score.value == metric.worst
    assert np.isfinite(score.value)
    assert why in score.note


def test_degenerate_clusters_are_not_set_against_a_null():
    def never(x, seed):
        raise AssertionError("clustered a null for clusters that cannot be scored")

    for n in (0, 1, 5):
        x = np.zeros((n, 3), np.float32)
        rows = named(internal_scores(x, np.zeros(n, np.int64), cluster=never, x_input=x))
        assert rows["silhouette"].value == -1.0
        assert np.isnan(rows["silhouette"].lift)
        assert rows["silhouette_input"].value == -1.0


def test_values_that_are_not_finite_have_the_worst_score():
    x, labels = blobs(50, 3, 2, 3.0)
    x[7, 1] = np.nan
    assert [metric(x, labels).value for metric in INTERNAL] == [metric.worst for metric in INTERNAL]
    assert "not finite" in silhouette(x, labels).note


def test_clusters_on_one_point_are_not_apart():
    x, labels = np.ones((10, 2)), np.arange(10) % 2
    assert silhouette(x, labels).value == 0.0
    assert calinski_harabasz(x, labels).value == calinski_harabasz.worst
    assert davies_bouldin(x, labels).value == davies_bouldin.worst


def test_draws_without_clusters_do_not_flatter_the_lift():
    x, labels = blobs(120, 2, 2, 8.0)
    calls = []

    def mostly_one(drawn, seed):
        calls.append(seed)
        return kmeans(2)(drawn, seed) if len(calls) % 2 else np.zeros(len(drawn), np.int64)

    score = named(internal_scores(x, labels, cluster=mostly_one, null_draws=6))["silhouette"]
    assert score.n_null == 3
    assert score.null_mean > 0
    assert score.p == pytest.approx(1 / 7)
    assert "3 of 6 draws" in score.note


def test_gaussian_null_has_the_covariance_of_the_data_even_without_rank():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.standard_normal(4_000), np.full(4_000, 7.0), np.zeros(4_000)])
    x = np.column_stack([x, 2 * x[:, 0] + 1])
    drawn = gaussian_like(x)(generator(0, 1))
    assert drawn.dtype == np.float32
    assert np.allclose(drawn.mean(axis=0), x.mean(axis=0), atol=1e-5)
    assert np.allclose(np.cov(drawn.T), np.cov(x.T), atol=1e-4)
    assert abs(np.corrcoef(drawn[:, 0], x[:, 0])[0, 1]) < 0.1
    wide = gaussian_like(rng.standard_normal((5, 40)))(generator(0, 1))
    assert wide.shape == (5, 40)
    assert np.isfinite(wide).all()


def test_structureless_data_in_many_dimensions_lies_within_its_null():
    cluster = kmeans(4)
    z = []
    for seed in range(4):
        x = np.random.default_rng(seed).standard_normal((250, 32)).astype(np.float32)
        scores = named(internal_scores(x, cluster(x, seed), cluster=cluster, seed=seed, null_draws=8))
        z.append(scores["calinski_harabasz"].z)
    assert abs(np.mean(z)) < 1.5


def test_draws_never_repeat_the_stream_of_a_plain_seed():
    plain = {np.random.default_rng(seed).random() for seed in range(20)}
    drawn = {
        generator(seed, purpose, draw).random() for seed in range(5) for purpose in range(1, 7) for draw in range(5)
    }
    assert len(drawn) == 150
    assert not plain & drawn


def test_permuted_columns_keep_their_values_and_lose_their_ties():
    column = np.arange(500, dtype=np.float32)
    drawn = permuted_columns(np.column_stack([column, column]))(generator(0, 1))
    assert np.array_equal(np.sort(drawn, axis=0), np.column_stack([column, column]))
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.2


def test_rows_fit_the_table_of_scores():
    x, labels = blobs(60, 2, 2, 3.0)
    rows = [score.as_row("e1", 3) for score in internal_scores(x, labels, cluster=kmeans(2), null_draws=2, x_input=x)]
    import pyarrow as pa

    table = pa.Table.from_pylist(rows, schema=SCORES)
    assert set(rows[0]) == set(SCORES.names)
    assert table["chance"][0].as_py() is None
    assert table["seed"].to_pylist() == [3] * len(rows)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_shelf_holds_each_metric_under_its_own_name(name):
    metric = part("metric", name)
    assert metric.name == name
    assert np.isfinite(metric.worst)
    assert shelf_name(f"{name}@permuted") == shelf_name(f"{name}:genre") == name
