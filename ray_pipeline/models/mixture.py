"""A VAE with a mixture of Gaussians as its prior, begun as an autoencoder."""

from __future__ import annotations

import warnings
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ray_pipeline.models.base import LossOutput, Output, Posterior, Tensors, squared_error
from ray_pipeline.models.contract import Shapes
from ray_pipeline.models.mlp import MlpVae
from ray_pipeline.shelf import Params

REMEMBERED = 2048
"""Tracks, at most, to whose latents the mixture is first fitted."""

# Added to the variances of the first fit, as a share of the latents' own: a component of one track must not be a needle.
_VARIANCE_FLOOR = 1e-2
_SMALLEST_WEIGHT = 1e-6


class MixtureVae(MlpVae):
    """p(c) = softmax(logits), p(z|c) = N(means[c], exp(logvars[c])); all components are N(0, 1) until they are fitted."""

    epoch: Tensor
    remembered: Tensor
    n_remembered: Tensor

    def __init__(
        self,
        params: Params,
        shapes: Shapes,
        *,
        latent_dim: int,
        hidden: tuple[int, ...],
        dropout: float,
        n_components: int,
        pretrain_epochs: int,
        seed: int,
    ) -> None:
        super().__init__(params, shapes, latent_dim=latent_dim, hidden=hidden, dropout=dropout, beta=1.0, point=False)
        self.logits = nn.Parameter(torch.zeros(n_components))
        self.means = nn.Parameter(torch.zeros(n_components, latent_dim))
        self.logvars = nn.Parameter(torch.zeros(n_components, latent_dim))
        self.pretrain_epochs = pretrain_epochs
        self.seed = seed
        self.pretraining = False
        self._due = False
        # In the state, so that a resumed training goes on as it would have.
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))
        self.register_buffer("remembered", torch.zeros(REMEMBERED, latent_dim))
        self.register_buffer("n_remembered", torch.zeros((), dtype=torch.int64))

    def train(self, mode: bool = True) -> Self:
        """As ever; the trainer calls it as each epoch begins, and so epochs are counted."""
        if mode:
            self.epoch += 1
            self.pretraining = int(self.epoch) <= self.pretrain_epochs
            self._due = int(self.epoch) == self.pretrain_epochs + 1
            if self.pretraining:
                self.n_remembered.zero_()
        return super().train(mode)

    def forward(self, views: Tensors, masks: Tensors) -> LossOutput:
        """The loss of a VaDE or, while that is trained first, of an autoencoder."""
        if self._due:
            # Here and not as the epoch begins: only now do all workers remember the same latents.
            self._fit_mixture()
        if not self.pretraining:
            return super().forward(views, masks)
        posterior = self.inference(views, masks)
        self._remember(posterior.mu.detach())
        return self.loss(views, masks, Output(posterior, self.generative(posterior.mu, views)))

    def loss(self, views: Tensors, masks: Tensors, out: Output) -> LossOutput:
        """Squared errors plus the KL to the mixture, which while the autoencoder is trained is told but has no weight."""
        reconstruction = squared_error(views, masks, out.reconstruction).mean()
        per_dim, of_class = self.kl_parts(out.posterior)
        kl_per_dim = per_dim.mean(dim=0)
        kl = kl_per_dim.sum() + of_class.mean()
        return LossOutput(
            reconstruction + (0.0 if self.pretraining else self.beta) * kl, reconstruction, kl, kl_per_dim
        )

    def kl(self, posterior: Posterior) -> Tensor:
        return self.kl_parts(posterior)[0]

    def kl_parts(self, posterior: Posterior) -> tuple[Tensor, Tensor]:
        """KL(q(z, c | x) || p(z, c)), nats: by dimension [batch, latent_dim], and what is left for the class, [batch].

        With responsibilities r: the mean by r of KL(q(z|x) || p(z|c)), which is a sum over dimensions, and KL(r || p(c)).
        Together they are −log Σ p(c) exp(−KL(q(z|x) || p(z|c))), and no less than the KL to the mixture itself.
        """
        to_each = self._kl_to_components(posterior)
        log_r = self._log_responsibilities(to_each)
        r = log_r.exp()
        of_class = (r * (log_r - torch.log_softmax(self.logits, dim=0))).sum(dim=1)
        return (r[:, :, None] * to_each).sum(dim=1), of_class

    def responsibilities(self, posterior: Posterior) -> Tensor:
        """q(c|x), the share of each component in each track: [batch, n_components]."""
        return self._log_responsibilities(self._kl_to_components(posterior)).exp()

    def _kl_to_components(self, posterior: Posterior) -> Tensor:
        """KL(q(z|x) || p(z|c)) by dimension: [batch, n_components, latent_dim]."""
        if posterior.logvar is None:
            raise TypeError("a point has no KL to a mixture")
        mu, logvar = posterior.mu[:, None], posterior.logvar[:, None]
        apart = (logvar.exp() + (mu - self.means).square()) / self.logvars.exp()
        return 0.5 * (self.logvars - logvar + apart - 1.0)

    def _log_responsibilities(self, to_each: Tensor) -> Tensor:
        return torch.log_softmax(torch.log_softmax(self.logits, dim=0) - to_each.sum(dim=2), dim=1)

    def _remember(self, mu: Tensor) -> None:
        """Keep the latents of the tracks that came last in this epoch, at the end of `remembered`."""
        self.remembered.copy_(torch.cat([self.remembered, mu])[-REMEMBERED:])
        self.n_remembered.add_(len(mu)).clamp_(max=REMEMBERED)

    @torch.no_grad()
    def _fit_mixture(self) -> None:
        self._due = False
        rows = self.remembered[REMEMBERED - int(self.n_remembered) :].cpu().numpy().astype(np.float64)
        weights, means, variances = _fitted(rows, len(self.logits), self.seed)
        for parameter, values in (
            (self.logits, np.log(np.maximum(weights, _SMALLEST_WEIGHT))),
            (self.means, means),
            (self.logvars, np.log(variances)),
        ):
            parameter.copy_(torch.from_numpy(values))


def _fitted(
    rows: NDArray[np.float64], n_components: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weights [k], means and variances [k, dim] of a Gaussian mixture with k = n_components over `rows` [n, dim]."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    floor = max(_VARIANCE_FLOOR * rows.var(axis=0).mean(), np.finfo(np.float32).eps)
    # Fewer rows than components are taken several times over, for then some components are the same.
    enough = np.tile(rows, (-(-n_components // len(rows)), 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = GaussianMixture(n_components, covariance_type="diag", reg_covar=floor, random_state=seed).fit(enough)
    return found.weights_, found.means_, found.covariances_
