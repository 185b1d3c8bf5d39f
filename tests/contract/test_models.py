"""Every model on the shelf: latents, seeds, masks, few rows, and what is saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ray_pipeline import shelf, training
from ray_pipeline.config import Training
from ray_pipeline.errors import TrainingError
from ray_pipeline.models import MODELS
from ray_pipeline.models.condition import CONDITION, condition_of
from ray_pipeline.models.contract import Latents, Masks, Model, Views

KINDS = sorted(MODELS)
SHORT = Training(epochs=3, batch_size=16)


# Settings that make a part small, and those that it cannot do without; each part is given those that it knows.
SETTINGS = {"latent_dim": 4, "hidden": (16, 8), "channels": (4, 8), "condition": {"label": "genre"}}
CLASSES = 3


def make(kind: str, dim: int = 24, seed: int = 0) -> Model:
    model: Model = shelf.part("model", kind)(params(kind), shapes(kind, dim), seed)
    return model


def params(kind: str) -> shelf.Params:
    found = shelf.params_of("model", kind)
    return found(**{key: value for key, value in SETTINGS.items() if key in found.model_fields})


def shapes(kind: str, dim: int) -> dict[str, tuple[int, ...]]:
    given: dict[str, tuple[int, ...]] = {CONDITION: (CLASSES,)} if condition_of(params(kind)) else {}
    return {"fused": (dim,), **given}


def fused(n: int = 40, dim: int = 24, seed: int = 0) -> tuple[Views, Masks]:
    """Rank-6 data and a class a track; the last third of the columns is missing in every second track."""
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(n, 6)) @ rng.normal(size=(6, dim))).astype(np.float32)
    mask = np.ones((n, dim), np.bool_)
    mask[::2, dim * 2 // 3 :] = False
    classes = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, n)]
    return {"fused": np.where(mask, x, 0).astype(np.float32), CONDITION: classes}, {"fused": mask}


def trained(kind: str, views: Views, masks: Masks, seed: int = 0) -> Model:
    model = make(kind, views["fused"].shape[1], seed)
    training.fit(model, views, masks, SHORT, seed=seed)
    return model


def in_bytes(latents: Latents) -> list[bytes]:
    return [x.tobytes() for x in (latents.mu, latents.logvar, latents.recon_error) if x is not None]


@pytest.mark.parametrize("kind", KINDS)
def test_params_name_their_part(kind: str) -> None:
    assert params(kind).kind == kind


@pytest.mark.parametrize("n", [2, 3, 17, 40])
@pytest.mark.parametrize("kind", KINDS)
def test_latents_are_finite_float32_of_the_right_shape(kind: str, n: int) -> None:
    views, masks = fused(n)
    latents = trained(kind, views, masks).encode(views, masks)
    assert latents.mu.ndim == 2 and len(latents.mu) == n and latents.mu.shape[1] >= 1
    assert latents.recon_error.shape == (n,) and (latents.recon_error >= 0).all()
    assert (latents.logvar is None) == (latents.kl_per_dim is None)
    if latents.logvar is not None and latents.kl_per_dim is not None:
        assert latents.logvar.shape == latents.mu.shape and latents.kl_per_dim.shape == latents.mu.shape[1:]
    for x in (latents.mu, latents.logvar, latents.recon_error, latents.kl_per_dim):
        assert x is None or (x.dtype == np.float32 and np.isfinite(x).all())


@pytest.mark.parametrize("kind", KINDS)
def test_one_track_is_encoded_as_among_many(kind: str) -> None:
    views, masks = fused()
    model = trained(kind, views, masks)
    alone = model.encode({name: x[5:6] for name, x in views.items()}, {"fused": masks["fused"][5:6]})
    np.testing.assert_allclose(alone.mu[0], model.encode(views, masks).mu[5], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bits(kind: str) -> None:
    views, masks = fused()
    first, second = (trained(kind, views, masks, seed=3).encode(views, masks) for _ in range(2))
    assert in_bytes(first) == in_bytes(second)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_does_not_matter(kind: str) -> None:
    views, masks = fused()
    model = trained(kind, views, masks)
    other = views | {"fused": np.where(masks["fused"], views["fused"], 77).astype(np.float32)}
    assert in_bytes(model.encode(views, masks)) == in_bytes(model.encode(other, masks))


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_encodes_to_the_same_bits(kind: str, tmp_path: Path) -> None:
    views, masks = fused()
    model = trained(kind, views, masks)
    fusion = shelf.part("fusion", "audio")(shelf.params_of("fusion", "audio")())
    fusion.fit({"mfcc": views["fused"]}, {})
    training.save(tmp_path / "model", model, fusion, {"seed": 0})
    again, _, card = training.load(tmp_path / "model")
    assert in_bytes(again.encode(views, masks)) == in_bytes(model.encode(views, masks))
    assert card["model"]["kind"] == kind and card["n_parameters"] == model.n_parameters == again.n_parameters


@pytest.mark.parametrize("kind", KINDS)
def test_state_that_does_not_fit_is_refused_by_name(kind: str) -> None:
    state = trained(kind, *fused()).state()
    with pytest.raises(TrainingError, match="'stranger' is unexpected"):
        make(kind).load_state({**state, "stranger": np.zeros(1, np.float32)})
    for name in list(state)[:1]:
        with pytest.raises(TrainingError, match=f"'{name}' is missing"):
            make(kind).load_state({k: v for k, v in state.items() if k != name})
        with pytest.raises(TrainingError, match=f"'{name}' is"):
            make(kind).load_state({**state, name: state[name][..., None]})
        with pytest.raises(TrainingError, match="NaN"):
            make(kind).load_state({**state, name: np.full_like(state[name], np.nan)})


@pytest.mark.parametrize("kind", KINDS)
def test_other_views_than_it_was_built_for_are_refused(kind: str) -> None:
    model = make(kind)
    with pytest.raises(TrainingError, match="'fused' is"):
        model.encode({"fused": np.zeros((3, 5), np.float32)}, {})
    with pytest.raises(TrainingError, match="needs view 'fused'"):
        model.encode({"mfcc": np.zeros((3, 24), np.float32)}, {})


def test_pca_keeps_no_more_than_the_rank() -> None:
    views, _ = fused()
    model = trained("pca", views, {})
    full = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    assert trained("pca", {"fused": full}, {}).encode({"fused": full}, {}).mu.shape == (40, 4)
    latents = model.encode(views, {})
    assert latents.mu.shape[1] <= 24
    np.testing.assert_allclose(latents.recon_error, 0, atol=1e-6)


def test_a_vae_takes_several_views_and_gives_each_back() -> None:
    import torch

    small = shelf.params_of("model", "vae")(latent_dim=2, hidden=(8,))
    model = shelf.part("model", "vae")(small, {"b": (3,), "a": (2, 4)}, 0)
    recon = model.generative(torch.zeros(5, 2), {})
    assert {name: tuple(x.shape) for name, x in recon.items()} == {"a": (5, 2, 4), "b": (5, 3)}


@pytest.mark.parametrize("length", [1, 8, 9, 20, 140, 404])
def test_conv_takes_any_length_with_the_same_weights(length: int) -> None:
    x = {"fused": np.random.default_rng(0).normal(size=(6, length)).astype(np.float32)}
    model = make("conv", length)
    latents = model.encode(x, {})
    assert latents.mu.shape == (6, 4) and np.isfinite(latents.recon_error).all()
    assert model.n_parameters == make("conv", 140).n_parameters


def test_conv_lays_several_views_side_by_side() -> None:
    import torch

    model = shelf.part("model", "conv")(params("conv"), {"b": (3,), "a": (2, 4)}, 0)
    recon = model.generative(torch.zeros(5, 4), {})
    assert {name: tuple(x.shape) for name, x in recon.items()} == {"a": (5, 2, 4), "b": (5, 3)}


def test_an_autoencoder_has_no_kl_and_learns_to_rebuild() -> None:
    views, masks = fused(60)
    model = make("autoencoder")
    before = model.encode(views, masks).recon_error.mean()
    history = training.fit(model, views, masks, Training(epochs=40, batch_size=16, learning_rate=0.02), seed=0)
    assert {epoch.kl for epoch in history.epochs} == {0.0} and history.kl_per_dim == []
    assert all(epoch.loss == epoch.reconstruction for epoch in history.epochs)
    assert model.encode(views, masks).recon_error.mean() < 0.5 * before


def test_a_cvae_is_given_the_class_in_encoder_and_decoder_and_does_not_rebuild_it() -> None:
    import torch

    views, masks = fused()
    model = trained("cvae", views, masks)
    other = views | {CONDITION: np.roll(views[CONDITION], 1, axis=1)}
    assert np.abs(model.encode(views, masks).mu - model.encode(other, masks).mu).max() > 1e-4
    z = torch.zeros(2, 4)
    recon = model.generative(z, {CONDITION: torch.eye(CLASSES)[:2]})  # type: ignore[attr-defined]
    assert set(recon) == {"fused"} and not torch.equal(recon["fused"][0], recon["fused"][1])


def test_a_cvae_without_a_condition_among_the_views_is_refused() -> None:
    with pytest.raises(TrainingError, match="needs view 'condition'; given: fused"):
        shelf.part("model", "cvae")(params("cvae"), {"fused": (24,)}, 0)
