"""Every model on the shelf: latents, seeds, masks, few rows, what is saved, and what the trainer relies on.

Each is tried with every layout of views that it takes: one fused vector, several views of which some tracks lack some, or both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from threads import one_thread

from ray_pipeline import shelf, training
from ray_pipeline.config import Training
from ray_pipeline.errors import TrainingError
from ray_pipeline.models import MODELS
from ray_pipeline.models.base import BaseVae
from ray_pipeline.models.condition import CONDITION, condition_of
from ray_pipeline.models.contract import Latents, Masks, Model, Shapes, Views

__all__ = ["one_thread"]

KINDS = sorted(MODELS)
SHORT = Training(epochs=3, batch_size=16)

# Settings that make a part small, and those that it cannot do without; each part is given those that it knows.
SETTINGS: dict[str, Any] = {
    "latent_dim": 4,
    "hidden": (16, 8),
    "channels": (4, 8),
    "width": 8,
    "n_heads": 2,
    "n_components": 3,
    "pretrain_epochs": 1,
    "condition": {"label": "genre"},
}
MEMBERS = {name: {"fusion": {"kind": "none"}, "model": {"kind": name}} for name in ("pca", "raw")}
OWN: dict[str, dict[str, Any]] = {"late": {"of": MEMBERS, "combine": "with_genre"}}
CLASSES = 3

LAYOUTS: dict[str, Shapes] = {
    "fused": {"fused": (24,)},
    "several": {"log_mel": (8, 12), "lyrics": (6,), "mfcc": (10,)},
}


def params(kind: str) -> shelf.Params:
    found = shelf.params_of("model", kind)
    known = {key: value for key, value in SETTINGS.items() if key in found.model_fields}
    return found.model_validate(known | OWN.get(kind, {}))


OVER_TIME = [kind for kind in KINDS if hasattr(params(kind), "view")]


def layouts(kind: str) -> list[str]:
    """Models over time take one view of frames; members of late fusion take views that were not fused before."""
    return ["several"] if kind in {"late", *OVER_TIME} else sorted(LAYOUTS)


CASES = [(kind, layout) for kind in KINDS for layout in layouts(kind)]
VAES = [(kind, layout) for kind, layout in CASES if kind not in {"late", "pca", "raw"}]


def make(kind: str, layout: str = "fused", seed: int = 0, **shapes: tuple[int, ...]) -> Model:
    given: Shapes = {CONDITION: (CLASSES,)} if condition_of(params(kind)) else {}
    model: Model = shelf.part("model", kind)(params(kind), {**(shapes or LAYOUTS[layout]), **given}, seed)
    return model


def tracks(layout: str = "fused", n: int = 40, seed: int = 0) -> tuple[Views, Masks]:
    """Rank-6 data and a class a track. Every second track lacks the last third of `fused` or of `log_mel`, and the lyrics."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n, 6))
    views: Views = {CONDITION: np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, n)]}
    masks: Masks = {}
    for name, shape in LAYOUTS[layout].items():
        x = np.tensordot(factors, rng.normal(size=(6, *shape)), axes=1).astype(np.float32)
        mask = np.ones(x.shape, np.bool_)
        if name != "mfcc":
            mask[::2, 0 if name == "lyrics" else shape[0] * 2 // 3 :] = False
            masks[name] = mask.all(axis=1) if name == "lyrics" else mask
        views[name] = np.where(mask, x, 0).astype(np.float32)
    return views, masks


def trained(kind: str, views: Views, masks: Masks, seed: int = 0) -> Model:
    layout = "fused" if "fused" in views else "several"
    model = make(kind, layout, seed)
    training.fit(model, views, masks, SHORT, seed=seed)
    return model


def in_bytes(latents: Latents) -> list[bytes]:
    return [x.tobytes() for x in (latents.mu, latents.logvar, latents.recon_error) if x is not None]


@pytest.mark.parametrize("kind", KINDS)
def test_params_name_their_part(kind: str) -> None:
    assert params(kind).kind == kind


@pytest.mark.parametrize("n", [2, 3, 17, 40])
@pytest.mark.parametrize(("kind", "layout"), CASES)
def test_latents_are_finite_float32_of_the_right_shape(kind: str, layout: str, n: int) -> None:
    views, masks = tracks(layout, n)
    latents = trained(kind, views, masks).encode(views, masks)
    assert latents.mu.ndim == 2 and len(latents.mu) == n and latents.mu.shape[1] >= 1
    assert latents.recon_error.shape == (n,) and (latents.recon_error >= 0).all()
    assert (latents.logvar is None) == (latents.kl_per_dim is None)
    if latents.logvar is not None and latents.kl_per_dim is not None:
        assert latents.logvar.shape == latents.mu.shape and latents.kl_per_dim.shape == latents.mu.shape[1:]
    for x in (latents.mu, latents.logvar, latents.recon_error, latents.kl_per_dim):
        assert x is None or (x.dtype == np.float32 and np.isfinite(x).all())


@pytest.mark.parametrize(("kind", "layout"), CASES)
def test_one_track_is_encoded_as_among_many(kind: str, layout: str) -> None:
    views, masks = tracks(layout)
    model = trained(kind, views, masks)
    alone = model.encode(*({name: x[5:6] for name, x in given.items()} for given in (views, masks)))
    np.testing.assert_allclose(alone.mu[0], model.encode(views, masks).mu[5], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "layout"), CASES)
