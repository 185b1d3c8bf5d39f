"""What holds no structure, scored as the study scored: the yardsticks of its own numbers.

Everything here has the study's size: 3,081 tracks, eight clusters, and its genre counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from statistics import fmean, stdev

import numpy as np

from ray_pipeline import shelf
from ray_pipeline.audit.study import ALL_SIX, GENRE_COUNTS, KMEANS, LEAD, N_CLUSTERS, N_TRACKS

DIMS = (1, 2, 3, 4, 8, 16, 32)
DRAWS = 20
LARGEST_SHARE = max(GENRE_COUNTS) / N_TRACKS
"""Share of the largest genre: no purity can lie below it."""


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over draws."""

    mean: float
    sd: float
    n: int

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        return cls(fmean(values), stdev(values) if len(values) > 1 else 0.0, len(values))

    def holds(self, value: float, width: float = 3.0) -> bool:
        """Whether `value` lies within `width` standard deviations."""
        return abs(value - self.mean) <= width * self.sd


@cache
def gaussian(dim: int, draws: int = DRAWS, seed: int = 0) -> Mapping[str, Spread]:
    """Silhouette, Calinski-Harabasz and Davies-Bouldin of k-means, k = 8, on N(0, 1) in `dim` dimensions."""
    return _spreads([gaussian_draw(dim, draw, seed) for draw in range(draws)])


@cache
def random_clusters(draws: int = DRAWS, seed: int = 0) -> Mapping[str, Spread]:
    """ARI, NMI and purity of eight random clusters against eight random classes.

    The study scores against its eight genres; how it classed the 1,579 tracks of other genres is not told.
    """
    return _spreads([random_draw(draw, seed) for draw in range(draws)])


def gaussian_draw(dim: int, draw: int, seed: int = 0) -> dict[str, float]:
    """One draw of `gaussian`."""
    part = shelf.part("clusterer", "kmeans")
    params = shelf.params_of("clusterer", "kmeans").model_validate(KMEANS)
    x = np.random.default_rng([seed, draw, dim]).standard_normal((N_TRACKS, dim)).astype(np.float32)
    labels = part(x, params, draw).labels
    return {name: float(shelf.part("metric", name)(x, labels).value) for name in LEAD}


def random_draw(draw: int, seed: int = 0) -> dict[str, float]:
    """One draw of `random_clusters`."""
    labels, genres = np.random.default_rng([seed, draw]).integers(N_CLUSTERS, size=(2, N_TRACKS))
    classes = [str(genre) for genre in genres]
    names = [name for name in ALL_SIX if name not in LEAD]
    return {name: float(shelf.part("metric", name)(labels, classes).value) for name in names}


def _spreads(draws: list[dict[str, float]]) -> dict[str, Spread]:
    return {name: Spread.of([one[name] for one in draws]) for name in draws[0]}
