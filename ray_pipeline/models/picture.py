"""A VAE of two-dimensional convolutions over frames by bands: each layer halves both sides, the decoder doubles them back."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from ray_pipeline.models.base import Posterior, Tensors, posterior
from ray_pipeline.models.contract import Shapes
from ray_pipeline.models.frames import Params
from ray_pipeline.models.sequences import FramesVae

Size = tuple[int, int]


class Conv2dVae(FramesVae):
    """[batch, 1, n_frames, n_bands] → channels × smallest picture → mu and logvar, and back; any size will do."""

    def __init__(
        self,
        params: Params,
        shapes: Shapes,
        *,
        latent_dim: int,
        channels: tuple[int, ...],
        kernel_size: int,
        dropout: float,
    ) -> None:
        super().__init__(params, shapes)
        sizes = [(self.n_frames, self.n_bands)]
        for _ in channels:
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        smallest = (channels[-1], *sizes[-1])
        flat = channels[-1] * sizes[-1][0] * sizes[-1][1]
        self.encoder = _down((1, *channels), kernel_size, dropout)
        self.mu = nn.Linear(flat, latent_dim)
        self.logvar = nn.Linear(flat, latent_dim)
        self.start = nn.Sequential(
            nn.Linear(latent_dim, flat), nn.Unflatten(1, smallest), nn.BatchNorm2d(channels[-1]), nn.ReLU()
        )
        self.decoder = _up((*reversed(channels), 1), sizes[::-1], kernel_size, dropout)

    def inference(self, views: Tensors, masks: Tensors) -> Posterior:
        h = self.encoder(self.frames(views, masks)[:, None]).flatten(1)
        return posterior(self.mu(h), self.logvar(h))

    def generative(self, z: Tensor, views: Tensors) -> Tensors:
        return {self.view: self.decoder(self.start(z)).float()[:, 0]}


def _down(channels: tuple[int, ...], kernel_size: int, dropout: float) -> nn.Sequential:
    """Convolutions of stride 2; a side of n becomes ⌈n / 2⌉."""
    stack: list[nn.Module] = []
    for before, after in pairwise(channels):
        stack.append(nn.Conv2d(before, after, kernel_size, stride=2, padding=kernel_size // 2))
        stack += [nn.BatchNorm2d(after), nn.ReLU(), nn.Dropout2d(dropout)]
    return nn.Sequential(*stack)


def _up(channels: tuple[int, ...], sizes: list[Size], kernel_size: int, dropout: float) -> nn.Sequential:
    """Transposed convolutions of stride 2 through `sizes`; nothing follows the last, which gives the picture."""
    stack: list[nn.Module] = []
    for (before, after), (small, large) in zip(pairwise(channels), pairwise(sizes), strict=True):
        left_over = (large[0] - (2 * small[0] - 1), large[1] - (2 * small[1] - 1))
        stack.append(
            nn.ConvTranspose2d(before, after, kernel_size, stride=2, padding=kernel_size // 2, output_padding=left_over)
        )
        stack += [nn.BatchNorm2d(after), nn.ReLU(), nn.Dropout2d(dropout)]
    return nn.Sequential(*stack[:-3])