def test_the_same_seed_gives_the_same_bits(kind: str, layout: str) -> None:
    views, masks = tracks(layout)
    first, second = (trained(kind, views, masks, seed=3).encode(views, masks) for _ in range(2))
    assert in_bytes(first) == in_bytes(second)


@pytest.mark.parametrize(("kind", "layout"), CASES)
def test_what_is_missing_does_not_matter(kind: str, layout: str) -> None:
    views, masks = tracks(layout)
    model = trained(kind, views, masks)
    other = dict(views)
    for name, mask in masks.items():
        x = views[name]
        other[name] = np.where(mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)), x, 77).astype(np.float32)
    assert in_bytes(model.encode(views, masks)) == in_bytes(model.encode(other, masks))


@pytest.mark.parametrize(("kind", "layout"), CASES)
def test_saved_and_loaded_encodes_to_the_same_bits(kind: str, layout: str, tmp_path: Path) -> None:
    views, masks = tracks(layout)
    model = trained(kind, views, masks)
    fusion = shelf.part("fusion", "audio")(shelf.params_of("fusion", "audio")())
    fusion.fit({"mfcc": np.arange(6, dtype=np.float32).reshape(3, 2)}, {})
    training.save(tmp_path / "model", model, fusion, {"seed": 0})
    again, _, card = training.load(tmp_path / "model")
    assert in_bytes(again.encode(views, masks)) == in_bytes(model.encode(views, masks))
    assert card["model"]["kind"] == kind and card["n_parameters"] == model.n_parameters == again.n_parameters


@pytest.mark.parametrize(("kind", "layout"), CASES)
def test_state_that_does_not_fit_is_refused_by_name(kind: str, layout: str) -> None:
    state = trained(kind, *tracks(layout)).state()
    with pytest.raises(TrainingError, match="'stranger' is unexpected"):
        make(kind, layout).load_state({**state, "stranger": np.zeros(1, np.float32)})
    for name in list(state)[:1]:
        with pytest.raises(TrainingError, match=f"'{name}' is missing"):
            make(kind, layout).load_state({k: v for k, v in state.items() if k != name})
        with pytest.raises(TrainingError, match=f"'{name}' is"):
            make(kind, layout).load_state({**state, name: state[name][..., None]})
        with pytest.raises(TrainingError, match="NaN"):
            make(kind, layout).load_state({**state, name: np.full_like(state[name], np.nan)})


@pytest.mark.parametrize("kind", KINDS)
def test_other_views_than_it_was_built_for_are_refused(kind: str) -> None:
    layout = layouts(kind)[0]
    views, masks = tracks(layout)
    model = trained(kind, views, masks)
    name = next(name for name in model.shapes if name != CONDITION)
    with pytest.raises(TrainingError, match=f"'{name}' is"):
        model.encode({**views, name: np.zeros((40, 5, 5), np.float32)}, {})
    with pytest.raises(TrainingError, match=f"needs view '{name}'"):
        model.encode({other: x for other, x in views.items() if other != name}, {})


@pytest.mark.parametrize("kind", OVER_TIME)
def test_a_model_over_time_says_what_it_takes(kind: str) -> None:
    with pytest.raises(TrainingError, match="needs view 'log_mel'; given: fused") as caught:
        make(kind, fused=(24,))
    assert "fusion.kind: none" in caught.value.hint
    with pytest.raises(TrainingError, match=r"needs frames by bands; view 'log_mel' is \[24\] a track"):
        make(kind, log_mel=(24,))


def vae(kind: str, layout: str, seed: int = 0) -> BaseVae:
    model = make(kind, layout, seed)
    assert isinstance(model, BaseVae)
    return model


@pytest.mark.parametrize(("kind", "layout"), VAES)
def test_the_loss_is_the_sum_of_what_it_says(kind: str, layout: str) -> None:
    model = vae(kind, layout)
    views, masks = ({name: torch.from_numpy(x) for name, x in given.items()} for given in tracks(layout))
    out = model(views, masks)
    parts = out.reconstruction + model.beta * out.kl + sum(out.extra.values())
    assert out.loss.item() == pytest.approx(parts.item(), rel=1e-5)
    assert (out.kl_per_dim >= 0).all() and out.kl_per_dim.sum().item() <= out.kl.item() * (1 + 1e-5)


@pytest.mark.parametrize(("kind", "layout"), VAES)
def test_every_parameter_has_a_gradient_in_every_epoch(kind: str, layout: str) -> None:
    """Several workers wait for each one, and a checkpoint holds the optimizer's state of each."""
    model = vae(kind, layout)
    views, masks = ({name: torch.from_numpy(x) for name, x in given.items()} for given in tracks(layout))
    for _ in range(SHORT.epochs):
        model.zero_grad(set_to_none=True)
        model.train()
        model(views, masks).loss.backward()
        assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize(("kind", "layout"), VAES)
