"""Clusterers: `cluster(x, params, seed) -> Clustering`, x float32 [n_tracks, dim]."""

from __future__ import annotations

CLUSTERERS = {
    "kmeans": "ray_pipeline.clusterers.kmeans:cluster",
}
