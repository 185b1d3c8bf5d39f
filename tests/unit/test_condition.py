"""A model that is given a label: how the classes are put, what is kept of them, and how a leak is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configs import make_config

from ray_pipeline import experiment, model_files
from ray_pipeline.config import load
from ray_pipeline.errors import ConfigError, TrainingError
from ray_pipeline.experiment import Collection, Fitted
from ray_pipeline.models.condition import MOST_CLASSES, Encoding, classes_of, encoded

NOWHERE = {"kind": "folder", "root": "/"}
LABEL_SCORES = {"ami", "ari", "nmi", "purity"}
GENRES = ["rock", "folk", None]


def collection(n: int = 30, label: str = "genre") -> Collection:
    """`n` tracks of noise, `mfcc` float32 [n, 20]; every third has no genre, and every second is from 1999."""
    rng = np.random.default_rng(0)
    genres = [GENRES[i % 3] for i in range(n)]
    scored = genres if label == "genre" else [str(1999 + i % 2) for i in range(n)]
    names = [f"t{i}" for i in range(n)]
    x = rng.normal(size=(n, 20)).astype(np.float32)
    return Collection(names, names, {"mfcc": x}, {"mfcc": np.ones(n, np.bool_)}, scored, label, genres)


def config(tmp_path: Path, encoding: Encoding = "one_hot") -> Any:
    condition = {"label": "genre", "encoding": encoding}
    return make_config(
        tmp_path, source=NOWHERE, model={"kind": "cvae", "condition": condition, "latent_dim": 2, "hidden": [8]}
    )


def test_one_hot_gives_a_column_a_class_and_the_first_to_tracks_without_the_label() -> None:
    found = encoded(["b", None, "a", "", "strange"], ["a", "b"], "one_hot")
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0]]


def test_number_gives_one_column_from_0_to_1() -> None:
    assert encoded(["b", None, "a"], ["a", "b"], "number").tolist() == [[1.0], [0.0], [0.5]]


def test_classes_are_sorted_and_each_once() -> None:
    assert classes_of(["b", None, "a", "b", ""], "genre") == ["a", "b"]


@pytest.mark.parametrize("labels", [[], [None, "", None]])
def test_a_label_that_no_track_has_is_told(labels: list[str | None]) -> None:
    with pytest.raises(TrainingError, match="no track has the label 'genre'"):
        classes_of(labels, "genre")


def test_a_label_of_too_many_classes_is_told() -> None:
    with pytest.raises(TrainingError, match="'title' has 1,001 classes, more than 1,000"):
        classes_of([str(i) for i in range(MOST_CLASSES + 1)], "title")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("{kind: cvae}", "model.condition: Field required"),
        ("{kind: cvae, condition: {encoding: number}}", r"model.condition.label: Field required"),
        ("{kind: cvae, condition: {label: ''}}", "model.condition.label"),
        ("{kind: cvae, condition: {lable: genre}}", "unknown key; did you mean 'label'"),
        ("{kind: cvae, condition: {label: genre, encoding: onehot}}", "one_hot"),
    ],
)
def test_a_condition_that_is_not_whole_is_a_config_error(tmp_path: Path, model: str, said: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(f"source: {{kind: folder, root: /}}\nmodel: {model}\n")
    with pytest.raises(ConfigError, match=said) as caught:
        load(file)
    assert f"{file}:2" in str(caught.value)


def test_another_model_drops_the_condition(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("source: {kind: folder, root: /}\nmodel: {kind: cvae, condition: {label: genre}}\n")
    assert load(file, ["model.kind=vae"]).model.kind == "vae"
    assert load(file, ["model.condition.encoding=number"]).model.condition.encoding == "number"  # type: ignore[attr-defined]


def test_digest_follows_the_classes_that_the_model_is_given() -> None:
    one = collection()
    assert replace(one, labels=[None] * 30).digest() == one.digest()
    assert replace(one, condition=[*one.condition[1:], "rock"]).digest() != one.digest()
    assert replace(one, condition=[]).digest() != one.digest()


@pytest.mark.parametrize(("encoding", "width"), [("one_hot", 3), ("number", 1)])
def test_the_model_is_given_the_classes_and_does_not_rebuild_them(
    tmp_path: Path, encoding: Encoding, width: int
) -> None:
    settings = config(tmp_path, encoding)
    fitted, latents, _ = experiment.run(collection(), settings, 0)
    assert fitted.model.shapes == {"fused": (20,), "condition": (width,)}
    assert fitted.card["classes"] == ["folk", "rock"]
    told_else = replace(collection(), condition=["folk"] * 30)
    assert np.abs(experiment.encode(told_else, fitted).mu - latents.mu).max() > 1e-4


def test_other_tracks_are_encoded_with_the_classes_of_the_fit(tmp_path: Path) -> None:
    """Where one class alone is there, it keeps its column; what the model never saw counts as none."""
    fitted, latents, _ = experiment.run(collection(), config(tmp_path), 0)
    rock = list(range(0, 30, 3))
    whole = collection()
    some = Collection(
        [whole.track_ids[i] for i in rock],
        [whole.contents[i] for i in rock],
        {"mfcc": whole.views["mfcc"][rock]},
        {"mfcc": whole.masks["mfcc"][rock]},
        condition=["rock"] * len(rock),
    )
    np.testing.assert_allclose(experiment.encode(some, fitted).mu, latents.mu[rock], rtol=1e-4, atol=1e-5)
    unknown, without = replace(some, condition=["polka"] * len(rock)), replace(some, condition=[])
    np.testing.assert_array_equal(experiment.encode(unknown, fitted).mu, experiment.encode(without, fitted).mu)


def test_saved_and_loaded_it_encodes_the_same(tmp_path: Path) -> None:
    fitted, latents, _ = experiment.run(collection(), config(tmp_path), 0)
    model_files.save(tmp_path / "m", fitted.model, fitted.fusion, fitted.card)
    again = experiment.encode(collection(), Fitted(*model_files.load(tmp_path / "m")))
    assert again.mu.tobytes() == latents.mu.tobytes()


def test_fitting_without_the_label_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no track has the label 'genre'"):
        experiment.fit(replace(collection(), condition=[None] * 30), config(tmp_path), 0)


def test_scores_of_a_label_that_the_model_was_given_are_a_leak(tmp_path: Path) -> None:
    _, _, found = experiment.run(collection(), config(tmp_path), 0)
    notes = {score.metric: score.note for score in found.scores}
    assert {name for name, note in notes.items() if note.startswith("label leak")} == LABEL_SCORES
    assert [note for note in found.notes if note.startswith("label leak: the model was given 'genre'")]


def test_scores_of_another_label_are_none(tmp_path: Path) -> None:
    _, _, found = experiment.run(collection(label="year"), config(tmp_path), 0)
    assert {score.metric for score in found.scores} >= LABEL_SCORES
    assert not [text for text in (*found.notes, *(score.note for score in found.scores)) if "leak" in text]


def test_a_label_that_is_told_by_the_one_that_was_given_is_a_leak_under_any_name(tmp_path: Path) -> None:
    """As the artist tells the collection."""
    told = replace(collection(), label="mood", labels=["loud", "soft", None] * 10)
    _, _, found = experiment.run(told, config(tmp_path), 0)
    notes = {score.metric: score.note for score in found.scores}
    assert {name for name, note in notes.items() if note.startswith("label leak")} == LABEL_SCORES
    assert [note for note in found.notes if "given 'genre', which tells of 'mood' (AMI 1.00" in note]


def test_the_report_says_leak_and_not_above_chance(tmp_path: Path) -> None:
    from ray_pipeline.report.data import ReportData
    from ray_pipeline.report.scores import scores
    from ray_pipeline.report.story import lead

    _, _, found = experiment.run(collection(), config(tmp_path), 0)
    rows = [score.as_row("e", 0) for score in found.scores]
    rows = [row | {"p": 0.001, "z": 9.0} if row["metric"] in LABEL_SCORES else row for row in rows]
    judged = {score.name: score for score in scores(rows)}
    assert {(judged[name].verdict, judged[name].tone) for name in LABEL_SCORES} == {("label leak", "bad")}
    assert "leak" not in judged["silhouette_input"].verdict
    told = lead(ReportData("t", "now", "s", "e", scores=rows, label_name="genre"), list(judged.values()))
    assert any("“genre” shows nothing, for the model was told of it" in sentence for sentence in told)
