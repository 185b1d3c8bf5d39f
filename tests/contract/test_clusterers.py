"""Every clusterer on the shelf: labels, centres, seeds, and matrices that hold little."""

from __future__ import annotations

import numpy as np
import pytest

from ray_pipeline import shelf
from ray_pipeline.clusterers import CLUSTERERS
from ray_pipeline.clusterers.base import Clustering, stable_labels
from ray_pipeline.errors import TrainingError

KINDS = sorted(CLUSTERERS)


def cluster(kind: str, x: np.ndarray, seed: int = 0, **settings: object) -> Clustering:
    params = shelf.params_of("clusterer", kind)(**settings)
    found: Clustering = shelf.part("clusterer", kind)(x, params, seed)
    return found


def blobs(n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Eight tight blobs in four dimensions, and which blob each row is of."""
    rng = np.random.default_rng(seed)
    of = np.arange(n) % 8
    return (rng.normal(0, 20, (8, 4))[of] + rng.normal(0, 0.1, (n, 4))).astype(np.float32), of


@pytest.mark.parametrize("kind", KINDS)
def test_labels_and_centres_have_their_shapes(kind: str) -> None:
    x, _ = blobs()
    found = cluster(kind, x)
    k = found.labels.max() + 1
    assert found.labels.dtype == np.int32 and found.labels.shape == (120,)
    assert set(found.labels) - {-1} == set(range(k))
    assert found.centres.dtype == np.float32 and found.centres.shape == (k, 4) and np.isfinite(found.centres).all()
    np.testing.assert_allclose(found.centres[0], x[found.labels == 0].mean(axis=0), rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_labels(kind: str) -> None:
    x = np.random.default_rng(1).normal(size=(150, 6)).astype(np.float32)
    np.testing.assert_array_equal(cluster(kind, x, seed=5).labels, cluster(kind, x, seed=5).labels)


@pytest.mark.parametrize("kind", KINDS)
def test_not_finite_and_empty_are_refused(kind: str) -> None:
    x, _ = blobs()
    x[4, 1] = np.inf
    with pytest.raises(TrainingError, match="1 of 120 rows"):
        cluster(kind, x)
    with pytest.raises(TrainingError, match="nothing to cluster"):
        cluster(kind, np.zeros((0, 4), np.float32))


@pytest.mark.parametrize("kind", KINDS)
def test_identical_rows_are_one_cluster_and_said_to_be(kind: str) -> None:
    found = cluster(kind, np.ones((30, 3), np.float32))
    assert len(set(found.labels)) == 1 and found.notes


def test_kmeans_finds_the_blobs_whatever_the_seed() -> None:
    x, of = blobs()
    expected = stable_labels(of)
    for seed in range(3):
        np.testing.assert_array_equal(cluster("kmeans", x, seed).labels, expected)


def test_kmeans_of_fewer_tracks_than_clusters_says_what_to_lower() -> None:
    with pytest.raises(TrainingError, match=r"2 tracks for 8 clusters: lower clusterer\.n_clusters"):
        cluster("kmeans", np.eye(2, dtype=np.float32))
    assert cluster("kmeans", np.eye(2, dtype=np.float32), n_clusters=2).labels.tolist() == [0, 1]


def test_stable_labels_go_by_size_then_first_member_and_leave_noise() -> None:
    assert stable_labels(np.array([-1, 7, 3, 3, 9, -1])).tolist() == [-1, 1, 0, 0, 2, -1]
    assert stable_labels(np.array([-1, -1])).tolist() == [-1, -1]
