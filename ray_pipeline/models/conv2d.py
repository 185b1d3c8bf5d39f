"""Convolutional VAE over the picture of frames by bands (section 7.2): what is alike at any time or pitch is learnt once.

Source: the layout follows Radford, Metz & Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks" (2016): strides in place of pooling, BatchNorm, mirrored on the way back.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ray_pipeline.models.contract import Model, Shapes
from ray_pipeline.models.frames import Params as FramesParams
from ray_pipeline.models.vae import Width


class Params(FramesParams):
    kind: str = "conv2d"
    channels: tuple[Width, ...] = Field(
        (16, 32, 64, 128), min_length=1, max_length=8, description="encoder layers, in order; each halves both sides"
    )
    kernel_size: Literal[3, 5, 7] = 3


def build(params: Params, shapes: Shapes, seed: int) -> Model:
    """A two-dimensional Conv-VAE for tracks of `shapes`, its weights drawn by `seed`."""
    from ray_pipeline.models.base import drawn_by
    from ray_pipeline.models.picture import Conv2dVae

    p = params
    with drawn_by(seed):
        return Conv2dVae(
            p, shapes, latent_dim=p.latent_dim, channels=p.channels, kernel_size=p.kernel_size, dropout=p.dropout
        )
