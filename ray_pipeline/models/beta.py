"""Beta-VAE (section 4): the VAE with its KL weighted by beta; 365,908 parameters on 20 MFCC means.

Source: Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework" (2017).
"""

from __future__ import annotations

from pydantic import Field

from ray_pipeline.models.contract import Model, Shapes
from ray_pipeline.models.vae import Params as VaeParams


class Params(VaeParams):
    kind: str = "beta"
    beta: float = Field(
        default=4.0, ge=0, description="weight of the KL; 1 is the plain VAE, much more makes it collapse"
    )


def build(params: Params, shapes: Shapes, seed: int) -> Model:
    """A Beta-VAE for tracks of `shapes`, its weights drawn by `seed`."""
    from ray_pipeline.models.mlp import build_mlp

    p = params
    return build_mlp(p, shapes, seed, latent_dim=p.latent_dim, hidden=p.hidden, dropout=p.dropout, beta=p.beta)
