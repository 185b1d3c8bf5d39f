"""Convolutional VAE (section 4): one-dimensional convolutions over the 140 columns of MFCC statistics, latent 32.

The study gives channels, BatchNorm, dropout and 534,849 parameters; the layout here has 533,953 (0.17 % fewer) whatever
the number of columns: kernels of 5 with stride 2, averaged to 4 places before the latents, and mirrored.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ray_pipeline.models.contract import Model, Shapes
from ray_pipeline.models.vae import Width
from ray_pipeline.shelf import Params as Base


class Params(Base):
    kind: str = "conv"
    latent_dim: int = Field(default=32, ge=1, le=4096)
    channels: tuple[Width, ...] = Field(
        (32, 64, 128, 256), min_length=1, max_length=8, description="encoder layers, in order; each halves the length"
    )
    kernel_size: Literal[3, 5, 7, 9] = 5
    positions: int = Field(4, ge=1, le=256, description="places that the last layer is averaged to")
    dropout: float = Field(default=0.2, ge=0, lt=1)


def build(params: Params, shapes: Shapes, seed: int) -> Model:
    """A Conv-VAE for tracks of `shapes`, laid side by side as one signal, its weights drawn by `seed`."""
    from ray_pipeline.models.base import drawn_by
    from ray_pipeline.models.convolution import ConvVae

    p = params
    with drawn_by(seed):
        return ConvVae(
            p,
            shapes,
            latent_dim=p.latent_dim,
            channels=p.channels,
            kernel_size=p.kernel_size,
            positions=p.positions,
            dropout=p.dropout,
        )
