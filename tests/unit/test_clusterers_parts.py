"""What single clusterers promise: DBSCAN's blocks and knee, Ward on a graph, mixtures whose covariance is singular."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from configs import make_config
from sklearn.cluster import DBSCAN, AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from ray_pipeline.clusterers import agglomerative, dbscan, gmm, hdbscan
from ray_pipeline.errors import ConfigError


def groups(n: int = 300, d: int = 3, k: int = 3, apart: float = 4.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(0, apart, (k, d))[np.arange(n) % k] + rng.normal(size=(n, d))).astype(np.float32)


@pytest.mark.parametrize("eps", [0.4, 0.8, 1.2, 2.0, 50.0])
def test_dbscan_is_that_of_sklearn_but_for_tracks_between_clusters(eps: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbscan, "BLOCK_BYTES", 8 * 300 * 7)  # many blocks of a few rows
    x = groups()
    theirs = DBSCAN(eps=eps, min_samples=5).fit(x)
    found = dbscan.cluster(x, dbscan.Params(eps=eps), 0)
    np.testing.assert_array_equal(found.labels < 0, theirs.labels_ < 0)
    core = theirs.core_sample_indices_
    assert adjusted_rand_score(found.labels[core], theirs.labels_[core]) == 1.0


def test_dbscan_gives_a_track_between_two_clusters_to_the_nearer_in_any_order() -> None:
    left = np.array([[0.0], [0.1], [0.2], [0.3]])
    x = np.concatenate([left, left + 2.14, [[1.2]]]).astype(np.float32)
    for order in (np.arange(9), np.arange(9)[::-1]):
        labels = dbscan.cluster(x[order], dbscan.Params(eps=0.95, min_samples=4), 0).labels[np.argsort(order)]
        assert labels[8] == labels[0] != labels[4], order


def test_dbscan_takes_eps_from_the_knee_and_says_so() -> None:
    x = np.concatenate([groups(297, d=2, apart=20), np.array([[90, 0], [0, 95], [-99, 99]], np.float32)])
    found = dbscan.cluster(x, dbscan.Params(), 0)
    assert found.notes[0].startswith("eps ") and "knee" in found.notes[0]
    assert found.labels[-3:].tolist() == [-1, -1, -1] and len(found.centres) == 3


def test_knee_is_where_the_curve_turns_up() -> None:
    assert dbscan.knee(np.array([*np.linspace(1, 1.1, 90), *np.linspace(2, 30, 10)])) == pytest.approx(1.1)
    assert dbscan.knee(np.full(5, 2.5)) == 2.5


def test_hdbscan_of_a_single_group_is_noise_unless_one_cluster_is_allowed() -> None:
    x = groups(100, k=1)
    allowed = hdbscan.cluster(x, hdbscan.Params(allow_single_cluster=True, min_cluster_size=40), 0)
    assert allowed.labels.max() == 0 and "one cluster only was found" in allowed.notes


def test_ward_past_its_limit_is_on_a_graph_and_says_so() -> None:
    x = groups(k=4, apart=10)
    found = agglomerative.cluster(x, agglomerative.Params(n_clusters=4, full_up_to=100), 0)
    assert found.notes == ["Ward among 15 nearest neighbours: full Ward stops at 100 tracks"]
    full = agglomerative.cluster(x, agglomerative.Params(n_clusters=4), 0)
    assert full.notes == []
    assert adjusted_rand_score(full.labels, AgglomerativeClustering(4).fit_predict(x)) == 1.0
    assert adjusted_rand_score(full.labels, found.labels) == 1.0


def test_graph_of_ward_is_connected_also_where_groups_share_no_neighbour() -> None:
    from scipy.sparse.csgraph import connected_components

    many = np.repeat(groups(40, d=5, apart=100), 20, axis=0)  # 40 places with 20 tracks on each
    assert connected_components(agglomerative.neighbours(many, 3), directed=False)[0] == 1


def test_mixture_with_a_singular_covariance_falls_back_with_a_note() -> None:
    x = np.hstack([groups(d=3), np.ones((300, 1), np.float32)])
    found = gmm.cluster(x, gmm.Params(n_clusters=3, reg_covar=0.0), 0)
    assert [note.partition(":")[0] for note in found.notes] == [
        "full covariance, reg_covar 0",
        "diag covariance, reg_covar 0",
    ]
    assert len(found.centres) == 3


def test_mixture_does_not_depend_on_the_scale_of_the_data() -> None:
    x = groups()
    for scale in (1e-6, 1e6):
        np.testing.assert_array_equal(
            gmm.cluster(x * np.float32(scale), gmm.Params(n_clusters=3), 0).labels,
            gmm.cluster(x, gmm.Params(n_clusters=3), 0).labels,
        )


def test_mixture_follows_long_groups_where_k_means_would_cut_them() -> None:
    rng = np.random.default_rng(0)
    of = np.arange(400) % 2
    x = (rng.normal(size=(400, 2)) * [4, 0.5] + np.outer(of, [0, 4])).astype(np.float32)
    assert adjusted_rand_score(of, gmm.cluster(x, gmm.Params(n_clusters=2), 0).labels) > 0.95


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "kmeans", "n_clusters": 1}, "greater than or equal to 2"),
        ({"kind": "kmeans", "n_clusters": "some"}, "'auto'"),
        ({"kind": "gmm", "k_range": [5, 3]}, r"two numbers from 2 up are needed, the smaller first"),
        ({"kind": "agglomerative", "k_range": [1, 3]}, r"clusterer.k_range"),
        ({"kind": "dbscan", "n_clusters": 8}, "unknown key"),
        ({"kind": "dbscan", "eps": 0}, "greater than 0"),
        ({"kind": "hdbscan", "min_cluster_size": 1}, "greater than or equal to 2"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        make_config(tmp_path, source={"kind": "folder", "root": "."}, clusterer=settings)
