"""A VAE of gated recurrent units over frames."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ray_pipeline.models.base import Posterior, Tensors, posterior
from ray_pipeline.models.contract import Shapes
from ray_pipeline.models.frames import Params
from ray_pipeline.models.sequences import FramesVae


class GruVae(FramesVae):
    """Frames → last states [batch, 2 * width] → mu and logvar; z at every step → frames."""

    def __init__(self, params: Params, shapes: Shapes, *, latent_dim: int, width: int, dropout: float) -> None:
        super().__init__(params, shapes)
        self.reader = nn.GRU(self.n_bands, width, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.mu = nn.Linear(2 * width, latent_dim)
        self.logvar = nn.Linear(2 * width, latent_dim)
        self.start = nn.Linear(latent_dim, width)
        self.writer = nn.GRU(latent_dim, width, batch_first=True)
        self.output = nn.Linear(width, self.n_bands)

    def inference(self, views: Tensors, masks: Tensors) -> Posterior:
        _, last = self.reader(self.frames(views, masks))
        h = self.dropout(last.transpose(0, 1).flatten(1))
        return posterior(self.mu(h), self.logvar(h))

    def generative(self, z: Tensor, views: Tensors) -> Tensors:
        steps = z[:, None, :].expand(-1, self.n_frames, -1)
        states, _ = self.writer(steps, torch.tanh(self.start(z))[None])
        return {self.view: self.output(self.dropout(states)).float()}
