"""The Experiment of notebooks: from arrays to clusters, and what it says of arrays that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ray_pipeline import Experiment
from ray_pipeline.errors import ConfigError, TrainingError

QUICK: dict[str, Any] = {
    "features": ["mfcc"],
    "training": {"epochs": 5, "num_workers": 0},
    "clusterer": {"kind": "kmeans", "n_clusters": 3},
    "scoring": {"null_draws": 2, "permutations": 200},
}
CVAE = {"kind": "cvae", "condition": {"label": "genre"}, "latent_dim": 2, "hidden": [8]}
GROUPS = np.repeat(np.arange(3), 20)
NAMES = [f"g{group}" for group in GROUPS]


def groups(seed: int = 0) -> dict[str, np.ndarray]:
    """Three groups of 20 tracks, far apart: `mfcc` float32 [60, 20]."""
    centres = 8 * np.random.default_rng(99).normal(size=(3, 20))
    return {"mfcc": (np.random.default_rng(seed).normal(size=(60, 20)) + centres[GROUPS]).astype(np.float32)}


def test_clusters_are_found_scored_and_given_to_other_tracks() -> None:
    found = Experiment(**QUICK, model={"kind": "pca", "n_components": 2})
    labels = found.fit_predict(groups(), NAMES)
    scores = {score.metric: score for score in found.scores_}
    assert scores["ami"].value == pytest.approx(1.0)
    assert scores["ami"].p < 0.01
    np.testing.assert_array_equal(found.predict(groups(seed=1)), labels)
    assert found.transform(groups()).shape == found.latents_.shape == (60, 2)


def test_a_features_table_gives_its_sound_rows() -> None:
    rows = [{"mfcc": list(row), "status": "ok"} for row in groups()["mfcc"]]
    table = pa.Table.from_pylist([*rows, {"mfcc": None, "status": "silent"}])
    assert len(Experiment(**QUICK, model={"kind": "raw"}).fit(table).labels_) == 60


def test_a_conditional_model_takes_its_classes_and_marks_the_leak() -> None:
    found = Experiment(**QUICK, model=CVAE).fit(groups(), labels=NAMES, condition=NAMES)
    (ami,) = [score for score in found.scores_ if score.metric == "ami"]
    assert ami.note.startswith("label leak")
    told_else = found.transform(groups(), condition=["g0"] * 60)
    assert np.abs(told_else - found.latents_).max() > 1e-4


def test_a_conditional_model_without_classes_says_so() -> None:
    with pytest.raises(TrainingError, match="no track has the label 'genre'"):
        Experiment(**QUICK, model=CVAE).fit(groups())


def test_all_noise_predicts_noise() -> None:
    noise = {**QUICK, "clusterer": {"kind": "dbscan", "eps": 1e-6}}
    found = Experiment(**noise, model={"kind": "raw"}).fit(groups())
    assert set(found.labels_) == {-1}
    assert set(found.predict(groups())) == {-1}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"views": {}}, "mfcc not given; given: none"),
        ({"views": {"mfcc": np.zeros((4, 20))}, "labels": ["a"]}, "labels: 1 classes for 4 tracks"),
        ({"views": {"mfcc": np.zeros((4, 20))}, "condition": ["a"]}, "condition: 1 classes for 4 tracks"),
    ],
)
def test_what_does_not_fit_together_is_told(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Experiment(**QUICK).fit(**given)


def test_tracks_with_nothing_to_go_by_are_counted() -> None:
    views = groups()
    views["mfcc"][:3] = np.nan
    with pytest.raises(ConfigError, match="3 of 60 tracks have not one view"):
        Experiment(**QUICK).fit(views)
