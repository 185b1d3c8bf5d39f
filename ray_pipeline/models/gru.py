"""Recurrent VAE over frames (section 7.2): what a track does over time, not only what it sounds like on average.

A gated recurrent unit reads the frames both ways, and its two last states give the posterior. Another one makes all frames
from z alone. It is not fed the frame before: a decoder that is learns to continue the music and to leave z unused.

Sources: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder" (2014); Srivastava, Mansimov & Salakhutdinov,
"Unsupervised Learning of Video Representations using LSTMs" (2015); on that decoder, Bowman et al., "Generating Sentences from
a Continuous Space" (2016).
"""

from __future__ import annotations

from pydantic import Field

from ray_pipeline.models.contract import Model, Shapes
from ray_pipeline.models.frames import Params as FramesParams
from ray_pipeline.models.vae import Width


class Params(FramesParams):
    kind: str = "gru"
    width: Width = Field(128, description="units of each recurrent layer")


def build(params: Params, shapes: Shapes, seed: int) -> Model:
    """A GRU VAE for tracks of `shapes`, its weights drawn by `seed`."""
    from ray_pipeline.models.base import drawn_by
    from ray_pipeline.models.recurrent import GruVae

    p = params
    with drawn_by(seed):
        return GruVae(p, shapes, latent_dim=p.latent_dim, width=p.width, dropout=p.dropout)
