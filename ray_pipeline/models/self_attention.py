"""A VAE of transformer layers over frames."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ray_pipeline.models.base import Posterior, Tensors, posterior
from ray_pipeline.models.contract import Shapes
from ray_pipeline.models.frames import Params
from ray_pipeline.models.sequences import FramesVae

# Of the waves that say where a frame is, the longest in frames, as in the paper.
_LONGEST = 10_000.0


class TransformerVae(FramesVae):
    """Frames [batch, n_frames, width] → their mean → mu and logvar; z at every place → frames."""

    places: Tensor

    def __init__(
        self,
        params: Params,
        shapes: Shapes,
        *,
        latent_dim: int,
        width: int,
        n_heads: int,
        n_layers: int,
        dropout: float,
    ) -> None:
        super().__init__(params, shapes)
        self.enter = nn.Linear(self.n_bands, width)
        self.encoder = _layers(width, n_heads, n_layers, dropout)
        self.mu = nn.Linear(width, latent_dim)
        self.logvar = nn.Linear(width, latent_dim)
        self.start = nn.Linear(latent_dim, width)
        self.decoder = _layers(width, n_heads, n_layers, dropout)
        self.output = nn.Linear(width, self.n_bands)
        self.register_buffer("places", waves(self.n_frames, width), persistent=False)

    def inference(self, views: Tensors, masks: Tensors) -> Posterior:
        h = self.encoder(self.enter(self.frames(views, masks)) + self.places).mean(dim=1)
        return posterior(self.mu(h), self.logvar(h))

    def generative(self, z: Tensor, views: Tensors) -> Tensors:
        return {self.view: self.output(self.decoder(self.start(z)[:, None, :] + self.places)).float()}


def waves(n_frames: int, width: int) -> Tensor:
    """Sines and cosines that tell each place from the others: float32 [n_frames, width]."""
    rates = torch.exp(-torch.log(torch.tensor(_LONGEST)) * torch.arange(0, width, 2) / width)
    angles = torch.arange(n_frames)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


def _layers(width: int, n_heads: int, n_layers: int, dropout: float) -> nn.Sequential:
    stack = [
        nn.TransformerEncoderLayer(
            width, n_heads, dim_feedforward=4 * width, dropout=dropout, batch_first=True, norm_first=True
        )
        for _ in range(n_layers)
    ]
    return nn.Sequential(*stack, nn.LayerNorm(width))
