"""The mixture prior: its KL against Monte Carlo and the plain VAE's, how it begins, and what it says of clusters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from threads import one_thread
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from ray_pipeline import shelf, training
from ray_pipeline.config import Training
from ray_pipeline.models.base import Posterior
from ray_pipeline.models.mixture import REMEMBERED, MixtureVae

__all__ = ["one_thread"]

DRAWS = 200_000


def make(k: int = 3, latent_dim: int = 2, pretrain_epochs: int = 5, dim: int = 10, seed: int = 0) -> MixtureVae:
    params = shelf.params_of("model", "vade")(
        latent_dim=latent_dim, hidden=(32,), n_components=k, pretrain_epochs=pretrain_epochs
    )
    model: MixtureVae = shelf.part("model", "vade")(params, {"fused": (dim,)}, seed)
    return model


@torch.no_grad()
def with_mixture(k: int = 3, latent_dim: int = 2) -> MixtureVae:
    """One whose mixture lies anywhere."""
    model = make(k, latent_dim)
    drawn = torch.Generator().manual_seed(0)
    for parameter in (model.logits, model.means, model.logvars):
        parameter.copy_(torch.randn(parameter.shape, generator=drawn))
    return model


def posteriors(n: int = 4, latent_dim: int = 2) -> Posterior:
    drawn = torch.Generator().manual_seed(1)
    mu, logvar = torch.randn(2, n, latent_dim, generator=drawn)
    return Posterior(mu, 0.5 * logvar - 1)


def total(model: MixtureVae, posterior: Posterior) -> torch.Tensor:
    per_dim, of_class = model.kl_parts(posterior)
    return per_dim.sum(dim=1) + of_class


def sampled(posterior: Posterior) -> tuple[torch.Tensor, torch.Tensor]:
    """Draws z [draws, n, latent_dim] and log q(z|x) [draws, n]."""
    assert posterior.logvar is not None
    q = Independent(Normal(posterior.mu, torch.exp(0.5 * posterior.logvar)), 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        z = q.sample((DRAWS,))
    return z, q.log_prob(z)


@torch.no_grad()
def test_kl_in_closed_form_is_that_of_monte_carlo() -> None:
    """KL(q(z|x) q(c|x) || p(z|c) p(c)), by draws of z and the sum over c."""
    model, posterior = with_mixture(), posteriors()
    z, log_q = sampled(posterior)
    r = model.responsibilities(posterior)
    log_p = Normal(model.means, torch.exp(0.5 * model.logvars)).log_prob(z[:, :, None]).sum(dim=3)
    inside = log_q[:, :, None] + r.log() - log_p - torch.log_softmax(model.logits, dim=0)
    torch.testing.assert_close(total(model, posterior), (r * inside).sum(dim=2).mean(dim=0), rtol=0.02, atol=0.01)


@torch.no_grad()
def test_kl_is_no_less_than_that_to_the_mixture_itself() -> None:
    model, posterior = with_mixture(), posteriors()
    z, log_q = sampled(posterior)
    parts = Independent(Normal(model.means, torch.exp(0.5 * model.logvars)), 1)
    mixture = MixtureSameFamily(Categorical(logits=model.logits), parts)
    exact = (log_q - mixture.log_prob(z)).mean(dim=0)
    assert (total(model, posterior) > exact - 0.01).all()


@torch.no_grad()
def test_the_responsibilities_make_the_kl_as_small_as_can_be() -> None:
    model, posterior = with_mixture(), posteriors()
    to_each = model._kl_to_components(posterior).sum(dim=2)
    log_weights = torch.log_softmax(model.logits, dim=0)
    smallest = -torch.logsumexp(log_weights - to_each, dim=1)
    torch.testing.assert_close(total(model, posterior), smallest)
    torch.testing.assert_close(model.responsibilities(posterior).sum(dim=1), torch.ones(4))


@pytest.mark.parametrize("k", [1, 4])
@torch.no_grad()
def test_before_it_is_fitted_the_prior_is_the_plain_vaes(k: int) -> None:
    model, posterior = make(k), posteriors()
    torch.testing.assert_close(model.kl(posterior), posterior.kl())
    torch.testing.assert_close(total(model, posterior), posterior.kl().sum(dim=1))


def groups(n: int = 150, dim: int = 10) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    group = np.arange(n) % 3
    x = rng.normal(size=(n, dim)) + 5 * rng.normal(size=(3, dim))[group]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return {"fused": x.astype(np.float32)}, group


def test_its_components_are_the_groups_that_there_are() -> None:
    from sklearn.metrics import adjusted_rand_score

    views, group = groups()
    model = make(pretrain_epochs=20)
    training.fit(model, views, {}, Training(epochs=40, batch_size=50, learning_rate=5e-3), seed=0)
    with torch.no_grad():
        r = model.responsibilities(model.inference({"fused": torch.from_numpy(views["fused"])}, {}))
    assert adjusted_rand_score(group, r.argmax(dim=1).numpy()) > 0.9
    assert torch.pdist(model.means).min() > 1


def test_it_is_first_an_autoencoder_and_then_a_vade() -> None:
    views, _ = groups()
    history = training.fit(make(), views, {}, Training(epochs=8, batch_size=50), seed=0)
    apart = [abs(epoch.loss - epoch.reconstruction) > 1e-3 for epoch in history.epochs]
    assert apart == [False] * 5 + [True] * 3


def test_the_mixture_begins_where_the_latents_are() -> None:
    views, _ = groups()
    model = make()
    training.fit(model, views, {}, Training(epochs=5, batch_size=50), seed=0)
    assert not model.means.any() and int(model.n_remembered) == 150
    remembered = model.remembered[-150:].numpy()
    training.fit(model, views, {}, Training(epochs=1, batch_size=150, learning_rate=1e-9), seed=1)
    means, weights = model.means.detach().numpy(), torch.softmax(model.logits.detach(), dim=0).numpy()
    np.testing.assert_allclose(weights @ means, remembered.mean(axis=0), atol=0.05)


def test_no_more_is_remembered_than_there_is_room_for_and_the_last_come_first() -> None:
    model = make()
    rows = torch.arange(REMEMBERED + 10.0)[:, None].expand(-1, 2)
    model._remember(rows[: REMEMBERED - 5])
    model._remember(rows[REMEMBERED - 5 :])
    assert int(model.n_remembered) == REMEMBERED
    assert torch.equal(model.remembered, rows[10:])


def test_training_can_stop_between_its_two_halves(tmp_path: Path) -> None:
    views, _ = groups()
    straight, first, second = make(), make(), make()
    training.fit(straight, views, {}, Training(epochs=8, batch_size=50), seed=3)
    training.fit(first, views, {}, Training(epochs=5, batch_size=50), seed=3, checkpoint=tmp_path)
    training.fit(second, views, {}, Training(epochs=8, batch_size=50), seed=3, checkpoint=tmp_path)
    assert {k: x.tobytes() for k, x in second.state().items()} == {k: x.tobytes() for k, x in straight.state().items()}
    assert second.means.detach().abs().max() > 0


def test_fewer_tracks_than_components_will_do() -> None:
    views, _ = groups(2)
    model = make(k=8)
    history = training.fit(model, views, {}, Training(epochs=8, batch_size=50), seed=0)
    assert history.status == "ok" and np.isfinite(model.encode(views, {}).mu).all()
