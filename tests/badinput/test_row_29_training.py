"""Row 29 of BAD_INPUTS: training that goes wrong, or has little to go on, ends in a verdict and finite scores."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configs import make_config
from processed import process
from sounds import tone, write

from ray_pipeline import experiment, shelf, training
from ray_pipeline.config import Training
from ray_pipeline.errors import TrainingError
from ray_pipeline.experiment import Collection, Evaluation, Fitted
from ray_pipeline.models.contract import Latents
from ray_pipeline.store.export import read_run

TOO_FAST = 1e20  # a learning rate after which no weight is finite
INTERNAL = ("silhouette", "calinski_harabasz", "davies_bouldin", "silhouette_input", "davies_bouldin_input")
TRAINED = ("vae", "beta", "conv", "autoencoder", "cvae")

Found = tuple[Fitted, Latents, Evaluation]


def collection(n: int, dim: int = 20) -> Collection:
    """`n` tracks of noise."""
    names = [f"{i:04d}" for i in range(n)]
    x = np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32)
    classes: list[str | None] = [f"class {i % 3}" for i in range(n)]
    return Collection(names, names, {"mfcc": x}, {"mfcc": np.ones(n, np.bool_)}, classes, "genre", classes)


def found(given: Collection, kind: str, *, n_clusters: int = 2, training: Any = None, **model: Any) -> Found:
    """The whole path from views to scores."""
    if kind == "cvae":
        model["condition"] = {"label": "year"}
    config = make_config(
        Path(),
        source={"kind": "folder", "root": "."},
        model={"kind": kind, **model},
        training={"epochs": 2, "num_workers": 0} | (training or {}),
        clusterer={"kind": "kmeans", "n_clusters": n_clusters},
        scoring={"seeds": 1, "null_draws": 2, "permutations": 10, "label": "genre"},
    )
    return experiment.run(given, config, 0)


def values(result: Evaluation) -> dict[str, float]:
    assert all(np.isfinite(score.value) for score in result.scores)
    return {score.metric: score.value for score in result.scores}


def notes(result: Evaluation) -> dict[str, str]:
    return {score.metric: score.note for score in result.scores}


@pytest.mark.parametrize("kind", TRAINED)
def test_row_29_loss_that_is_not_finite_is_diverged(kind: str) -> None:
    fitted, latents, result = found(collection(40), kind, training={"learning_rate": TOO_FAST, "batch_size": 8})
    assert fitted.card["status"] == "diverged"
    assert fitted.card["notes"] == ["diverged at epoch 1"]
    assert all(np.isfinite(array).all() for array in fitted.model.state().values())
    assert np.isfinite(latents.mu).all()
    assert values(result)["collapsed"] == 1.0


def test_row_29_weights_are_those_before_the_loss_was_not_finite() -> None:
    params = shelf.params_of("model", "beta")(latent_dim=3, hidden=(16, 8))
    model = shelf.part("model", "beta")(params, {"fused": (6,)}, 0)
    before = model.state()
    x = collection(33, 6).views["mfcc"]
    x[3, 2] = np.nan
    history = training.fit(model, {"fused": x}, {}, Training(epochs=6, batch_size=8), seed=0)
    assert (history.status, history.diverged_at, history.epochs) == ("diverged", 1, [])
    assert all(np.array_equal(array, before[name]) for name, array in model.state().items())


@pytest.mark.parametrize("kind", TRAINED)
def test_row_29_last_finite_weights_give_finite_scores(kind: str) -> None:
    """One batch is an epoch here: its loss is finite, and so are the weights that its step leaves, of 1e20."""
    fitted, _, result = found(collection(40), kind, training={"learning_rate": TOO_FAST, "batch_size": 40})
    assert fitted.card["status"] == "diverged"
    assert values(result)["collapsed"] == 1.0


@pytest.mark.parametrize("kind", TRAINED)
def test_row_29_diverged_is_not_flattered(kind: str) -> None:
    *_, result = found(collection(40), kind, training={"learning_rate": TOO_FAST, "batch_size": 8})
    for metric in INTERNAL:
        assert values(result)[metric] == shelf.part("metric", metric).worst


def test_row_29_diverged_down_to_the_tables(stages_here: None, tmp_path: Path) -> None:
    for name in "abcdef":
        write(tmp_path / f"music/{name}.wav")
    scoring = {"seeds": 2, "null_draws": 2, "permutations": 20}
    training = {"epochs": 3, "num_workers": 0, "learning_rate": TOO_FAST, "batch_size": 2}
    source = {"kind": "folder", "root": str(tmp_path / "music")}
    ctx = process(tmp_path / "store", source, "run", model={"kind": "vae"}, training=training, scoring=scoring)
    cards = [json.loads(path.read_text()) for path in ctx.store.root.glob("models/*/card.json")]
    assert [(card["status"], card["history"]) for card in cards] == [("diverged", [])] * 2
    scores = read_run(ctx.store, ctx.run, "scores")
    assert scores is not None
    rows = scores.to_pylist()
    assert {row["seed"] for row in rows} == {0, 1}
    assert all(row["value"] is not None and np.isfinite(row["value"]) for row in rows)
    assert [row["value"] for row in rows if row["metric"] == "collapsed"] == [1.0, 1.0]
    assert "diverged at epoch 1" in ctx.run.notes
    page = (ctx.store.root / "report/index.html").read_text(encoding="utf-8")
    assert "diverged at epoch 1" in page and "collapsed" in page


def test_row_29_collapse_is_a_verdict_with_its_reason() -> None:
    """The KL weighs so much that nothing gets through; principal components of the same data let enough through."""
    given = collection(120, 8)
    *_, result = found(given, "beta", beta=1000.0, training={"epochs": 40})
    assert values(result)["collapsed"] == shelf.part("metric", "collapsed").worst
    assert values(result)["active_units"] == 0.0
    assert "it reconstructs worse" in notes(result)["collapsed"]
    *_, sound = found(given, "pca")
    assert values(sound)["collapsed"] == 0.0


def test_row_29_one_direction_is_collapse_however_well_it_is_rebuilt() -> None:
    given = collection(60, 1)
    *_, result = found(given, "pca")
    assert values(result)["collapsed"] == 1.0
    assert "1.00 directions" in notes(result)["collapsed"]


@pytest.mark.parametrize("kind", [*TRAINED, "pca", "raw"])
def test_row_29_constant_columns_are_left_out(kind: str) -> None:
    given = collection(20, 6)
    constant = Collection(**(vars(given) | {"views": {"mfcc": given.views["mfcc"].copy()}}))
    constant.views["mfcc"][:, [1, 4]] = 3.25
    without = Collection(**(vars(given) | {"views": {"mfcc": given.views["mfcc"][:, [0, 2, 3, 5]]}}))
    fitted, latents, result = found(constant, kind)
    assert fitted.fusion.notes == ["view 'mfcc': 2 of 6 columns never vary and are left out: 1, 4"]
    assert fitted.model.shapes["fused"] == (4,)
    assert values(result)
    np.testing.assert_array_equal(latents.mu, found(without, kind)[1].mu)


def test_row_29_nothing_but_constants_is_told() -> None:
    given = collection(20, 6)
    given.views["mfcc"][:] = given.views["mfcc"][0]
    with pytest.raises(TrainingError, match="view 'mfcc': nothing varies over 20 tracks"):
        found(given, "vae")


def test_row_29_constant_columns_are_noted_by_a_run(stages_here: None, tmp_path: Path) -> None:
    """Tones are all in one mode."""
    for i in range(4):
        write(tmp_path / f"music/{i}.wav", tone(hz=220.0 * 1.1**i, seed=i) * 0.8**i)
    ctx = process(
        tmp_path / "store",
        {"kind": "folder", "root": str(tmp_path / "music")},
        "run",
        features=["tempo_key_loudness"],
        fusion={"kind": "audio", "view": "tempo_key_loudness"},
    )
    [note] = [note for note in ctx.run.notes if "never var" in note]
    assert re.match(r"view 'tempo_key_loudness': \d of 4 columns never vary and are left out: ", note)


@pytest.mark.parametrize("kind", TRAINED)
@pytest.mark.parametrize(("n", "batch_size"), [(9, 8), (17, 8), (3, 2), (2, 256)])
def test_row_29_batch_of_one(kind: str, n: int, batch_size: int) -> None:
    """BatchNorm has no variance of one row; the row that is left over is trained on with the batch before."""
    fitted, latents, result = found(collection(n), kind, training={"batch_size": batch_size})
    assert (fitted.card["status"], len(fitted.card["history"])) == ("ok", 2)
    assert latents.mu.shape[0] == n and np.isfinite(latents.mu).all()
    assert values(result)


@pytest.mark.parametrize("kind", [*TRAINED, "pca", "raw"])
def test_row_29_one_track_is_told(kind: str) -> None:
    with pytest.raises(TrainingError, match="1 tracks with features are too few to cluster"):
        found(collection(1), kind)


@pytest.mark.parametrize("kind", TRAINED)
@pytest.mark.parametrize(
    ("n", "dim"), [(6, 40), (40, 3), (6, 3), (6, 1)], ids=["rows", "columns", "both", "one column"]
)
def test_row_29_latents_larger_than_the_data(kind: str, n: int, dim: int) -> None:
    fitted, latents, result = found(collection(n, dim), kind, latent_dim=64)
    assert fitted.card["status"] == "ok"
    assert latents.mu.shape == (n, 64) and np.isfinite(latents.mu).all()
    assert {"silhouette", "collapsed", "ami"} <= set(values(result))


@pytest.mark.parametrize(("n", "dim", "kept"), [(6, 40, 5), (40, 3, 3), (6, 3, 3), (2, 1, 1)])
def test_row_29_pca_keeps_no_more_components_than_there_are(n: int, dim: int, kept: int) -> None:
    _, latents, result = found(collection(n, dim), "pca", n_components=64)
    assert latents.mu.shape == (n, kept) and np.isfinite(latents.mu).all()
    assert values(result)


def test_row_29_as_many_clusters_as_tracks() -> None:
    *_, result = found(collection(5), "vae", n_clusters=5)
    assert sorted(result.labels) == [0, 1, 2, 3, 4]
    assert values(result)["silhouette"] == shelf.part("metric", "silhouette").worst
