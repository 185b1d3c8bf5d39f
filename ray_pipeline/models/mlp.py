"""The study's fully connected VAE: Linear, BatchNorm, ReLU, dropout a layer; the decoder mirrors the encoder."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from ray_pipeline.models.base import BaseVae, Posterior, Tensors, posterior, present
from ray_pipeline.models.contract import Shapes
from ray_pipeline.shelf import Params


class MlpVae(BaseVae):
    """Views laid side by side, in order of name -> hidden layers -> mu and logvar, and back."""

    def __init__(
        self, params: Params, shapes: Shapes, *, latent_dim: int, hidden: tuple[int, ...], dropout: float, beta: float
    ) -> None:
        super().__init__(params, shapes, beta)
        self._sizes = {name: prod(shapes[name]) for name in sorted(shapes)}
        dim = sum(self._sizes.values())
        self.encoder = layers((dim, *hidden), dropout)
        self.mu = nn.Linear(hidden[-1], latent_dim)
        self.logvar = nn.Linear(hidden[-1], latent_dim)
        self.decoder = layers((latent_dim, *reversed(hidden)), dropout)
        self.output = nn.Linear(hidden[0], dim)

    def inference(self, views: Tensors, masks: Tensors) -> Posterior:
        rows = []
        for name in self._sizes:
            x = views[name].float()
            rows.append((x * present(masks, name, x)).flatten(1))
        h = self.encoder(torch.cat(rows, dim=1))
        return posterior(self.mu(h), self.logvar(h))

    def generative(self, z: Tensor) -> Tensors:
        parts = self.output(self.decoder(z)).float().split(list(self._sizes.values()), dim=1)
        return {name: part.unflatten(1, self.shapes[name]) for name, part in zip(self._sizes, parts, strict=True)}


def layers(sizes: tuple[int, ...], dropout: float) -> nn.Sequential:
    """Hidden layers between consecutive `sizes`."""
    stack: list[nn.Module] = []
    for before, after in pairwise(sizes):
        stack += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
        stack += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*stack)


def build_mlp(
    params: Params, shapes: Shapes, seed: int, *, latent_dim: int, hidden: tuple[int, ...], dropout: float, beta: float
) -> MlpVae:
    """An MlpVae with weights drawn by `seed`; torch's own random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MlpVae(params, shapes, latent_dim=latent_dim, hidden=hidden, dropout=dropout, beta=beta)
