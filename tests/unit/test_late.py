"""Late fusion: members trained by themselves, four ways to combine their latents, what is kept, and what is a leak."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configs import make_config
from threads import one_thread

from ray_pipeline import experiment, late, model_files, training
from ray_pipeline.config import check, load
from ray_pipeline.errors import ConfigError, TrainingError
from ray_pipeline.experiment import Collection, Fitted
from ray_pipeline.late_model import Late
from ray_pipeline.models.combination import Combination
from ray_pipeline.models.contract import check_state
from ray_pipeline.models.readout import Readout

__all__ = ["one_thread"]

FEATURES = ["mfcc", "mfcc_stats"]
SMALL = {"latent_dim": 4, "hidden": [16]}
H = {"fusion": {"kind": "concat"}, "model": {"kind": "vae", **SMALL}}
B = {"fusion": {"kind": "audio"}, "model": {"kind": "beta", **SMALL}}
C = {"fusion": {"kind": "spectral"}, "model": {"kind": "conv", "latent_dim": 4, "channels": [4, 8]}}
MEMBERS = {"H": H, "B": B, "C": C}
GENRE = {"condition": {"label": "genre"}}
LABEL_SCORES = {"ami", "ari", "nmi", "purity"}
SHAPES = {"mfcc": (20,), "mfcc_stats": (140,), "lyrics": (384,)}


def collection(n: int = 40) -> Collection:
    """`n` tracks in three groups, every second without words."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 3, n)
    views = {
        name: (rng.normal(size=(n, *shape)) + rng.normal(size=(3, *shape))[group]).astype(np.float32)
        for name, shape in SHAPES.items()
    }
    masks = {name: np.ones(n, np.bool_) for name in views}
    masks["lyrics"][::2] = False
    names, genres = [f"t{i}" for i in range(n)], [f"g{g}" for g in group]
    return Collection(names, names, views, masks, list(genres), "genre", list(genres))


def config(tmp_path: Path, of: Any = None, **model: Any) -> Any:
    return make_config(
        tmp_path,
        source={"kind": "folder", "root": "/"},
        features=FEATURES,
        lyrics={"backend": "openai-whisper"},
        fusion={"kind": "none"},
        model={"kind": "late", "of": MEMBERS if of is None else of, **model},
        scoring={"label": "genre", "seeds": 1, "null_draws": 2, "permutations": 20},
    )


def blocks(n: int = 50) -> dict[str, np.ndarray]:
    """Latents of two models, one of far larger numbers than the other."""
    rng = np.random.default_rng(0)
    return {"a": rng.normal(5, 1, (n, 3)).astype(np.float32), "b": rng.normal(0, 100, (n, 3)).astype(np.float32)}


def combined(how: Any, given: dict[str, np.ndarray], n_components: int = 32, **weights: float) -> np.ndarray:
    combination = Combination(how, weights, n_components)
    combination.fit(given)
    return combination.transform(given)


@pytest.mark.parametrize("how", ["concat", "with_genre"])
def test_side_by_side_each_block_counts_the_same(how: str) -> None:
    x = combined(how, blocks())
    assert x.shape == (50, 6)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-5)
    assert [x[:, :3].var(axis=0).sum(), x[:, 3:].var(axis=0).sum()] == pytest.approx([1, 1], rel=1e-4)


def test_a_dimension_that_a_model_left_unused_stays_small() -> None:
    given = blocks()
    given["a"][:, 2] = 5 + 1e-3 * given["a"][:, 0]
    assert combined("concat", given)[:, 2].std() < 0.01


def test_weighted_is_the_weighted_mean_of_the_blocks() -> None:
    side = combined("concat", blocks())
    np.testing.assert_allclose(combined("weighted", blocks(), a=3.0), (3 * side[:, :3] + side[:, 3:]) / 4, atol=1e-6)


def test_latents_of_different_dimensions_cannot_be_averaged() -> None:
    given = blocks() | {"b": blocks()["b"][:, :2]}
    with pytest.raises(TrainingError, match=r"different dimensions cannot be averaged: \{'a': 3, 'b': 2\}"):
        combined("weighted", given)


def test_pca_turns_what_lies_side_by_side_largest_first() -> None:
    side, turned = combined("concat", blocks()), combined("pca", blocks())
    np.testing.assert_allclose(turned @ turned.T, side @ side.T, atol=1e-4)
    spread = turned.var(axis=0)
    assert (np.diff(spread) <= 1e-6).all()
    np.testing.assert_allclose(combined("pca", blocks(), n_components=2), turned[:, :2], atol=1e-6)


def test_a_member_whose_latents_are_all_the_same_adds_nothing() -> None:
    given = blocks() | {"b": np.full((50, 3), 7, np.float32)}
    assert not combined("concat", given)[:, 3:].any()
    with pytest.raises(TrainingError, match="nothing varies in the latents of any member"):
        combined("concat", {"b": given["b"]})


