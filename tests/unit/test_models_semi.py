"""A VAE that is shown some labels: what it makes of them, and that the other tracks train it too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from configs import make_config
from threads import one_thread

from ray_pipeline import experiment, shelf, training
from ray_pipeline.config import Training, load
from ray_pipeline.errors import ConfigError
from ray_pipeline.experiment import Collection
from ray_pipeline.models.classifier import SemiVae
from ray_pipeline.models.condition import CONDITION, encoded, shown
from ray_pipeline.models.contract import Views

__all__ = ["one_thread"]

CLASSES = ["folk", "jazz", "rock"]
LABEL_SCORES = {"ami", "ari", "nmi", "purity"}
LONG = Training(epochs=60, batch_size=32, learning_rate=0.01, lr_step=60)


def make(dim: int = 8, seed: int = 0) -> SemiVae:
    params = shelf.params_of("model", "semi")(latent_dim=3, hidden=(16,), condition={"label": "genre"})
    model: SemiVae = shelf.part("model", "semi")(params, {"fused": (dim,), CONDITION: (4,)}, seed)
    return model


def groups(n: int = 90, dim: int = 8) -> tuple[np.ndarray, list[str]]:
    """Three groups that lie apart in two columns of many: float32 [n, dim], and the class of each track."""
    rng = np.random.default_rng(0)
    group = np.arange(n) % 3
    x = rng.normal(size=(n, dim))
    x[:, :2] += 4 * np.array([[0.0, 1.0], [0.9, -0.5], [-0.9, -0.5]])[group]
    return x.astype(np.float32), [CLASSES[g] for g in group]


def given(labels: list[str | None]) -> Views:
    return {"fused": groups(len(labels))[0], CONDITION: encoded(labels, CLASSES, "one_hot")}


def test_the_classifier_learns_separable_classes_from_a_few_labels() -> None:
    labels = groups()[1]
    model = make()
    training.fit(model, given(shown(labels, 0.3, seed=1)), {}, LONG, seed=0)
    mu = model.encode(given([None] * 90), {}).mu
    said = model.log_probabilities(torch.from_numpy(mu)).argmax(dim=1).numpy()
    assert np.mean([CLASSES[c] == label for c, label in zip(said, labels, strict=True)]) > 0.9


def test_labels_pull_the_classes_apart() -> None:
    def spread_between(labels: list[str | None]) -> float:
        model = make()
        training.fit(model, given(labels), {}, LONG, seed=0)
        mu = model.encode(given([None] * 90), {}).mu
        centres = np.array([mu[g::3].mean(axis=0) for g in range(3)])
        return float(centres.var(axis=0).sum() / mu.var(axis=0).sum())

    labels = list(groups()[1])
    assert spread_between(list(labels)) > spread_between([labels[0], *[None] * 89]) + 0.1


def test_tracks_without_a_label_train_the_rest_and_not_the_classifier() -> None:
    model = make()
    out = model({name: torch.from_numpy(x) for name, x in given([None] * 12).items()}, {})
    out.loss.backward()
    assert out.extra["classification"].item() == 0
    assert model.mu.weight.grad is not None and model.mu.weight.grad.abs().max() > 0
    assert model.classifier.weight.grad is not None and not model.classifier.weight.grad.any()


def test_no_label_is_needed_nor_used_to_encode() -> None:
    model, labels = make(), groups()[1]
    training.fit(model, given(list(labels)), {}, Training(epochs=3, batch_size=16), seed=0)
    np.testing.assert_array_equal(model.encode(given(list(labels)), {}).mu, model.encode(given([None] * 90), {}).mu)


@pytest.mark.parametrize(("share", "n"), [(0.1, 3), (0.5, 15), (1.0, 30), (0.001, 1)])
def test_a_share_of_the_labels_is_shown_by_seed(share: float, n: int) -> None:
    labels: list[str | None] = ["a", None, "b"] * 15
    found = shown(labels, share, seed=4)
    assert sum(name is not None for name in found) == n
    assert all(name is None or name == label for name, label in zip(found, labels, strict=True))
    assert found == shown(labels, share, seed=4)
    assert share == 1.0 or found != shown(labels, share, seed=5)


def test_of_no_labels_none_is_shown() -> None:
    assert shown([None, ""], 0.5, seed=0) == [None, None] and shown([], 0.5, seed=0) == []


def collection() -> Collection:
    x, labels = groups(60)
    names = [f"t{i}" for i in range(60)]
    return Collection(names, names, {"mfcc": x}, {"mfcc": np.ones(60, np.bool_)}, list(labels), "genre", list(labels))


def config(tmp_path: Path, **settings: Any) -> Any:
    model = {"kind": "semi", "condition": {"label": "genre"}, "latent_dim": 2, "hidden": [8], **settings}
    return make_config(tmp_path, source={"kind": "folder", "root": "/"}, model=model)


def test_an_experiment_shows_the_share_and_marks_the_leak(tmp_path: Path) -> None:
    fitted, _, found = experiment.run(collection(), config(tmp_path, label_share=0.25), 0)
    assert fitted.card["notes"] == ["the model was shown 'genre' of 15 of the 60 tracks that have it"]
    leaked = {score.metric for score in found.scores if score.note.startswith("label leak")}
    assert leaked == LABEL_SCORES


def test_labels_that_are_hidden_have_no_say(tmp_path: Path) -> None:
    """What is learnt with a share of the labels is what is learnt where the others are not there at all."""
    whole = collection()
    kept = shown(whole.condition, 0.25, seed=0)
    fewer = replace(whole, condition=kept)
    others = replace(
        whole, condition=[None if label else known for label, known in zip(kept, whole.labels, strict=True)]
    )
    share = experiment.fit(whole, config(tmp_path, label_share=0.25), 0)
    alone, rest = (experiment.fit(some, config(tmp_path, label_share=1.0), 0) for some in (fewer, others))
    one, two, three = (experiment.encode(whole, fitted).mu for fitted in (share, alone, rest))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, three)


def test_a_number_for_the_class_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(
        "source: {kind: folder, root: /}\nmodel: {kind: semi, condition: {label: genre, encoding: number}}\n"
    )
    with pytest.raises(ConfigError, match=r"job.yaml:2: model.condition: a classifier needs encoding: one_hot"):
        load(file)
