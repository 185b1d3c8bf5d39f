"""One Experiment, start to end: the same seed the same result, and neither names nor order have a say in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ray_pipeline import experiment
from ray_pipeline.errors import ConfigError, TrainingError
from ray_pipeline.experiment import Collection

LABEL_SCORES = {"ami", "ari", "nmi", "purity"}


def make(n: int = 40, seed: int = 0, labels: list[str | None] | None = None) -> Collection:
    """`n` tracks in three groups: `mfcc` float32 [n, 20]."""
    rng = np.random.default_rng(seed)
    group, centres = rng.integers(0, 3, n), rng.normal(size=(3, 20))
    x = (rng.normal(size=(n, 20)) + 3 * centres[group]).astype(np.float32)
    names = [f"t{i}" for i in range(n)]
    contents = [f"c{i:03d}" for i in range(n)]
    found: list[str | None] = [str(g) for g in group] if labels is None else labels
    return Collection(names, contents, {"mfcc": x}, {"mfcc": np.ones(n, np.bool_)}, found, "style")


def config(tmp_path: Path, **sections: Any) -> Any:
    from ray_pipeline.config import check

    raw: dict[str, Any] = {
        "store": str(tmp_path),
        "source": {"kind": "folder", "root": "/"},
        "features": ["mfcc"],
        "lyrics": {"backend": "none"},
        "fusion": {"kind": "audio"},
        "model": {"kind": "pca"},
        "training": {"epochs": 3},
        "clusterer": {"kind": "kmeans", "n_clusters": 3},
        "scoring": {"null_draws": 2, "permutations": 20},
    }
    return check(raw | sections)


@pytest.mark.parametrize("model", ["pca", "vae"])
def test_same_seed_gives_the_same_clusters_and_scores(tmp_path: Path, model: str) -> None:
    settings = config(tmp_path, model={"kind": model})
    (_, one, first), (_, two, second) = (experiment.run(make(), settings, 5) for _ in range(2))
    np.testing.assert_array_equal(one.mu, two.mu)
    np.testing.assert_array_equal(first.labels, second.labels)
    assert first.scores == second.scores


def test_another_seed_gives_other_latents(tmp_path: Path) -> None:
    settings = config(tmp_path, model={"kind": "vae"})
    one, two = (experiment.run(make(), settings, seed)[1].mu for seed in (1, 2))
    assert not np.allclose(one, two)


def test_three_groups_are_found(tmp_path: Path) -> None:
    _, _, found = experiment.run(make(), config(tmp_path), 0)
    ari = next(score for score in found.scores if score.metric == "ari")
    assert ari.value > 0.9
    assert ari.p is not None and ari.p < 0.1


def test_digest_follows_the_numbers_and_not_the_names() -> None:
    one = make()
    renamed = replace(one, track_ids=[f"x{i}" for i in range(len(one))])
    assert renamed.digest() == one.digest()
    nudged = one.views["mfcc"].copy()
    nudged[7, 3] = np.nextafter(nudged[7, 3], np.float32(np.inf))
    assert replace(one, views={"mfcc": nudged}).digest() != one.digest()
    assert replace(one, masks={"mfcc": ~one.masks["mfcc"]}).digest() != one.digest()


def test_model_id_ignores_what_changes_no_result(tmp_path: Path) -> None:
    plain = config(tmp_path)
    name = experiment.model_id(plain, "data", 0)
    same = [{"training": {"epochs": 3, "num_workers": 0}}, {"clusterer": {"kind": "kmeans", "n_clusters": 4}}]
    other = [{"training": {"epochs": 4}}, {"model": {"kind": "raw"}}, {"fusion": {"kind": "concat"}}]
    assert {experiment.model_id(config(tmp_path, **change), "data", 0) for change in same} == {name}
    assert name not in {experiment.model_id(config(tmp_path, **change), "data", 0) for change in other}
    assert name not in {experiment.model_id(plain, "other data", 0), experiment.model_id(plain, "data", 1)}


def test_experiment_id_follows_the_clusterer(tmp_path: Path) -> None:
    ids = {
        experiment.experiment_id(config(tmp_path, clusterer={"kind": "kmeans", "n_clusters": k}), "model", 0)
        for k in (2, 3)
    }
    assert len(ids) == 2


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_tracks_are_told(tmp_path: Path, n: int) -> None:
    with pytest.raises(TrainingError, match="too few"):
        experiment.run(make(n), config(tmp_path), 0)


def test_fewer_tracks_than_clusters_are_told(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="2 tracks for 3 clusters"):
        experiment.run(make(2), config(tmp_path), 0)


def test_tracks_that_are_all_the_same_are_told(tmp_path: Path) -> None:
    same = replace(make(), views={"mfcc": np.ones((40, 20), np.float32)})
    with pytest.raises(TrainingError, match="nothing varies"):
        experiment.run(same, config(tmp_path), 0)


def test_without_labels_there_are_no_external_scores(tmp_path: Path) -> None:
    for labels in ([], [None] * 40):
        _, _, found = experiment.run(replace(make(), labels=labels), config(tmp_path), 0)
        assert not LABEL_SCORES & {score.metric for score in found.scores}


def test_unlabelled_tracks_are_left_out_of_external_scores(tmp_path: Path) -> None:
    labels: list[str | None] = [None if i < 10 else str(i % 2) for i in range(40)]
    _, _, found = experiment.run(make(labels=labels), config(tmp_path), 0)
    assert {score.n for score in found.scores if score.metric in LABEL_SCORES} == {30}


def test_fit_may_be_done_elsewhere(tmp_path: Path) -> None:
    asked = []

    def fit(collection: Collection, settings: Any, seed: int) -> experiment.Fitted:
        asked.append(seed)
        return experiment.fit(collection, settings, seed)

    here = experiment.run(make(), config(tmp_path), 4)[1]
    there = experiment.run(make(), config(tmp_path), 4, fit=fit)[1]
    assert asked == [4]
    np.testing.assert_array_equal(here.mu, there.mu)


def test_yardstick_leaves_words_out_and_constants_alone() -> None:
    one = make()
    constant = one.views["mfcc"].copy()
    constant[:, 0] = 7.0
    with_words = {"mfcc": constant, "lyrics": np.ones((40, 384), np.float32)}
    x = experiment.yardstick(replace(one, views=with_words))
    assert x.shape == (40, 20)
    np.testing.assert_allclose(x.std(axis=0)[1:], 1.0, rtol=1e-5)
    assert (x[:, 0] == 0).all()


def test_each_view_has_the_same_share_of_the_yardstick() -> None:
    """Of a log-mel's pixels there are hundreds of times as many as of means, and they are not to be all that counts."""
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(40, 16, 32)).astype(np.float16)
    pixels[:, 0] = 1.0
    x = experiment.yardstick(replace(make(), views={"log_mel": pixels, "mfcc": make().views["mfcc"]}))
    assert x.shape == (40, 512 + 20) and np.isfinite(x).all()
    variance = x.var(axis=0)
    assert variance[:512].sum() == pytest.approx(variance[512:].sum(), rel=1e-4)
    assert variance.sum() == pytest.approx(480 + 20, rel=1e-4), "on average as much a column as with one view"


@pytest.mark.parametrize("shape", [(2, 1), (5, 2), (5, 8), (9, 2)])
def test_layout_is_a_map_for_any_size(shape: tuple[int, int]) -> None:
    flat = experiment.layout(np.random.default_rng(0).normal(size=shape).astype(np.float32), 0)
    assert flat.shape == (shape[0], 2)
    assert np.isfinite(flat).all()


def test_fusion_that_needs_a_feature_is_refused_without_it(tmp_path: Path) -> None:
    settings = config(tmp_path, features=["mfcc_stats"], fusion={"kind": "audio", "view": "mfcc"})
    with pytest.raises(ConfigError, match="mfcc"):
        experiment.views_needed(settings)
