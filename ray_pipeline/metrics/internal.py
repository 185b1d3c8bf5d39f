"""Internal scores: how far apart clusters lie, beside what the same clusterer finds in structureless data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.metrics.calibration import (
    GAUSSIAN,
    PERMUTED,
    ROWS,
    SHUFFLED,
    Cluster,
    Draw,
    against_chance,
    against_null,
    gaussian_like,
    generator,
    permuted_columns,
    structureless,
)
from ray_pipeline.metrics.score import Metric, Score, notes, of_family
from ray_pipeline.metrics.separation import (
    DAVIES_BOULDIN_WORST,
    Formula,
    mean_silhouette,
    ratio_of_spreads,
    ratio_of_variances,
)

EXACT_UP_TO = 10_000
SAMPLED_ROWS = 10_000
NULL_ROWS = 2_000
MIN_COVERAGE = 0.5


@dataclass(frozen=True)
class Internal(Metric):
    """A metric of (x [n, d], labels [n]). Never raises on data: what cannot be scored has the worst score, and a note."""

    formula: Formula

    def __call__(self, x: NDArray[Any], labels: NDArray[Any], *, max_rows: int | None = None, seed: int = 0) -> Score:
        """Score of the rows in clusters; noise (−1) is left out and its share said in the note.

        Past `max_rows` rows, a metric that is a mean over rows takes that many, drawn at random, against all others.
        Where fewer than half of the rows are in clusters the score is the worst, and the note tells the value of the rest.
        """
        x, labels = np.asarray(x), np.asarray(labels)
        kept = labels >= 0
        n, coverage_note = int(kept.sum()), _coverage_note(labels)
        fault = _fault(x, labels)
        if fault:
            return Score(self.name, self.worst, n=n, note=notes(fault, coverage_note))
        points, clusters = x[kept].astype(np.float64), np.unique(labels[kept], return_inverse=True)[1]
        rows = _sample(n, max_rows, seed)
        value, error = self.formula(points, clusters, rows)
        if n < MIN_COVERAGE * len(labels):
            fault = (
                f"fewer than half of the tracks are in clusters: worst score; those in clusters alone have {value:.4g}"
            )
            return Score(self.name, self.worst, n=n, note=notes(fault, coverage_note))
        if not error or rows is None:
            return Score(self.name, value, n=n, note=coverage_note)
        sampled = f"{len(rows):,} of {n:,} rows against all, standard error {error:.1g}"
        low, high = value - 1.96 * error, value + 1.96 * error
        return Score(self.name, value, ci_low=low, ci_high=high, n=n, note=notes(sampled, coverage_note))


@dataclass(frozen=True)
class Coverage(Metric):
    """Share of the tracks that are in clusters, that is, no noise."""

    def __call__(self, x: NDArray[Any], labels: NDArray[Any]) -> Score:
        """`x` [n, d] is not looked at; the note has the number of clusters."""
        labels = np.asarray(labels)
        kept = labels >= 0
        n_clusters = len(np.unique(labels[kept]))
        note = notes(f"{n_clusters} cluster{'' if n_clusters == 1 else 's'}", _coverage_note(labels))
        return Score(self.name, float(kept.mean()) if len(labels) else self.worst, n=len(labels), note=note)


def internal_scores(
    x: NDArray[Any],
    labels: NDArray[Any],
    *,
    cluster: Cluster,
    x_input: NDArray[Any] | None = None,
    null_draws: int = 20,
    seed: int = 0,
    exact: bool = False,
) -> list[Score]:
    """Coverage, and every internal score of `labels` [n] in the space `x` [n, d] that they were found in, with nulls.

    Two nulls, each the same `cluster` on `null_draws` draws of structureless data: a Gaussian of the n and covariance of
    `x` (the score's own row), and the columns of `x` permuted each by itself (a row marked `@permuted`).

    `x_input` [n, D], the standardised features, adds `silhouette_input` and `davies_bouldin_input`: the same clusters in
    a space that no model has shaped, hence one yardstick for all models. A Gaussian is no null there, since the clusters
    were found elsewhere; the full one, a model trained anew on structureless features, is not cheap. So chance is the same
    clusters dealt to the tracks at random: beating it says no more than that the clusters have to do with the features.
    What these two are for is comparison between models.

    Past 10,000 rows silhouettes are means over 10,000 sampled rows unless `exact`, and over 2,000 in the draws.
    """
    x, labels = np.asarray(x), np.asarray(labels)
    max_rows = None if exact or len(x) <= EXACT_UP_TO else SAMPLED_ROWS
    scores = [metric(x, labels) for metric in of_family("coverage")]
    metrics = of_family("internal")
    observed = [metric(x, labels, max_rows=max_rows, seed=seed) for metric in metrics]
    if any(score.value != metric.worst for score, metric in zip(observed, metrics, strict=True)):
        scores += _with_null(observed, metrics, gaussian_like(x), cluster, null_draws, seed, GAUSSIAN)
        scores += _with_null(observed, metrics, permuted_columns(x), cluster, null_draws, seed, PERMUTED)
    else:
        scores += observed
    if x_input is not None:
        features = np.asarray(x_input)
        scores += [_with_chance(metric, features, labels, null_draws, seed, max_rows) for metric in of_family("input")]
    return scores


def _with_null(
    observed: list[Score],
    metrics: list[Internal],
    draw: Draw,
    cluster: Cluster,
    null_draws: int,
    seed: int,
    purpose: int,
) -> list[Score]:
    mark, what = ("", "Gaussians") if purpose == GAUSSIAN else ("@permuted", "permuted columns")
    values = [
        [metric(x, labels, max_rows=_null_rows(x), seed=seed).value for metric in metrics]
        for x, labels in structureless(draw, cluster, null_draws, seed, purpose)
    ]
    marked = [
        Score(f"{s.metric}{mark}", s.value, ci_low=s.ci_low, ci_high=s.ci_high, n=s.n, note=s.note) for s in observed
    ]
    columns = zip(marked, metrics, np.array(values).reshape(-1, len(metrics)).T, strict=True)
    return [against_null(score, metric, null, what) for score, metric, null in columns]


def _with_chance(
    metric: Internal, x: NDArray[Any], labels: NDArray[Any], n_draws: int, seed: int, max_rows: int | None
) -> Score:
    score = metric(x, labels, max_rows=max_rows, seed=seed)
    if score.value == metric.worst:
        return score
    shuffled = (generator(seed, SHUFFLED, number).permutation(labels) for number in range(n_draws))
    dealt = [metric(x, drawn, max_rows=_null_rows(x), seed=seed).value for drawn in shuffled]
    return against_chance(score, metric, np.array(dealt))


def _null_rows(x: NDArray[Any]) -> int | None:
    return NULL_ROWS if len(x) > EXACT_UP_TO else None


def _sample(n: int, max_rows: int | None, seed: int) -> NDArray[np.int64] | None:
    if max_rows is None or n <= max_rows:
        return None
    return np.sort(generator(seed, ROWS).choice(n, size=max_rows, replace=False))


def _fault(x: NDArray[Any], labels: NDArray[Any]) -> str:
    """Why these labels cannot be scored, or nothing."""
    kept = labels >= 0
    n, n_clusters = int(kept.sum()), len(np.unique(labels[kept]))
    if len(labels) < 3:
        return f"{len(labels)} tracks are too few to score"
    if not np.isfinite(x).all():
        return "values that are not finite"
    if n_clusters == 0:
        return "every track is noise"
    if n_clusters == 1:
        return "one cluster only"
    return "every track in a cluster is alone there" if n_clusters == n else ""


def _coverage_note(labels: NDArray[Any]) -> str:
    noise = int((labels < 0).sum())
    if not noise:
        return ""
    return f"coverage {1 - noise / len(labels):.1%}: {noise:,} of {len(labels):,} tracks are noise ({noise / len(labels):.1%})"


silhouette = Internal("silhouette", "internal", True, -1.0, mean_silhouette)
calinski_harabasz = Internal("calinski_harabasz", "internal", True, 0.0, ratio_of_variances)
davies_bouldin = Internal("davies_bouldin", "internal", False, DAVIES_BOULDIN_WORST, ratio_of_spreads)
silhouette_input = Internal("silhouette_input", "input", True, -1.0, mean_silhouette)
davies_bouldin_input = Internal("davies_bouldin_input", "input", False, DAVIES_BOULDIN_WORST, ratio_of_spreads)
coverage = Coverage("coverage", "coverage", True, 0.0)
