"""Baseline: the VAE's layers without its noise and its KL, the study's "autoencoder + k-means"."""

from __future__ import annotations

from ray_pipeline.models.contract import Model, Shapes
from ray_pipeline.models.vae import Params as VaeParams


class Params(VaeParams):
    kind: str = "autoencoder"


def build(params: Params, shapes: Shapes, seed: int) -> Model:
    """An autoencoder for tracks of `shapes`, its weights drawn by `seed`; its latents have no variance."""
    from ray_pipeline.models.mlp import build_mlp

    p = params
    return build_mlp(p, shapes, seed, latent_dim=p.latent_dim, hidden=p.hidden, dropout=p.dropout, beta=0.0, point=True)
