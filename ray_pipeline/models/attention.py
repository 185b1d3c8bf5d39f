"""Attention fusion (section 7.2): a VAE that weighs the views of each track, among those that the track has.

Every view is embedded by layers of its own; a small net scores each embedding, and a softmax over the views present makes
weights of the scores. So text counts where it tells something, and a missing view has weight 0. Take it with
`fusion.kind: none`.

Source: Ilse, Tomczak & Welling, "Attention-based Deep Multiple Instance Learning" (2018), whose instances are views here.
"""

from __future__ import annotations

from pydantic import Field

from ray_pipeline.models.contract import Model, Shapes
from ray_pipeline.models.vae import Params as VaeParams
from ray_pipeline.models.vae import Width


class Params(VaeParams):
    kind: str = "attention"
    hidden: tuple[Width, ...] = Field((256, 128), min_length=1, max_length=16, description="each view's encoder layers")
    balance: bool = Field(True, description="let each view count the same in the loss, however many values it has")


def build(params: Params, shapes: Shapes, seed: int) -> Model:
    """An attention VAE for tracks of `shapes`, its weights drawn by `seed`."""
    from ray_pipeline.models.base import drawn_by
    from ray_pipeline.models.weighing import AttentionVae

    p = params
    with drawn_by(seed):
        return AttentionVae(p, shapes, latent_dim=p.latent_dim, hidden=p.hidden, dropout=p.dropout, balance=p.balance)
