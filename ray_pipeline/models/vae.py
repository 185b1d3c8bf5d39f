"""VAE (section 4): 759,508 parameters on the 404 columns of audio and lyrics."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ray_pipeline.models.contract import Model, Shapes
from ray_pipeline.shelf import Params as Base

Width = Annotated[int, Field(ge=1, le=16384)]


class Params(Base):
    kind: str = "vae"
    latent_dim: int = Field(default=32, ge=1, le=4096)
    hidden: tuple[Width, ...] = Field(
        (512, 256, 128), min_length=1, max_length=16, description="encoder layers, in order"
    )
    dropout: float = Field(default=0.0, ge=0, lt=1)


def build(params: Params, shapes: Shapes, seed: int) -> Model:
    """A VAE for tracks of `shapes`, its weights drawn by `seed`."""
    from ray_pipeline.models.mlp import build_mlp

    p = params
    return build_mlp(p, shapes, seed, latent_dim=p.latent_dim, hidden=p.hidden, dropout=p.dropout, beta=1.0)
