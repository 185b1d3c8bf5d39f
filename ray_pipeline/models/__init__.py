"""Models: `build(params, shapes, seed) -> Model` (see `contract.Model`), shapes being one track's, by view."""

from __future__ import annotations

MODELS = {
    "attention": "ray_pipeline.models.attention:build",
    "autoencoder": "ray_pipeline.models.autoencoder:build",
    "beta": "ray_pipeline.models.beta:build",
    "conv": "ray_pipeline.models.conv:build",
    "conv2d": "ray_pipeline.models.conv2d:build",
    "cvae": "ray_pipeline.models.cvae:build",
    "gru": "ray_pipeline.models.gru:build",
    "late": "ray_pipeline.late_model:build",
    "pca": "ray_pipeline.models.pca:build",
    "poe": "ray_pipeline.models.poe:build",
    "raw": "ray_pipeline.models.raw:build",
    "semi": "ray_pipeline.models.semi:build",
    "transformer": "ray_pipeline.models.transformer:build",
    "vade": "ray_pipeline.models.vade:build",
    "vae": "ray_pipeline.models.vae:build",
}
