"""Models: `build(params, shapes, seed) -> Model` (see `contract.Model`), shapes being one track's, by view."""

from __future__ import annotations

MODELS = {
    "autoencoder": "ray_pipeline.models.autoencoder:build",
    "beta": "ray_pipeline.models.beta:build",
    "conv": "ray_pipeline.models.conv:build",
    "cvae": "ray_pipeline.models.cvae:build",
    "pca": "ray_pipeline.models.pca:build",
    "raw": "ray_pipeline.models.raw:build",
    "vae": "ray_pipeline.models.vae:build",
}
