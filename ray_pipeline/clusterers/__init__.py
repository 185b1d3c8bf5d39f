"""Clusterers: `cluster(x, params, seed) -> Clustering`, x float32 [n_tracks, dim].

Those whose Params have `n_clusters` also find k by themselves, see `choice`.
"""

from __future__ import annotations

CLUSTERERS = {
    "kmeans": "ray_pipeline.clusterers.kmeans:cluster",
    "minibatch_kmeans": "ray_pipeline.clusterers.minibatch_kmeans:cluster",
    "agglomerative": "ray_pipeline.clusterers.agglomerative:cluster",
    "consensus": "ray_pipeline.clusterers.consensus:cluster",
    "gmm": "ray_pipeline.clusterers.gmm:cluster",
    "dbscan": "ray_pipeline.clusterers.dbscan:cluster",
    "hdbscan": "ray_pipeline.clusterers.hdbscan:cluster",
}
