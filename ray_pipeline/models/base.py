"""The VAE contract, after scvi-tools: `inference`, `generative`, `loss`; a variant gives the first two.

This module imports torch, so parts import it inside `build`. Loss follows Kingma & Welling, "Auto-Encoding Variational
Bayes" (2014), weighted by beta as in Higgins et al., "beta-VAE" (2017).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from ray_pipeline.models import contract
from ray_pipeline.models.contract import Latents, Shapes, State
from ray_pipeline.shelf import Params

_ROWS_AT_ONCE = 4096
# exp() of more overflows half precision's successors and of less is 0; no useful posterior lies outside.
_LOGVAR_LIMIT = 20.0

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Posterior:
    """q(z | x) of each track: mu and logvar, both float32 [batch, latent_dim]; without logvar, the point mu."""

    mu: Tensor
    logvar: Tensor | None

    def sample(self) -> Tensor:
        """z = mu + sigma * noise, from torch's current random state; mu itself where it is a point."""
        if self.logvar is None:
            return self.mu
        return self.mu + torch.exp(0.5 * self.logvar) * torch.randn_like(self.mu)

    def kl(self) -> Tensor:
        """KL(q || N(0, 1)) of each track and dimension, nats, [batch, latent_dim]; [batch, 0] of points."""
        if self.logvar is None:
            return self.mu[:, :0]
        return 0.5 * (self.mu.square() + self.logvar.exp() - 1.0 - self.logvar)


@dataclass(frozen=True)
class LossOutput:
    """loss = reconstruction + beta * kl + the terms in `extra`. Scalars are means over tracks; kl_per_dim is [latent_dim]."""

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor
    kl_per_dim: Tensor
    extra: Tensors = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    """What `loss` compares with the views: the posterior, and one reconstruction a view."""

    posterior: Posterior
    reconstruction: Tensors


class BaseVae(nn.Module, ABC):
    """Loss, encoding and state of every variant; a subclass gives `inference` and `generative`.

    Every parameter has a part in every loss, if only by a factor of 0: several workers wait for each gradient, and a
    checkpoint holds the optimizer's state of each.
    """

    def __init__(self, params: Params, shapes: Shapes, beta: float) -> None:
        super().__init__()
        self.params = params
        self.shapes = dict(shapes)
        self.beta = beta
        # By how much the loss weighs a view's squared errors, where that is not by 1.
        self.scales: dict[str, float] = {}

    @abstractmethod
    def inference(self, views: Tensors, masks: Tensors) -> Posterior:
        """Views -> posterior."""

    @abstractmethod
    def generative(self, z: Tensor, views: Tensors) -> Tensors:
        """z [batch, latent_dim] -> one reconstruction a view, of the view's shape, float32.

        Of `views` only those may be read that the model is given and does not rebuild.
        """

    def forward(self, views: Tensors, masks: Tensors) -> LossOutput:
        """One training step's loss: infer, sample, generate, compare."""
        posterior = self.inference(views, masks)
        return self.loss(views, masks, Output(posterior, self.generative(posterior.sample(), views)))

    def kl(self, posterior: Posterior) -> Tensor:
        """KL of each track and dimension to the prior, here N(0, 1), nats: [batch, latent_dim]."""
        return posterior.kl()

    def loss(self, views: Tensors, masks: Tensors, out: Output) -> LossOutput:
        """Squared errors summed over the values present, plus beta times the KL summed over dimensions."""
        reconstruction = squared_error(views, masks, out.reconstruction, self.scales).mean()
        kl_per_dim = self.kl(out.posterior).mean(dim=0)
        kl = kl_per_dim.sum()
        return LossOutput(reconstruction + self.beta * kl, reconstruction, kl, kl_per_dim)

    @property
    def n_parameters(self) -> int:
        """Trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    @torch.inference_mode()
    def encode(self, views: contract.Views, masks: contract.Masks) -> Latents:
        """Latents of each track: mu, nothing sampled, BatchNorm and dropout as after training."""
        for name, shape in self.shapes.items():
            contract.check_view(views, name, shape)
        self.eval()
        device = next(self.parameters()).device
        n = len(next(iter(views.values())))
        found: list[Posterior] = []
        kls: list[Tensor] = []
        errors: list[Tensor] = []
        for start in range(0, n, _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            x = {name: torch.from_numpy(np.array(views[name][rows])).to(device) for name in self.shapes}
            m = {
                name: torch.from_numpy(np.array(masks[name][rows])).to(device) for name in self.shapes if name in masks
            }
            posterior = self.inference(x, m)
            found.append(posterior)
            kls.append(self.kl(posterior))
            errors.append(squared_error(x, m, self.generative(posterior.mu, x), self.scales))
        return _latents(found, kls, errors)

    def state(self) -> State:
        return {name: np.array(tensor.detach().cpu().numpy()) for name, tensor in self.state_dict().items()}

    def load_state(self, state: State) -> None:
        """Take over saved tensors; TrainingError names what does not fit, and nothing is taken over then."""
        contract.check_state({name: (array.shape, array.dtype) for name, array in self.state().items()}, state)
        self.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in state.items()})


def _latents(found: list[Posterior], kls: list[Tensor], errors: list[Tensor]) -> Latents:
    """Batches of posteriors, of their KL [batch, latent_dim] and of squared errors [batch] as what is known of all."""
    mu, error = (torch.cat(parts).cpu().numpy() for parts in ([p.mu for p in found], errors))
    spreads = [p.logvar for p in found if p.logvar is not None]
    if not spreads:
        return Latents(mu, None, error, None)
    return Latents(mu, torch.cat(spreads).cpu().numpy(), error, torch.cat(kls).mean(dim=0).cpu().numpy())


@contextmanager
def drawn_by(seed: int) -> Iterator[None]:
    """Within it weights are drawn by `seed`; torch's own random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def posterior(mu: Tensor, logvar: Tensor) -> Posterior:
    """A float32 posterior from what an encoder gives, in whatever precision it ran."""
    return Posterior(mu.float(), logvar.float().clamp(-_LOGVAR_LIMIT, _LOGVAR_LIMIT))


