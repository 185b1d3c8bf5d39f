"""Models of several views: what a missing view does to the others, and what each view has to do by itself."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from threads import one_thread

from ray_pipeline import evaluation, shelf, training
from ray_pipeline.collection import Collection
from ray_pipeline.config import Training
from ray_pipeline.models.base import Output, Tensors
from ray_pipeline.models.experts import PoeVae
from ray_pipeline.models.weighing import AttentionVae

__all__ = ["one_thread"]

SHAPES = {"log_mel": (4, 5), "lyrics": (6,), "mfcc": (8,)}
NAMES = sorted(SHAPES)


def poe(seed: int = 0, **settings: object) -> PoeVae:
    params = shelf.params_of("model", "poe")(latent_dim=4, hidden=(16, 8), **settings)
    model: PoeVae = shelf.part("model", "poe")(params, SHAPES, seed)
    return model


def attention(seed: int = 0) -> AttentionVae:
    params = shelf.params_of("model", "attention")(latent_dim=4, hidden=(16, 8))
    model: AttentionVae = shelf.part("model", "attention")(params, SHAPES, seed)
    return model


def tracks(n: int = 12, seed: int = 0) -> Tensors:
    rng = np.random.default_rng(seed)
    return {name: torch.from_numpy(rng.normal(size=(n, *shape)).astype(np.float32)) for name, shape in SHAPES.items()}


def without(*names: str, n: int = 12) -> Tensors:
    return {name: torch.full((n,), name not in names) for name in SHAPES}


def test_a_missing_view_leaves_the_product_of_the_other_experts_exactly() -> None:
    model, views = poe().eval(), tracks()
    whole = model.experts(views, without())
    chosen = torch.tensor([name != "lyrics" for name in NAMES]).float().expand(12, 3)
    expected, found = whole.product(chosen), model.inference(views, without("lyrics"))
    assert torch.equal(found.mu, expected.mu)
    assert found.logvar is not None and expected.logvar is not None and torch.equal(found.logvar, expected.logvar)
    assert not torch.equal(found.mu, model.inference(views, without()).mu)


def test_the_product_is_that_of_gaussians() -> None:
    """Precisions add up, the prior's among them, and means are weighed by precision."""
    model, views = poe().eval(), tracks()
    experts, found = model.experts(views, without()), model.inference(views, without())
    precision = 1 + experts.precision.sum(dim=1)
    assert found.logvar is not None
    torch.testing.assert_close(torch.exp(-found.logvar), precision)
    torch.testing.assert_close(found.mu, (experts.mu * experts.precision).sum(dim=1) / precision)


def test_a_track_with_no_view_at_all_has_the_priors_posterior() -> None:
    found = poe().eval().inference(tracks(), without(*NAMES))
    assert found.logvar is not None and not found.mu.any() and not found.logvar.any()


def test_every_further_view_makes_the_posterior_narrower() -> None:
    model, views = poe().eval(), tracks()
    spreads = [model.inference(views, without(*NAMES[k:])).logvar for k in range(4)]
    for wide, narrow in pairwise(spreads):
        assert wide is not None and narrow is not None and (narrow < wide).all()


def test_each_view_alone_and_random_choices_are_trained_too() -> None:
    found = [poe(subsets=k)(tracks(), {}) for k in (0, 5)]
    assert [set(out.extra) for out in found] == [{"subsets"}] * 2
    few, many = (out.extra["subsets"].item() for out in found)
    assert few > 0 and many > 1.5 * few


def test_of_one_view_there_are_no_subsets() -> None:
    params = shelf.params_of("model", "poe")(latent_dim=4, hidden=(8,))
    model = shelf.part("model", "poe")(params, {"fused": (6,)}, 0)
    assert model({"fused": torch.randn(5, 6)}, {}).extra == {}