def test_a_resumed_training_ends_in_the_same_bits(kind: str, layout: str, tmp_path: Path) -> None:
    views, masks = tracks(layout)
    straight = vae(kind, layout)
    training.fit(straight, views, masks, Training(epochs=4, batch_size=16), seed=1)
    training.fit(vae(kind, layout), views, masks, Training(epochs=1, batch_size=16), seed=1, checkpoint=tmp_path)
    resumed = vae(kind, layout)
    training.fit(resumed, views, masks, Training(epochs=4, batch_size=16), seed=1, checkpoint=tmp_path)
    assert {k: x.tobytes() for k, x in resumed.state().items()} == {k: x.tobytes() for k, x in straight.state().items()}


@pytest.mark.parametrize(("kind", "layout"), VAES)
def test_lower_precision_trains_and_keeps_fp32_latents(kind: str, layout: str) -> None:
    views, masks = tracks(layout)
    model = vae(kind, layout)
    history = training.fit(model, views, masks, SHORT, seed=0, precision="bf16")
    assert history.status == "ok"
    assert {x.dtype for x in model.state().values()} <= {np.dtype(np.float32), np.dtype(np.int64)}


def test_pca_keeps_no_more_than_the_rank() -> None:
    views, _ = tracks()
    full = {"fused": np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)}
    model = shelf.part("model", "pca")(shelf.params_of("model", "pca")(), {"fused": (4,)}, 0)
    model.fit(full, {})
    assert model.encode(full, {}).mu.shape == (40, 4)
    model = shelf.part("model", "pca")(shelf.params_of("model", "pca")(), {"fused": (24,)}, 0)
    model.fit(views, {})
    latents = model.encode(views, {})
    assert latents.mu.shape[1] <= 24
    np.testing.assert_allclose(latents.recon_error, 0, atol=1e-6)


def test_a_vae_takes_several_views_and_gives_each_back() -> None:
    small = shelf.params_of("model", "vae")(latent_dim=2, hidden=(8,))
    model = shelf.part("model", "vae")(small, {"b": (3,), "a": (2, 4)}, 0)
    recon = model.generative(torch.zeros(5, 2), {})
    assert {name: tuple(x.shape) for name, x in recon.items()} == {"a": (5, 2, 4), "b": (5, 3)}


@pytest.mark.parametrize("length", [1, 8, 9, 20, 140, 404])
def test_conv_takes_any_length_with_the_same_weights(length: int) -> None:
    x = {"fused": np.random.default_rng(0).normal(size=(6, length)).astype(np.float32)}
    model = make("conv", fused=(length,))
    latents = model.encode(x, {})
    assert latents.mu.shape == (6, 4) and np.isfinite(latents.recon_error).all()
    assert model.n_parameters == make("conv", fused=(140,)).n_parameters


def test_conv_lays_several_views_side_by_side() -> None:
    model = shelf.part("model", "conv")(params("conv"), {"b": (3,), "a": (2, 4)}, 0)
    recon = model.generative(torch.zeros(5, 4), {})
    assert {name: tuple(x.shape) for name, x in recon.items()} == {"a": (5, 2, 4), "b": (5, 3)}


def test_an_autoencoder_has_no_kl_and_learns_to_rebuild() -> None:
    views, masks = tracks(n=60)
    model = make("autoencoder")
    before = model.encode(views, masks).recon_error.mean()
    history = training.fit(model, views, masks, Training(epochs=40, batch_size=16, learning_rate=0.02), seed=0)
    assert {epoch.kl for epoch in history.epochs} == {0.0} and history.kl_per_dim == []
    assert all(epoch.loss == epoch.reconstruction for epoch in history.epochs)
    assert model.encode(views, masks).recon_error.mean() < 0.5 * before


def test_a_cvae_is_given_the_class_in_encoder_and_decoder_and_does_not_rebuild_it() -> None:
    views, masks = tracks()
    model = trained("cvae", views, masks)
    other = views | {CONDITION: np.roll(views[CONDITION], 1, axis=1)}
    assert np.abs(model.encode(views, masks).mu - model.encode(other, masks).mu).max() > 1e-4
    z = torch.zeros(2, 4)
    recon = model.generative(z, {CONDITION: torch.eye(CLASSES)[:2]})  # type: ignore[attr-defined]
    assert set(recon) == {"fused"} and not torch.equal(recon["fused"][0], recon["fused"][1])


@pytest.mark.parametrize("kind", ["cvae", "late", "semi"])
def test_without_a_condition_among_the_views_it_is_refused(kind: str) -> None:
    with pytest.raises(TrainingError, match="needs view 'condition'; given: fused"):
        shelf.part("model", kind)(params(kind), {"fused": (24,)}, 0)