def side_by_side(views: Tensors, masks: Tensors, names: Sequence[str]) -> Tensor:
    """The views `names` as one row a track, missing values 0: float32 [batch, dim]."""
    floats = {name: views[name].float() for name in names}
    return torch.cat([(x * present(masks, name, x)).flatten(1) for name, x in floats.items()], dim=1)


def split(rows: Tensor, shapes: Shapes) -> Tensors:
    """Rows [batch, dim] back as views of `shapes`, in order of name, float32."""
    names = sorted(shapes)
    parts = rows.float().split([prod(shapes[name]) for name in names], dim=1)
    return {name: part.unflatten(1, shapes[name]) for name, part in zip(names, parts, strict=True)}


def squared_error(
    views: Tensors, masks: Tensors, reconstruction: Tensors, scales: Mapping[str, float] | None = None
) -> Tensor:
    """Sum of squared errors of each track over all views' present values, each view's by its scale, [batch]."""
    return torch.stack(list(squared_errors(views, masks, reconstruction, scales).values())).sum(dim=0)


def squared_errors(
    views: Tensors, masks: Tensors, reconstruction: Tensors, scales: Mapping[str, float] | None = None
) -> Tensors:
    """Sum of squared errors of each track over the present values of each view, by its scale, name -> [batch]."""
    scales, found = scales or {}, {}
    for name, recon in reconstruction.items():
        error = (recon - views[name].float()).square()
        found[name] = (error * present(masks, name, error)).flatten(1).sum(dim=1) * scales.get(name, 1.0)
    return found


def present(masks: Tensors, name: str, like: Tensor) -> Tensor:
    """The mask of a view, shaped to multiply `like` [batch, …]; 1 where the view has no mask."""
    if name not in masks:
        return torch.ones((), dtype=like.dtype, device=like.device)
    mask = masks[name]
    return mask.reshape(mask.shape + (1,) * (like.ndim - mask.ndim)).to(like.dtype)
