"""What a number means, in a reader's words: the study's own, and the one found here."""

from __future__ import annotations

from ray_pipeline.audit.controls import LARGEST_SHARE, gaussian, random_clusters
from ray_pipeline.audit.study import LEAD

ALPHA, CLEAR_Z = 0.05, 2.0
EXTERNAL = ("ami", "ari", "nmi", "purity")
DISAGREES = 0.05
"""Share by which a loss may differ and still count as the study's."""


def of_reported(metric: str, value: float, clusterer: str) -> str:
    """What the study's number is, judged by what holds no structure; "" where nothing can be said."""
    if metric == "purity" and value < LARGEST_SHARE:
        return f"impossible: below the largest genre's share, {LARGEST_SHARE:.4f}"
    if metric in EXTERNAL and random_clusters()[metric].holds(value):
        return "what random clusters score"
    if metric in LEAD and gaussian(1)[metric].holds(value):
        return "what a structureless 1-D Gaussian scores"
    if metric == "silhouette" and clusterer == "dbscan":
        return "leaves the noise out"
    return ""


def of_internal(z: float | None, collapsed: bool, n_above: int, n_seeds: int, n_unscored: int = 0) -> str:
    """A score of the latents beside the same clusterer on structureless data of the same covariance.

    `z` is the mean over `n_seeds`, of which with `n_above` the score is higher than every draw of the null. With
    `n_unscored` of them, but not with all, there were no clusters that can be scored: then `z` is not looked at.
    """
    fallen = "collapsed: " if collapsed else ""
    if n_unscored:
        return f"{fallen}with {n_unscored} of {n_seeds} seeds no clusters that can be scored"
    if z is None:
        return f"{fallen}nothing to compare: no clusters that can be scored"
    if z >= CLEAR_Z:
        seeds = "" if n_above == n_seeds else f", with {n_above} of {n_seeds} seeds above all of it"
        return f"{fallen}above structureless data, z = {z:.1f}{seeds}"
    if z <= -CLEAR_Z:
        return f"{fallen}worse than structureless data, z = {z:.1f}"
    return f"{fallen}what structureless data scores, z = {z:.1f}"


def of_external(p: float | None, leak: str) -> str:
    """A score with labels."""
    if leak:
        return leak
    if p is None:
        return "not tested against chance"
    return f"above chance, p = {p:.3f}" if p <= ALPHA else f"at chance, p = {p:.2f}"


def of_gap(p: float | None, sees_lyrics: bool) -> str:
    """Agreement of the clusters with "has lyrics": above chance they tell of the gap in the data.

    A model that never saw lyrics cannot have followed it: songs sound unlike tunes without words.
    """
    if p is None:
        return "no gap in lyrics to follow"
    if p > ALPHA:
        return f"gap in lyrics not followed, p = {p:.2f}"
    if sees_lyrics:
        return f"follows the gap in lyrics, not music: p = {p:.3f}"
    return f"tells by sound which tracks have lyrics, p = {p:.3f}"


def of_fit(metric: str, reported: float | None, mean: float) -> str:
    """A loss, or the number of parameters, beside the study's."""
    if reported is None:
        return ""
    if metric == "n_parameters":
        return "exact" if mean == reported else f"{(mean - reported) / reported:+.1%}: another layout or input width"
    apart = (mean - reported) / abs(reported)
    return "agrees" if abs(apart) <= DISAGREES else f"{apart:+.0%}: other tracks"
