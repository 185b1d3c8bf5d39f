"""Latents: active units, effective rank, and the verdict of collapse."""

from __future__ import annotations

import numpy as np
import pytest

from ray_pipeline.metrics import latent_scores
from ray_pipeline.metrics.latent import Latents, collapse, count_active, pca_reconstruction, rank_of


def low_rank(n: int, d: int, rank: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d)) + rng.standard_normal(d)


def named(scores):
    return {score.metric: score for score in scores}


def test_effective_rank_closed_form():
    orthogonal = np.linalg.qr(np.random.default_rng(0).standard_normal((64, 5)))[0]
    orthogonal -= orthogonal.mean(axis=0)
    axes = np.linalg.svd(orthogonal, full_matrices=False)[0]
    assert rank_of(axes) == pytest.approx(5)
    singular = np.array([3.0, 1.0, 0, 0, 0])
    share = np.array([0.75, 0.25])
    assert rank_of(axes * singular) == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    assert rank_of(axes * [1.0, 0, 0, 0, 0] + 100) == pytest.approx(1)


@pytest.mark.parametrize("mu", [np.ones((10, 4)), np.zeros((0, 4)), np.full((5, 2), np.nan), np.ones((1, 3))])
def test_effective_rank_of_nothing_is_0(mu):
    assert rank_of(mu) == 0.0


def test_active_units_count_means_over_the_threshold():
    kl = np.array([[0.5, 0.02, 0.009, 0.0], [0.7, 0.0, 0.009, 0.0]])
    assert count_active(kl) == 1
    assert count_active(kl.mean(axis=0), threshold=0.005) == 3
    score = named(latent_scores(np.eye(4), kl_per_dim=kl))["active_units"]
    assert score.value == 1
    assert "0.01 nats" in score.note


def test_pca_reconstruction_equals_sklearn():
    from sklearn.decomposition import PCA

    x = np.random.default_rng(0).standard_normal((200, 12)) * np.arange(1, 13)
    pca = PCA(3).fit(x)
    rebuilt = pca.inverse_transform(pca.transform(x))
    assert pca_reconstruction(x, 3) == pytest.approx(((x - rebuilt) ** 2).sum(axis=1).mean())


@pytest.mark.parametrize("n", [60, 1_100])
def test_pca_of_more_columns_than_fit_a_dense_product(n):
    x = np.random.default_rng(0).standard_normal((n, 1_200))
    x[:, :2] *= 30
    tail = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)[2:]
    assert pca_reconstruction(x, 2) == pytest.approx((tail**2).sum() / n, rel=1e-6)


def test_pca_with_gaps_counts_what_is_present_only():
    x = low_rank(300, 10, 2)
    gaps = np.random.default_rng(1).random(x.shape) > 0.2
    spoiled = np.where(gaps, x, 1e6)
    assert pca_reconstruction(spoiled, 2, gaps) < 0.02 * x.var(axis=0).sum()
    rows = np.arange(300) < 200
    assert pca_reconstruction(x, 1, rows) == pytest.approx(pca_reconstruction(x[:200], 1))
    assert np.isnan(pca_reconstruction(x, 1, np.zeros(300, bool)))


def test_worse_than_two_components_is_collapse():
    matrix = low_rank(200, 8, 5)
    mu = np.random.default_rng(2).standard_normal((200, 6))
    floor = pca_reconstruction(matrix, 2)
    bad = named(latent_scores(mu, recon_error=floor * 1.1, matrix=matrix))
    good = named(latent_scores(mu, recon_error=np.full(200, floor * 0.9), matrix=matrix))
    same = named(latent_scores(mu, recon_error=floor * (1 + 1e-6), matrix=matrix))
    assert (bad["collapsed"].value, good["collapsed"].value, same["collapsed"].value) == (1.0, 0.0, 0.0)
    assert "reconstructs worse" in bad["collapsed"].note
    assert good["reconstruction"].value == pytest.approx(floor * 0.9)
    assert good["reconstruction_pca2"].value == pytest.approx(floor)


def test_rows_with_nothing_in_them_do_not_make_an_error_small():
    matrix, seen = low_rank(200, 8, 5), np.arange(200) < 50
    mu = np.random.default_rng(2).standard_normal((200, 6))
    floor = pca_reconstruction(matrix, 2, seen)
    errors = np.where(seen, floor * 1.1, 0.0)
    found = named(latent_scores(mu, recon_error=errors, matrix=matrix, mask=seen[:, None] & np.ones_like(matrix, bool)))
    assert found["reconstruction"].value == pytest.approx(floor * 1.1) and found["collapsed"].value == 1.0


def test_one_direction_is_collapse():
    rng = np.random.default_rng(0)
    mu = np.column_stack([rng.standard_normal(500), 1e-4 * rng.standard_normal((500, 31))])
    kl = np.r_[0.56, np.zeros(31)]
    verdict, reason = collapse(Latents(mu, kl_per_dim=kl))
    assert verdict
    assert "fewer than 2" in reason
    assert "1 of 32 units are active" in reason


def test_diverged_latents_have_the_worst_scores():
    mu = np.full((20, 3), np.nan)
    scores = named(latent_scores(mu, recon_error=float("nan"), matrix=np.ones((20, 4)), kl_per_dim=np.full(3, np.nan)))
    assert all(np.isfinite(score.value) for score in scores.values())
    assert scores["collapsed"].value == 1.0
    assert "not finite" in scores["collapsed"].note
    assert scores["effective_rank"].value == 0.0


def test_what_a_model_lacks_is_absent():
    scores = named(latent_scores(np.random.default_rng(0).standard_normal((50, 4))))
    assert set(scores) == {"effective_rank", "collapsed"}
    assert scores["collapsed"].value == 0.0
    assert "not compared" in scores["collapsed"].note