def test_one_view_learns_to_tell_of_another() -> None:
    """Both views show the same group; a track known by one of them is rebuilt in the other."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 80)
    sign = np.where(group, 2.0, -2.0)[:, None]
    views = {
        name: (sign + 0.3 * rng.normal(size=(80, width))).astype(np.float32) for name, width in (("a", 6), ("b", 6))
    }
    params = shelf.params_of("model", "poe")(latent_dim=2, hidden=(16,))
    model = shelf.part("model", "poe")(params, {"a": (6,), "b": (6,)}, 0)
    training.fit(model, views, {}, Training(epochs=60, batch_size=32, learning_rate=0.01, lr_step=60), seed=0)
    latents = model.encode(views, {"a": np.ones(80, np.bool_), "b": np.zeros(80, np.bool_)})
    rebuilt = model.generative(torch.from_numpy(latents.mu), {})["b"].detach().numpy().mean(axis=1)
    assert ((rebuilt > 0) == (group == 1)).mean() > 0.95


def test_attention_adds_up_to_one_over_the_views_there_are() -> None:
    model, views = attention().eval(), tracks()
    masks = without()
    masks["lyrics"][::2] = False
    weights = model.attention(views, masks)
    assert weights.shape == (12, 3) and (weights[::2, NAMES.index("lyrics")] == 0).all()
    assert (weights[1::2] > 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(12))


def test_attention_is_all_on_the_only_view_and_on_none_where_there_is_none() -> None:
    model, views = attention().eval(), tracks()
    assert torch.equal(model.attention(views, without("lyrics", "log_mel")), torch.tensor([[0.0, 0, 1]]).expand(12, 3))
    assert not model.attention(views, without(*NAMES)).any()
    assert torch.isfinite(model.inference(views, without(*NAMES)).mu).all()


def test_attention_turns_to_the_view_that_tells_something() -> None:
    """One view is the same few directions for all its values, the other noise that nothing can rebuild."""
    rng = np.random.default_rng(0)
    told = rng.normal(size=(120, 2)) @ rng.normal(size=(2, 12)) * 2
    views = {"noise": rng.normal(size=(120, 12)).astype(np.float32), "told": told.astype(np.float32)}
    params = shelf.params_of("model", "attention")(latent_dim=2, hidden=(16,))
    model = shelf.part("model", "attention")(params, {"noise": (12,), "told": (12,)}, 0)
    training.fit(model, views, {}, Training(epochs=80, batch_size=32, learning_rate=0.01, lr_step=80), seed=0)
    weights = model.attention({name: torch.from_numpy(x) for name, x in views.items()}, {}).mean(dim=0)
    assert weights[1] > 0.7


@pytest.mark.parametrize(("balance", "ratio"), [(True, 1.0), (False, 20 / 6)])
def test_balance_lets_views_count_alike_however_many_values_they_have(balance: bool, ratio: float) -> None:
    views = {name: torch.ones(5, *shape) for name, shape in SHAPES.items()}
    model = poe(balance=balance)
    out = Output(model.inference(views, {}), {name: torch.zeros_like(x) for name, x in views.items()})
    errors = [
        model.loss_of(views, {}, out, torch.tensor([name == one for one in NAMES]).float().expand(5, 3)).reconstruction
        for name in ("log_mel", "lyrics")
    ]
    assert (errors[0] / errors[1]).item() == pytest.approx(ratio)


@pytest.mark.parametrize("balance", [True, False])
def test_collapse_is_judged_by_the_errors_that_the_model_was_trained_on(balance: bool) -> None:
    """A view of many values would else decide it, though the loss hardly looked at it."""
    model, views = poe(balance=balance), {name: x.numpy() for name, x in tracks().items()}
    masks = {name: np.ones(12, np.bool_) for name in SHAPES}
    fusion = shelf.part("fusion", "none")(shelf.params_of("fusion", "none")())
    fusion.fit(views, masks)
    seen, there = fusion.transform(views, masks)
    ids = [str(i) for i in range(12)]
    matrix, _ = evaluation._rebuilt(Collection(ids, ids, views, masks), evaluation.Fitted(model, fusion, {}))
    sums = {name: (seen[name] ** 2).reshape(12, -1).sum(axis=1) for name in SHAPES}
    weights = {"log_mel": 6 / 20, "lyrics": 1.0, "mfcc": 6 / 8} if balance else dict.fromkeys(SHAPES, 1.0)
    assert (matrix**2).sum(axis=1) == pytest.approx(sum(weights[name] * sums[name] for name in SHAPES), rel=1e-4)
    for decoder in model.decoders:
        for parameter in decoder.parameters():
            torch.nn.init.zeros_(parameter)
    assert model.encode(seen, there).recon_error == pytest.approx((matrix**2).sum(axis=1), rel=1e-4)
