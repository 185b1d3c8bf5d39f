"""Multimodal VAE by product of experts: a posterior that knows which views are missing.

Each view is an expert with a posterior of its own; q(z|x) is in proportion to p(z) times the product of the experts at hand.
All are Gaussian, so precisions add up and means are weighed by them; a missing view adds nothing. Take it with
`fusion.kind: none`. In training, besides all views together, each view has to do by itself, and so have `subsets` random
choices of them where there are three or more: without, no expert would learn to stand alone.

Source: Wu & Goodman, "Multimodal Generative Models for Scalable Weakly-Supervised Learning" (2018), with their sub-sampled
training. Simplified: the KL has its full weight from the start, and every expert is a Gaussian.
"""

from __future__ import annotations

from pydantic import Field

from ray_pipeline.models.attention import Params as AttentionParams
from ray_pipeline.models.contract import Model, Shapes


class Params(AttentionParams):
    kind: str = "poe"
    subsets: int = Field(1, ge=0, le=64, description="random choices of views that each step also trains, of 3 or more")


def build(params: Params, shapes: Shapes, seed: int) -> Model:
    """A product-of-experts VAE for tracks of `shapes`, its weights drawn by `seed`."""
    from ray_pipeline.models.base import drawn_by
    from ray_pipeline.models.experts import PoeVae

    p = params
    with drawn_by(seed):
        return PoeVae(
            p,
            shapes,
            latent_dim=p.latent_dim,
            hidden=p.hidden,
            dropout=p.dropout,
            balance=p.balance,
            subsets=p.subsets,
        )