def test_readout_is_what_least_squares_tells_of_what_is_present() -> None:
    rng = np.random.default_rng(0)
    mu = rng.normal(size=(60, 2)).astype(np.float32)
    views = {
        "a": (mu @ rng.normal(size=(2, 4)) + 3).astype(np.float32),
        "b": rng.normal(size=(60, 3)).astype(np.float32),
    }
    masks = {"b": np.arange(60) < 40}
    views["b"][40:] = 77
    readout = Readout({"a": (4,), "b": (3,)})
    readout.fit(mu, views, masks)
    errors = readout.errors(mu, views, masks)
    design = np.column_stack([np.ones(40), mu[:40]])
    residual = views["b"][:40] - design @ np.linalg.lstsq(design, views["b"][:40], rcond=None)[0]
    np.testing.assert_allclose(errors[:40], (residual**2).sum(axis=1), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(errors[40:], 0, atol=1e-6)


def test_a_late_experiment_trains_every_member_and_is_scored(tmp_path: Path) -> None:
    fitted, latents, found = experiment.run(collection(), config(tmp_path), 0)
    assert isinstance(fitted.model, Late) and latents.mu.shape == (40, 12)
    assert {name: len(course["history"]) for name, course in fitted.card["members"].items()} == dict.fromkeys("HBC", 2)
    assert fitted.model.n_parameters == sum(model.n_parameters for _, model in fitted.model.members.values())
    assert {score.metric for score in found.scores} >= {"silhouette", "ami", "ami_missing", "collapsed"}
    assert not [score for score in found.scores if score.note.startswith("label leak")]


def test_a_members_latents_are_those_of_its_own_experiment(tmp_path: Path) -> None:
    """Up to rounding: the views come standardised to it, and are standardised again."""
    fitted, *_ = experiment.run(collection(), config(tmp_path), 0)
    views, masks = fitted.fusion.transform(collection().views, collection().masks)
    for name, sections in MEMBERS.items():
        own = check(config(tmp_path).plain() | sections)
        expected = experiment.encode(collection(), experiment.fit(collection(), own, 0)).mu
        fusion, model = fitted.model.members[name]  # type: ignore[attr-defined]
        np.testing.assert_allclose(model.encode(*fusion.transform(views, masks)).mu, expected, atol=2e-3)


@pytest.mark.parametrize("model", [{}, {"combine": "pca", "n_components": 5}, {"combine": "with_genre", **GENRE}])
def test_saved_and_loaded_it_encodes_to_the_same_bits(tmp_path: Path, model: dict[str, Any]) -> None:
    fitted, latents, _ = experiment.run(collection(), config(tmp_path, **model), 0)
    model_files.save(tmp_path / "m", fitted.model, fitted.fusion, fitted.card)
    again = experiment.encode(collection(), Fitted(*model_files.load(tmp_path / "m")))
    assert again.mu.tobytes() == latents.mu.tobytes()
    assert again.recon_error.tobytes() == latents.recon_error.tobytes()


def test_a_tensor_of_a_member_that_does_not_fit_is_told_with_its_name(tmp_path: Path) -> None:
    fitted, *_ = experiment.run(collection(), config(tmp_path), 0)
    state = fitted.model.state()
    for name in ("of.B.model.mu.bias", "of.B.fusion.mfcc.mean", "readout", "combination.C.mean"):
        fewer = {key: x for key, x in state.items() if key != name}
        with pytest.raises(TrainingError, match="is missing") as caught:
            Late(fitted.model.params, fitted.model.shapes, 0).load_state(fewer)  # type: ignore[arg-type]
        assert str(caught.value).startswith("member 'B': ") == name.startswith("of.B")
    with pytest.raises(TrainingError, match=r"'of.X.model.w' is unexpected"):
        Late(fitted.model.params, fitted.model.shapes, 0).load_state({**state, "of.X.model.w": state["readout"]})  # type: ignore[arg-type]
    check_state({name: (x.shape, x.dtype) for name, x in state.items()}, state)


def test_with_genre_has_the_classes_among_its_latents_and_is_a_leak(tmp_path: Path) -> None:
    _, latents, found = experiment.run(collection(), config(tmp_path, combine="with_genre", **GENRE), 0)
    assert latents.mu.shape == (40, 12 + 4)
    notes = {score.metric: score.note for score in found.scores}
    assert {name for name, note in notes.items() if note.startswith("label leak")} == LABEL_SCORES
    assert [note for note in found.notes if note.startswith("label leak: the model was given 'genre'")]


def test_interrupted_it_does_not_train_finished_members_again(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def die(epoch: Any) -> None:
        seen.append(epoch.epoch)
        if len(seen) == 3:
            raise Killed

    seen: list[int] = []
    with pytest.raises(Killed):
        experiment.fit(collection(), config(tmp_path), 0, checkpoint=tmp_path / "c", on_epoch=die)
    again: list[int] = []
    fitted = experiment.fit(
        collection(), config(tmp_path), 0, checkpoint=tmp_path / "c", on_epoch=lambda epoch: again.append(epoch.epoch)
    )
    assert again == [1, 2, 1, 2]
    straight = experiment.fit(collection(), config(tmp_path), 0)
    assert (
        experiment.encode(collection(), fitted).mu.tobytes() == experiment.encode(collection(), straight).mu.tobytes()
    )


def members(tmp_path: Path) -> dict[str, Any]:
    return {name: check(config(tmp_path).plain() | sections) for name, sections in MEMBERS.items()}


def test_members_configs_are_combined_in_every_way_and_trained_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: list[str] = []
    fit = training.fit
    monkeypatch.setattr(
        training, "fit", lambda model, *a, **k: (kinds.append(model.params.kind), fit(model, *a, **k))[1]
    )
    ways: Any = ["weighted", "concat", "pca", "with_genre"]
    found = late.evaluate_each(collection(), members(tmp_path), ways, config(tmp_path), 0)
    assert list(found) == ways and kinds == ["vae", "beta", "conv"]
    leaks = [how for how, scored in found.items() if any(note.startswith("label leak") for note in scored.notes)]
    assert leaks == ["with_genre"]


def test_one_way_alone_is_the_experiment_of_its_config(tmp_path: Path) -> None:
    scored = late.evaluate(collection(), members(tmp_path), "pca", config(tmp_path), 0)
    _, _, expected = experiment.run(collection(), config(tmp_path, combine="pca"), 0)
    np.testing.assert_array_equal(scored.labels, expected.labels)
    assert scored.scores == expected.scores


def test_by_default_it_is_the_studys_three(tmp_path: Path) -> None:
    raw = config(tmp_path).plain() | {"model": {"kind": "late"}}
    model: Any = check(raw).model
    assert {name: (part.fusion.kind, part.model.kind) for name, part in model.of.items()} == {
        "H": ("concat", "vae"),
        "B": ("audio", "beta"),
        "C": ("spectral", "conv"),
    }
    assert check(check(raw).plain()) == check(raw)


def test_views_are_those_that_members_read(tmp_path: Path) -> None:
    assert experiment.views_needed(config(tmp_path)) == ("lyrics", "mfcc", "mfcc_stats")
    assert experiment.views_needed(config(tmp_path, of={"B": B})) == ("mfcc",)
    words = {"fusion": {"kind": "lyrics"}, "model": {"kind": "pca"}}
    assert experiment.views_required(config(tmp_path, of={"W": words})) == ("lyrics",)
    with pytest.raises(TrainingError, match="20 of 40 tracks lack view 'lyrics'"):
        experiment.fit(collection(), config(tmp_path, of={"W": words}), 0)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"features": ["mfcc"]}, r"model\.of\.C\.fusion\.view: 'mfcc_stats' is not among features: \[mfcc\]"),
        ({"fusion": {"kind": "concat"}}, "fusion.kind: members of late fusion have fusions of their own"),
        ({"fusion": {"kind": "none", "views": ["mfcc"]}}, r"model\.of\.C\.fusion\.view: 'mfcc_stats' is not among"),
    ],
)
def test_what_a_member_cannot_have_is_told_before_anything_is_computed(
    tmp_path: Path, sections: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        experiment.views_needed(check(config(tmp_path).plain() | sections))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            "of: {A: {fusion: {kind: audio}, model: {kind: bta}}}",
            r"model\.of\.A\.model: unknown model 'bta'; did you mean 'beta'",
        ),
        ("of: {A: {fusion: {kind: audio}, model: {kind: beta, bta: 1}}}", "bta: unknown key; did you mean 'beta'"),
        ("of: {A: {fusion: {kind: audio}, model: {kind: beta, beta: -1}}}", "beta: Input should be greater than"),
        ("of: {A: {fusion: audio, model: {kind: vae}}}", r"model\.of\.A\.fusion: a mapping with 'kind:' is needed"),
        ("of: {A: {fusion: {kind: audio}, model: {kind: late}}}", "'late' takes a label or members of its own"),
        ("of: {A: {fusion: {kind: audio}, model: {kind: cvae, condition: {label: x}}}}", "'cvae' takes a label"),
        ("of: {A.b: {fusion: {kind: audio}, model: {kind: vae}}}", "a member's name is of letters"),
        ("weights: {Q: 1}", "'Q' is no member"),
        ("weights: {H: 0}", "must be above 0"),
        ("combine: with_genre", "with_genre and condition: .* go together"),
        ("condition: {label: genre}", "with_genre and condition: .* go together"),
        ("combine: sum", "concat"),
    ],
)
def test_mistakes_are_told_with_file_and_line(tmp_path: Path, model: str, said: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(f"source: {{kind: folder, root: /}}\nfusion: {{kind: none}}\nmodel: {{kind: late, {model}}}\n")
    with pytest.raises(ConfigError, match=said) as caught:
        load(file)
    assert f"{file}:3" in str(caught.value)


def test_a_member_that_cannot_be_fitted_is_named(tmp_path: Path) -> None:
    flat = replace(collection(), views={**collection().views, "mfcc": np.ones((40, 20), np.float32)})
    with pytest.raises(TrainingError, match="member 'H': view 'mfcc' is not among the views: lyrics, mfcc_stats"):
        experiment.fit(flat, config(tmp_path), 0)
