"""The VAE contract, after scvi-tools: `inference`, `generative`, `loss`; a variant gives the first two.

This module imports torch, so parts import it inside `build`. Loss follows Kingma & Welling, "Auto-Encoding Variational
Bayes" (2014), weighted by beta as in Higgins et al., "beta-VAE" (2017).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

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
    """q(z | x) of each track: mu and logvar, both float32 [batch, latent_dim]."""

    mu: Tensor
    logvar: Tensor

    def sample(self) -> Tensor:
        """z = mu + sigma * noise, from torch's current random state."""
        return self.mu + torch.exp(0.5 * self.logvar) * torch.randn_like(self.mu)

    def kl(self) -> Tensor:
        """KL(q || N(0, 1)) of each track and dimension, nats, [batch, latent_dim]."""
        return 0.5 * (self.mu.square() + self.logvar.exp() - 1.0 - self.logvar)


@dataclass(frozen=True)
class LossOutput:
    """loss = reconstruction + beta * kl. Scalars are means over tracks; kl_per_dim is [latent_dim]."""

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
    """Loss, encoding and state of every variant; a subclass gives `inference` and `generative`."""

    def __init__(self, params: Params, shapes: Shapes, beta: float) -> None:
        super().__init__()
        self.params = params
        self.shapes = dict(shapes)
        self.beta = beta

    @abstractmethod
    def inference(self, views: Tensors, masks: Tensors) -> Posterior:
        """Views -> posterior."""

    @abstractmethod
    def generative(self, z: Tensor) -> Tensors:
        """z [batch, latent_dim] -> one reconstruction a view, of the view's shape, float32."""

    def forward(self, views: Tensors, masks: Tensors) -> LossOutput:
        """One training step's loss: infer, sample, generate, compare."""
        posterior = self.inference(views, masks)
        return self.loss(views, masks, Output(posterior, self.generative(posterior.sample())))

    def loss(self, views: Tensors, masks: Tensors, out: Output) -> LossOutput:
        """Squared errors summed over the values present, plus beta times the KL summed over dimensions."""
        reconstruction = squared_error(views, masks, out.reconstruction).mean()
        kl_per_dim = out.posterior.kl().mean(dim=0)
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
        parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        for start in range(0, n, _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            x = {name: torch.from_numpy(np.array(views[name][rows])).to(device) for name in self.shapes}
            m = {
                name: torch.from_numpy(np.array(masks[name][rows])).to(device) for name in self.shapes if name in masks
            }
            posterior = self.inference(x, m)
            error = squared_error(x, m, self.generative(posterior.mu))
            parts.append((posterior.mu, posterior.logvar, error, posterior.kl()))
        mu, logvar, error, kl = (torch.cat(column).cpu() for column in zip(*parts, strict=True))
        return Latents(mu.numpy(), logvar.numpy(), error.numpy(), kl.mean(dim=0).numpy())

    def state(self) -> State:
        return {name: np.array(tensor.detach().cpu().numpy()) for name, tensor in self.state_dict().items()}

    def load_state(self, state: State) -> None:
        """Take over saved tensors; TrainingError names what does not fit, and nothing is taken over then."""
        contract.check_state({name: (array.shape, array.dtype) for name, array in self.state().items()}, state)
        self.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in state.items()})


def posterior(mu: Tensor, logvar: Tensor) -> Posterior:
    """A float32 posterior from what an encoder gives, in whatever precision it ran."""
    return Posterior(mu.float(), logvar.float().clamp(-_LOGVAR_LIMIT, _LOGVAR_LIMIT))


def squared_error(views: Tensors, masks: Tensors, reconstruction: Tensors) -> Tensor:
    """Sum of squared errors of each track over all views' present values, [batch]."""
    total = []
    for name, recon in reconstruction.items():
        error = (recon - views[name].float()).square()
        total.append((error * present(masks, name, error)).flatten(1).sum(dim=1))
    return torch.stack(total).sum(dim=0)


def present(masks: Tensors, name: str, like: Tensor) -> Tensor:
    """The mask of a view, shaped to multiply `like` [batch, …]; 1 where the view has no mask."""
    if name not in masks:
        return torch.ones((), dtype=like.dtype, device=like.device)
    mask = masks[name]
    return mask.reshape(mask.shape + (1,) * (like.ndim - mask.ndim)).to(like.dtype)
