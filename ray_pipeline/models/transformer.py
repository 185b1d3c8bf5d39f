"""Transformer VAE over frames (section 7.2): each frame attends to all others, so that a track's repeats can be seen.

Frames with their places go through layers of self-attention, and their mean gives the posterior. For the way back, z is put
at every place and goes through as many layers.

Source: Vaswani et al., "Attention Is All You Need" (2017), with normalisation first as in Xiong et al., "On Layer
Normalization in the Transformer Architecture" (2020).
"""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from ray_pipeline.models.contract import Model, Shapes
from ray_pipeline.models.frames import Params as FramesParams
from ray_pipeline.models.vae import Width


class Params(FramesParams):
    kind: str = "transformer"
    n_heads: int = Field(4, ge=1, le=64)
    width: Width = Field(128, description="of each frame inside; an even multiple of n_heads")
    n_layers: int = Field(2, ge=1, le=24, description="of the encoder, and of the decoder")

    @field_validator("width")
    @classmethod
    def _splits_evenly(cls, width: int, info: ValidationInfo) -> int:
        heads = info.data.get("n_heads", 1)
        if width % heads or width % 2:
            raise ValueError(f"must be even, and divisible by n_heads, {heads}")
        return width


def build(params: Params, shapes: Shapes, seed: int) -> Model:
    """A transformer VAE for tracks of `shapes`, its weights drawn by `seed`."""
    from ray_pipeline.models.base import drawn_by
    from ray_pipeline.models.self_attention import TransformerVae

    p = params
    with drawn_by(seed):
        return TransformerVae(
            p,
            shapes,
            latent_dim=p.latent_dim,
            width=p.width,
            n_heads=p.n_heads,
            n_layers=p.n_layers,
            dropout=p.dropout,
        )
