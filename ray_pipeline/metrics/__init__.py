"""SHELF of metrics, and what an Experiment calls to have itself scored.

A part is a `Metric` object: one file or one function, and one line here. `internal_scores` and `external_scores` walk this
dict, so that line alone brings the null, the permutations and the interval.
"""

from __future__ import annotations

from ray_pipeline.metrics.artists import artist_share_score, filtered_scores
from ray_pipeline.metrics.disentanglement import disentanglement_scores
from ray_pipeline.metrics.external import external_scores, missingness_score
from ray_pipeline.metrics.internal import internal_scores
from ray_pipeline.metrics.join_check import join_check
from ray_pipeline.metrics.latent import latent_scores
from ray_pipeline.metrics.leak import leak
from ray_pipeline.metrics.score import Metric, Score, shelf_name
from ray_pipeline.metrics.stability import agreement, bootstrap_stability, seeds_stability

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
    "artist_share": "ray_pipeline.metrics.artists:artist_share",
    "stability": "ray_pipeline.metrics.stability:stability",
    "stability_bootstrap": "ray_pipeline.metrics.stability:stability_bootstrap",
    "active_units": "ray_pipeline.metrics.latent:active_units",
    "effective_rank": "ray_pipeline.metrics.latent:effective_rank",
    "reconstruction": "ray_pipeline.metrics.latent:reconstruction",
    "reconstruction_pca2": "ray_pipeline.metrics.latent:reconstruction_pca2",
    "collapsed": "ray_pipeline.metrics.latent:collapsed",
    "mig": "ray_pipeline.metrics.disentanglement:mig",
    "sap": "ray_pipeline.metrics.disentanglement:sap",
    "dci_disentanglement": "ray_pipeline.metrics.disentanglement:dci_disentanglement",
    "dci_completeness": "ray_pipeline.metrics.disentanglement:dci_completeness",
    "dci_informativeness": "ray_pipeline.metrics.disentanglement:dci_informativeness",
}

__all__ = [
    "METRICS",
    "Metric",
    "Score",
    "agreement",
    "artist_share_score",
    "bootstrap_stability",
    "disentanglement_scores",
    "external_scores",
    "filtered_scores",
    "internal_scores",
    "join_check",
    "latent_scores",
    "leak",
    "missingness_score",
    "seeds_stability",
    "shelf_name",
]
