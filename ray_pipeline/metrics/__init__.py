"""SHELF of metrics, and what an Experiment calls to have itself scored.

A part is a `Metric` object: one file or one function, and one line here. `internal_scores` and `external_scores` walk this
dict, so that line alone brings the null, the permutations and the interval.
"""

from __future__ import annotations

from ray_pipeline.metrics.external import external_scores, missingness_score
from ray_pipeline.metrics.internal import internal_scores
from ray_pipeline.metrics.latent import latent_scores
from ray_pipeline.metrics.leak import leak
from ray_pipeline.metrics.score import Metric, Score, shelf_name

METRICS: dict[str, str] = {
    "silhouette": "ray_pipeline.metrics.internal:silhouette",
    "calinski_harabasz": "ray_pipeline.metrics.internal:calinski_harabasz",
    "davies_bouldin": "ray_pipeline.metrics.internal:davies_bouldin",
    "coverage": "ray_pipeline.metrics.internal:coverage",
    "silhouette_input": "ray_pipeline.metrics.internal:silhouette_input",
    "davies_bouldin_input": "ray_pipeline.metrics.internal:davies_bouldin_input",
    "ami": "ray_pipeline.metrics.external:ami",
    "ari": "ray_pipeline.metrics.external:ari",
    "nmi": "ray_pipeline.metrics.external:nmi",
    "purity": "ray_pipeline.metrics.external:purity",
    "ami_missing": "ray_pipeline.metrics.external:ami_missing",
    "active_units": "ray_pipeline.metrics.latent:active_units",
    "effective_rank": "ray_pipeline.metrics.latent:effective_rank",
    "reconstruction": "ray_pipeline.metrics.latent:reconstruction",
    "reconstruction_pca2": "ray_pipeline.metrics.latent:reconstruction_pca2",
    "collapsed": "ray_pipeline.metrics.latent:collapsed",
}

__all__ = [
    "METRICS",
    "Metric",
    "Score",
    "external_scores",
    "internal_scores",
    "latent_scores",
    "leak",
    "missingness_score",
    "shelf_name",
]
