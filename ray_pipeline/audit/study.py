"""What the study did and what it reported, row by row; section and table numbers are its own.

A number that it gives only as a percentage against another ("+93.1 %") is not repeated here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ray_pipeline.models.combination import Combine

N_TRACKS = 3081
N_CLUSTERS = 8
GENRE_COUNTS = (460, 344, 304, 115, 91, 76, 67, 45)
"""Tracks of its eight named genres (section 2.3); the other 1,579 tracks carry others, or none."""

LEAD = ("silhouette", "calinski_harabasz", "davies_bouldin")
ALL_SIX = (*LEAD, "ari", "nmi", "purity")

KMEANS = {"kind": "kmeans", "n_clusters": N_CLUSTERS}
MEANS, STATS, HYBRID = "means", "stats", "hybrid"
"""What a row's model sees: the 20 MFCC means, their 140 statistics, or means and lyrics."""


@dataclass(frozen=True)
class StudyRow:
    """One row of a table: what was run, and what was reported of it (`metric → number`; empty where nothing was).

    `fusion` is the kind for hybrid input. `late` names how the latents of the hybrid, beta and conv models are combined;
    such a row has no model of its own. `zero_fill` passes zeros off as lyrics where there are none.
    """

    table: str
    name: str
    sees: str
    model: Mapping[str, Any]
    reported: Mapping[str, float] = field(default_factory=dict)
    clusterer: Mapping[str, Any] = field(default_factory=lambda: KMEANS)
    fusion: str = "audio"
    late: Combine | None = None
    zero_fill: bool = False

    @property
    def sees_lyrics(self) -> bool:
        """Whether its model, or one of those that it combines, is given lyrics."""
        return self.fusion != "audio" or self.late is not None


def _six(*values: float) -> dict[str, float]:
    return dict(zip(ALL_SIX, values, strict=True))


def _three(*values: float) -> dict[str, float]:
    return dict(zip(LEAD, values, strict=False))


VAE, CONV, BETA = {"kind": "vae"}, {"kind": "conv"}, {"kind": "beta", "beta": 4.0}
CVAE = {"kind": "cvae", "condition": {"encoding": "number"}}
BETA_SCORES = _six(0.5264, 12275.12, 0.5314, -0.0003, 0.0032, 0.1477)
BETA_LOSS = {"loss": 17.9625, "loss_reconstruction": 15.7037, "loss_kl": 0.5647, "loss_reduction": 0.4264}
CVAE_LOSS = {"loss": 12.9078, "loss_reconstruction": 9.3730, "loss_kl": 3.5348, "loss_reduction": 0.4020}

ROWS: tuple[StudyRow, ...] = (
    StudyRow(
        "Task 1",
        "VAE on audio and lyrics",
        HYBRID,
        VAE,
        {**_three(0.0717, 39.80), "loss": 16.16, "n_parameters": 759_508},
        fusion="concat",
    ),
    StudyRow("Task 1", "PCA + k-means", HYBRID, {"kind": "pca"}, _three(0.0707, 46.51), fusion="concat"),
    StudyRow("Task 1", "early fusion: weighted", HYBRID, VAE, fusion="weighted"),
    StudyRow("Task 1", "early fusion: PCA", HYBRID, VAE, fusion="pca"),
    StudyRow("Task 1", "zeros passed off as lyrics", HYBRID, VAE, fusion="concat", zero_fill=True),
    StudyRow("Task 1", "product of experts", HYBRID, {"kind": "poe"}, fusion="none"),
    StudyRow("Task 2", "Conv-VAE + k-means", STATS, CONV, {**_three(0.1031, 374.91, 1.8782), "n_parameters": 534_849}),
    StudyRow(
        "Task 2",
        "Conv-VAE + agglomerative",
        STATS,
        CONV,
        _three(0.0408, 295.07, 2.3264),
        {"kind": "agglomerative", "n_clusters": N_CLUSTERS},
    ),
    StudyRow("Task 2", "Conv-VAE + DBSCAN", STATS, CONV, _three(0.4862, 30.74, 0.5893), {"kind": "dbscan"}),
    StudyRow("Task 2", "PCA + k-means", STATS, {"kind": "pca"}, _three(0.0534, 288)),
    StudyRow("Task 2", "autoencoder + k-means", STATS, {"kind": "autoencoder"}, _three(0.0296, 169)),
    StudyRow("Task 2", "k-means on the features", STATS, {"kind": "raw"}, _three(0.0490, 281)),
    StudyRow("Table 1", "Beta-VAE", MEANS, BETA, {**BETA_SCORES, **BETA_LOSS, "n_parameters": 365_908}),
    StudyRow(
        "Table 1",
        "CVAE",
        MEANS,
        CVAE,
        {**_six(0.1122, 325.73, 1.7007, -0.0002, 0.0036, 0.1457), **CVAE_LOSS, "n_parameters": 312_660},
    ),
    StudyRow("Table 1", "Conv-VAE", STATS, CONV, _six(0.1031, 374.91, 1.8782, -0.0002, 0.0035, 0.1470)),
    StudyRow("Table 2", "Beta-VAE", MEANS, BETA, BETA_SCORES),
    StudyRow(
        "Table 2",
        "weighted average",
        HYBRID,
        {},
        _six(0.1186, 466.16, 1.6994, -0.0004, 0.0034, 0.1506),
        late="weighted",
    ),
    StudyRow(
        "Table 2", "concat (H+B+C)", HYBRID, {}, _six(0.0954, 273.21, 1.8452, 0.0005, 0.0045, 0.1496), late="concat"
    ),
    StudyRow("Table 2", "PCA-reduced", HYBRID, {}, _six(0.0954, 273.24, 1.8450, 0.0005, 0.0045, 0.1506), late="pca"),
    StudyRow(
        "Table 2",
        "with genre",
        HYBRID,
        {},
        _six(0.0954, 273.24, 1.8450, 0.0005, 0.0045, 0.1506),
        late="with_genre",
    ),
)
