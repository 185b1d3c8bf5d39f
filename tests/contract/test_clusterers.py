"""Every clusterer on the shelf: labels, centres, seeds, noise, and matrices that hold little."""

from __future__ import annotations

import numpy as np
import pytest

from ray_pipeline import shelf
from ray_pipeline.clusterers import CLUSTERERS
from ray_pipeline.clusterers.base import Clustering, KParams, stable_labels
from ray_pipeline.errors import TrainingError

KINDS = sorted(CLUSTERERS)
TOLD_K = [kind for kind in KINDS if issubclass(shelf.params_of("clusterer", kind), KParams)]
BY_DENSITY = [kind for kind in KINDS if kind not in TOLD_K]


def cluster(kind: str, x: np.ndarray, seed: int = 0, **settings: object) -> Clustering:
    params = shelf.params_of("clusterer", kind)(**settings)
    found: Clustering = shelf.part("clusterer", kind)(x, params, seed)
    return found


def blobs(n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Eight tight blobs in four dimensions, and which blob each row is of."""
    rng = np.random.default_rng(seed)
    of = np.arange(n) % 8
    return (rng.normal(0, 20, (8, 4))[of] + rng.normal(0, 0.1, (n, 4))).astype(np.float32), of


def cloud(n: int = 150, d: int = 6) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n, d)).astype(np.float32)


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
def test_blobs_are_found(kind: str) -> None:
    x, of = blobs()
    labels = cluster(kind, x).labels
    kept = labels >= 0
    assert kept.mean() > 0.95 and (kept.all() or kind in BY_DENSITY)
    np.testing.assert_array_equal(stable_labels(labels[kept]), stable_labels(of[kept]))


@pytest.mark.parametrize("kind", KINDS)
def test_clusters_are_numbered_by_size(kind: str) -> None:
    labels = cluster(kind, np.concatenate([cloud(40, 4), cloud(90, 4) + 30, cloud(20, 4) - 30])).labels
    sizes = np.bincount(labels[labels >= 0]).tolist()
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_labels(kind: str) -> None:
    np.testing.assert_array_equal(cluster(kind, cloud(), seed=5).labels, cluster(kind, cloud(), seed=5).labels)


@pytest.mark.parametrize("kind", KINDS)
def test_input_is_left_as_it_was(kind: str) -> None:
    x, before = cloud(), cloud()
    cluster(kind, x)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("kind", KINDS)
def test_not_finite_and_empty_are_refused(kind: str) -> None:
    x, _ = blobs()
    x[4, 1] = np.inf
    with pytest.raises(TrainingError, match="1 of 120 rows"):
        cluster(kind, x)
    with pytest.raises(TrainingError, match="nothing to cluster"):
        cluster(kind, np.zeros((0, 4), np.float32))


@pytest.mark.parametrize("kind", TOLD_K)
def test_fewer_tracks_than_clusters_says_what_to_lower(kind: str) -> None:
    with pytest.raises(TrainingError, match=r"2 tracks for 8 clusters: lower clusterer\.n_clusters"):
        cluster(kind, np.eye(2, dtype=np.float32))
    assert cluster(kind, np.eye(2, dtype=np.float32), n_clusters=2).labels.tolist() == [0, 1]


@pytest.mark.parametrize("kind", BY_DENSITY)
@pytest.mark.parametrize("n", [1, 2])
def test_too_few_tracks_to_be_dense_are_noise(kind: str, n: int) -> None:
    found = cluster(kind, cloud(n))
    assert found.labels.tolist() == [-1] * n and found.centres.shape == (0, 6)
    assert any("every track is noise" in note for note in found.notes)


@pytest.mark.parametrize("kind", KINDS)
def test_identical_rows_are_one_cluster_and_said_to_be(kind: str) -> None:
    found = cluster(kind, np.full((30, 3), 1.1, np.float32))
    assert len(set(found.labels)) == 1 and found.notes


@pytest.mark.parametrize("kind", TOLD_K)
def test_fewer_distinct_rows_than_clusters_are_clusters_of_their_own(kind: str) -> None:
    of = np.arange(60) % 3
    found = cluster(kind, np.eye(3, dtype=np.float32)[of] * 10)
    np.testing.assert_array_equal(found.labels, stable_labels(of))
    assert any(note.startswith("3 clusters, not 8") for note in found.notes)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_are_the_same_share_a_cluster(kind: str) -> None:
    x, _ = blobs(80)
    labels = cluster(kind, np.concatenate([x, x, x])).labels
    np.testing.assert_array_equal(labels[:80], labels[80:160])
    np.testing.assert_array_equal(labels[:80], labels[160:])


@pytest.mark.parametrize("kind", KINDS)
def test_constant_columns_change_nothing(kind: str) -> None:
    x, _ = blobs()
    padded = np.hstack([x, np.full((len(x), 2), 7.0, np.float32)])
    np.testing.assert_array_equal(cluster(kind, padded).labels, cluster(kind, x).labels)


@pytest.mark.parametrize("kind", KINDS)
def test_wider_than_long(kind: str) -> None:
    found = cluster(kind, cloud(20, 64))
    assert found.labels.shape == (20,) and np.isfinite(found.centres).all()


@pytest.mark.parametrize("kind", BY_DENSITY)
def test_noise_is_minus_one_with_its_share_and_the_coverage(kind: str) -> None:
    x, _ = blobs(117)
    far = np.array([[500, 0, 0, 0], [0, 500, 0, 0], [0, 0, 500, 0]], np.float32)
    found = cluster(kind, np.concatenate([x, far]))
    assert found.labels[-3:].tolist() == [-1, -1, -1] and (found.labels[:-3] >= 0).all()
    assert "noise share 2.5%, coverage 97.5%: 3 of 120 tracks are noise" in found.notes


def test_kmeans_finds_the_blobs_whatever_the_seed() -> None:
    x, of = blobs()
    for seed in range(3):
        np.testing.assert_array_equal(cluster("kmeans", x, seed).labels, stable_labels(of))


def test_stable_labels_go_by_size_then_first_member_and_leave_noise() -> None:
    assert stable_labels(np.array([-1, 7, 3, 3, 9, -1])).tolist() == [-1, 1, 0, 0, 2, -1]
    assert stable_labels(np.array([-1, -1])).tolist() == [-1, -1]
