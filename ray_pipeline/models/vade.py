"""VaDE: a VAE whose prior is a mixture of Gaussians, learnt with it, so that the latents are drawn into clusters.

The first `pretrain_epochs` train a plain autoencoder, whose latents have no prior and no noise; then a Gaussian mixture is
fitted to the latents that it last gave, and from there on encoder, decoder and mixture learn together. With no more epochs
than `pretrain_epochs` it stays that autoencoder. The clusters of an Experiment come from the clusterer, as with every model;
what the mixture itself says of a track is `MixtureVae.responsibilities`.

Source: Jiang, Zheng, Tan, Tang & Zhou, "Variational Deep Embedding" (2017). Simplified: the autoencoder is trained whole, not
layer by layer; the mixture is fitted to the latents of no more than 2,048 tracks; and q(c|x), which they take at one sampled
z, is the one that is best for all of q(z|x), so that the KL has a closed form.
"""

from __future__ import annotations

from pydantic import Field

from ray_pipeline.models.contract import Model, Shapes
from ray_pipeline.models.vae import Params as VaeParams


class Params(VaeParams):
    kind: str = "vade"
    latent_dim: int = Field(default=10, ge=1, le=4096)
    n_components: int = Field(8, ge=1, le=1000, description="Gaussians in the prior")
    pretrain_epochs: int = Field(30, ge=1, description="epochs as an autoencoder; training.epochs should be more")


def build(params: Params, shapes: Shapes, seed: int) -> Model:
    """A VaDE for tracks of `shapes`; its weights, and later the start of its mixture, are drawn by `seed`."""
    from ray_pipeline.models.base import drawn_by
    from ray_pipeline.models.mixture import MixtureVae

    p = params
    with drawn_by(seed):
        return MixtureVae(
            p,
            shapes,
            latent_dim=p.latent_dim,
            hidden=p.hidden,
            dropout=p.dropout,
            n_components=p.n_components,
            pretrain_epochs=p.pretrain_epochs,
            seed=seed,
        )
