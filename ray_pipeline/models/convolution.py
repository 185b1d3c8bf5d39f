"""A VAE of one-dimensional convolutions: each layer halves the length of the signal, the decoder doubles it back."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d, interpolate

from ray_pipeline.models.base import BaseVae, Posterior, Tensors, posterior, side_by_side, split
from ray_pipeline.models.contract import Shapes
from ray_pipeline.shelf import Params


class ConvVae(BaseVae):
    """Views side by side [batch, 1, length] → channels × places → mu and logvar, and back; any length will do."""

    _pool: Tensor
    _spread: Tensor

    def __init__(
        self,
        params: Params,
        shapes: Shapes,
        *,
        latent_dim: int,
        channels: tuple[int, ...],
        kernel_size: int,
        positions: int,
        dropout: float,
    ) -> None:
        super().__init__(params, shapes, beta=1.0)
        lengths = [sum(map(prod, shapes.values()))]
        for _ in channels:
            lengths.append((lengths[-1] + 1) // 2)
        flat = channels[-1] * positions
        self.encoder = _down((1, *channels), kernel_size, dropout)
        self.mu = nn.Linear(flat, latent_dim)
        self.logvar = nn.Linear(flat, latent_dim)
        self.start = nn.Sequential(
            nn.Linear(latent_dim, flat), nn.BatchNorm1d(flat), nn.ReLU(), nn.Unflatten(1, (channels[-1], positions))
        )
        self.decoder = _up((*reversed(channels), 1), lengths[::-1], kernel_size, dropout)
        # Adaptive pooling and its mirror as matrices: their products add up in one order, on a GPU too.
        pool = adaptive_avg_pool1d(torch.eye(lengths[-1])[None], positions)[0]
        spread = interpolate(torch.eye(positions)[None], size=lengths[-1])[0]
        self.register_buffer("_pool", pool, persistent=False)
        self.register_buffer("_spread", spread, persistent=False)

    def inference(self, views: Tensors, masks: Tensors) -> Posterior:
        signal = side_by_side(views, masks, sorted(self.shapes))[:, None]
        h = (self.encoder(signal) @ self._pool).flatten(1)
        return posterior(self.mu(h), self.logvar(h))

    def generative(self, z: Tensor, views: Tensors) -> Tensors:
        signal = self.decoder(self.start(z) @ self._spread)
        return split(signal.flatten(1), self.shapes)


def _down(channels: tuple[int, ...], kernel_size: int, dropout: float) -> nn.Sequential:
    """Convolutions of stride 2; length n becomes ⌈n / 2⌉."""
    stack: list[nn.Module] = []
    for before, after in pairwise(channels):
        stack.append(nn.Conv1d(before, after, kernel_size, stride=2, padding=kernel_size // 2))
        stack += [nn.BatchNorm1d(after), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*stack)


def _up(channels: tuple[int, ...], lengths: list[int], kernel_size: int, dropout: float) -> nn.Sequential:
    """Transposed convolutions of stride 2 through `lengths`; nothing follows the last, which gives the signal."""
    stack: list[nn.Module] = []
    for (before, after), (short, long) in zip(pairwise(channels), pairwise(lengths), strict=True):
        stack.append(
            nn.ConvTranspose1d(
                before,
                after,
                kernel_size,
                stride=2,
                padding=kernel_size // 2,
                output_padding=long - (2 * short - 1),
            )
        )
        stack += [nn.BatchNorm1d(after), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*stack[:-3])
