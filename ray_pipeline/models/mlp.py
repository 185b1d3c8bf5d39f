"""The study's fully connected VAE: Linear, BatchNorm, ReLU, dropout a layer; the decoder mirrors the encoder."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from ray_pipeline.models.base import BaseVae, Posterior, Tensors, drawn_by, posterior, side_by_side, split
from ray_pipeline.models.condition import CONDITION
from ray_pipeline.models.contract import Shapes
from ray_pipeline.shelf import Params


class MlpVae(BaseVae):
    """Views laid side by side, in order of name -> hidden layers -> mu and logvar, and back.

    A view `condition` is given to encoder and decoder beside the rest, and not rebuilt. With `point` there is no logvar:
    a plain autoencoder.
    """

    def __init__(
        self,
        params: Params,
        shapes: Shapes,
        *,
        latent_dim: int,
        hidden: tuple[int, ...],
        dropout: float,
        beta: float,
        point: bool,
    ) -> None:
        super().__init__(params, shapes, beta)
        self._rebuilt = {name: shape for name, shape in shapes.items() if name != CONDITION}
        # Views are laid out in order of name, and what is given comes last.
        self._given = [CONDITION] if CONDITION in shapes else []
        dim = sum(map(prod, self._rebuilt.values()))
        given = sum(prod(shapes[name]) for name in self._given)
        self.encoder = layers((dim + given, *hidden), dropout)
        self.mu = nn.Linear(hidden[-1], latent_dim)
        self.logvar = None if point else nn.Linear(hidden[-1], latent_dim)
        self.decoder = layers((latent_dim + given, *reversed(hidden)), dropout)
        self.output = nn.Linear(hidden[0], dim)

    def inference(self, views: Tensors, masks: Tensors) -> Posterior:
        h = self.encoder(side_by_side(views, masks, [*sorted(self._rebuilt), *self._given]))
        if self.logvar is None:
            return Posterior(self.mu(h).float(), None)
        return posterior(self.mu(h), self.logvar(h))

    def generative(self, z: Tensor, views: Tensors) -> Tensors:
        start = torch.cat([z, *(views[name].float() for name in self._given)], dim=1)
        return split(self.output(self.decoder(start)), self._rebuilt)


def layers(sizes: tuple[int, ...], dropout: float) -> nn.Sequential:
    """Hidden layers between consecutive `sizes`."""
    stack: list[nn.Module] = []
    for before, after in pairwise(sizes):
        stack += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
        stack += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*stack)


def build_mlp(
    params: Params,
    shapes: Shapes,
    seed: int,
    *,
    latent_dim: int,
    hidden: tuple[int, ...],
    dropout: float,
    beta: float,
    point: bool = False,
) -> MlpVae:
    """An MlpVae with weights drawn by `seed`; torch's own random state is left as it was."""
    with drawn_by(seed):
        return MlpVae(params, shapes, latent_dim=latent_dim, hidden=hidden, dropout=dropout, beta=beta, point=point)
