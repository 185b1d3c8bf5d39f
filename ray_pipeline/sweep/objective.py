"""What a trial is worth: gates that collapse does not pass, and the objective of those that do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ray_pipeline import shelf
from ray_pipeline.config import LABEL, Scoring
from ray_pipeline.errors import ConfigError
from ray_pipeline.metrics.latent import most_error
from ray_pipeline.metrics.score import LEAK, Score, shelf_name
from ray_pipeline.space import Gates

WORST = -1e9
"""Objective of a trial that passed no gate or failed; below all that a metric can give, and finite."""

LIFT, Z = "lift", "z"
PARTS = (LIFT, Z)
# Family of metrics -> the key of `scoring` that names what they are held against.
_HELD_AGAINST = {"external": "label", "disentanglement": "factors"}
# Family -> the marks of its further rows, see `metrics.score.Score`.
_MARKS = {"internal": ("@permuted",), "external": ("@artists",), "disentanglement": ("@rotated",)}
# Families whose scores stand alone.
_WITHOUT_CHANCE = {"coverage", "latent"}


@dataclass(frozen=True)
class Judged:
    """`values`, more is better, one for each objective; `reason` says which gate was not passed, "" if all were."""

    values: tuple[float, ...]
    reason: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Mean over the seeds of every metric, its lift and its z, as far as each seed has one.

    A score whose label the model was given is left out: it says nothing of what the model found.
    """
    spread: Mapping[str, float] = field(default_factory=dict)
    """Standard deviation over the seeds of the same; empty where there is one seed."""

    @property
    def standing(self) -> float:
        """One number for a scheduler, which compares trials that are still being trained; more is better.

        The objective where all gates are passed. Below them stand the others, who rebuilds best first: a model that is not
        trained far enough to pass is ahead of one that has collapsed.
        """
        if not self.reason:
            return self.values[0]
        error, yardstick = self.metrics.get("reconstruction"), self.metrics.get("reconstruction_pca2")
        behind = error / yardstick if error is not None and yardstick else math.inf
        return WORST - min(behind, -WORST)


def check_objectives(names: Sequence[str], scoring: Scoring | None = None) -> None:
    """Raise ConfigError where an objective does not exist, or `scoring` does not name what it is held against.

    One is a metric, with a mark where its family has one, and ``.lift`` or ``.z`` where it is held against chance:
    ``silhouette_input``, ``silhouette@permuted.lift``, …
    """
    known = list(shelf.shelf("metric"))
    for name in names:
        written, dot, part = name.partition(".")
        base = shelf_name(written)
        if base not in known:
            raise ConfigError(f"tune.objective: unknown metric '{name}'{shelf.suggest(base, known)}")
        family = _metric(name).family
        if written not in (base, *(base + mark for mark in _MARKS.get(family, ()))):
            marks = ", ".join(base + mark for mark in _MARKS.get(family, ())) or f"none but {base}"
            raise ConfigError(f"tune.objective: '{name}': there is no '{written}'; there is {marks}")
        if dot and (part not in PARTS or family in _WITHOUT_CHANCE):
            parts = "none" if family in _WITHOUT_CHANCE else ", ".join(f"{base}.{one}" for one in PARTS)
            raise ConfigError(f"tune.objective: '{name}': there is no '.{part}' of {base}; there is {parts}")
        key = _HELD_AGAINST.get(family)
        if scoring and key and not getattr(scoring, key):
            raise ConfigError(f"tune.objective: '{name}' is held against what scoring.{key} names, and it names none")


def uses_labels(names: Sequence[str], scoring: Scoring | None = None) -> bool:
    """Whether an objective is held against labels: then the sweep is no longer unsupervised, and has to say so."""
    families = {_metric(name).family for name in names}
    return "external" in families or (
        "disentanglement" in families and scoring is not None and LABEL in scoring.factors
    )


def needs_stability(names: Sequence[str]) -> bool:
    """Whether an objective is a score that `evaluation.evaluate` leaves out, since it clusters many times more."""
    return any(_metric(name).family == "stability" for name in names)


def needs_nulls(names: Sequence[str]) -> bool:
    """Whether an objective is a distance to chance, so that fewer draws would be another objective."""
    return any(name.rpartition(".")[2] in PARTS for name in names) or needs_stability(names)


def judge(
    seeds: Sequence[Sequence[Score]],
    labels: Sequence[NDArray[np.int32]],
    names: Sequence[str],
    gates: Gates,
    *,
    most_tracks: int = 0,
) -> Judged:
    """The objective over the seeds of a trial: the mean, or the worst there is if a gate is not passed with any of them.

    Parameters
    ----------
    seeds : the scores of each seed
    labels : int32 [n] of each seed, -1 = noise
    most_tracks : what a trial on much fewer is not compared with
    """
    metrics, spread = _over_seeds(seeds)
    if len(labels[0]) < gates.fewest_tracks * most_tracks:
        reason = f"places {len(labels[0]):,} tracks, others {most_tracks:,}: not to be compared"
        return Judged((WORST,) * len(names), reason, metrics, spread)
    for scores, clusters in zip(seeds, labels, strict=True):
        if reason := _gated(scores, clusters, gates):
            return Judged((WORST,) * len(names), reason, metrics, spread)
    if leaked := sorted({name for name in names if _leaked(name, seeds)}):
        reason = f"{LEAK}: the model was given what {', '.join(leaked)} is held against"
        return Judged((WORST,) * len(names), reason, metrics, spread)
    values = tuple(_metric(name).direction * metrics.get(name, math.nan) for name in names)
    if not all(math.isfinite(value) for value in values):
        missing = ", ".join(name for name, value in zip(names, values, strict=True) if not math.isfinite(value))
        return Judged((WORST,) * len(names), f"no value of {missing}", metrics, spread)
    return Judged(values, "", metrics, spread)


def pareto_front(values: Sequence[Sequence[float]]) -> list[int]:
    """Places of the points that no other is at least as good as in everything and better in something."""
    points = np.asarray(values, float)
    out = []
    for i, point in enumerate(points):
        better = (points >= point).all(axis=1) & (points > point).any(axis=1)
        if not better.any():
            out.append(i)
    return out


def _metric(name: str) -> _Direction:
    base, _, part = name.partition(".")
    metric = shelf.part("metric", shelf_name(base))
    # Lift and z are signed so that more is better.
    return _Direction(1 if part in PARTS else metric.direction, metric.family)


@dataclass(frozen=True)
class _Direction:
    direction: int
    family: str


def _over_seeds(seeds: Sequence[Sequence[Score]]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and standard deviation over seeds of each metric, its lift and its z, where all seeds have it."""
    found: dict[str, list[float]] = {}
    for scores in seeds:
        for score in scores:
            if score.leaked:
                continue
            for name, value in (
                (score.metric, score.value),
                *((f"{score.metric}.{p}", getattr(score, p)) for p in PARTS),
            ):
                if math.isfinite(value):
                    found.setdefault(name, []).append(value)
    # The mean of the seeds that have one would be that of the best; two, over the first alone, stand for all seeds.
    alone = {score.metric for score in seeds[0]} - {score.metric for scores in seeds[1:] for score in scores}
    whole = {name: v for name, v in found.items() if len(v) == len(seeds) or name.split(".")[0] in alone}
    means = {name: float(np.mean(values)) for name, values in whole.items()}
    return means, {name: float(np.std(values, ddof=1)) for name, values in whole.items() if len(values) > 1}


def _leaked(name: str, seeds: Sequence[Sequence[Score]]) -> bool:
    """Whether the model was given what the metric of the objective `name` is held against."""
    metric = name.partition(".")[0]
    return any(score.metric == metric and score.leaked for scores in seeds for score in scores)


def _gated(scores: Sequence[Score], labels: NDArray[np.int32], gates: Gates) -> str:
    """The first gate that is not passed."""
    by_name = {score.metric: score.value for score in scores}
    error, yardstick = by_name.get("reconstruction", math.nan), by_name.get("reconstruction_pca2", math.nan)
    if gates.reconstruction and not error <= most_error(yardstick):
        return f"rebuilds worse than PCA with two components ({error:.3g} against {yardstick:.3g})"
    if gates.reconstruction and by_name.get("active_units") == 0:
        return "not one latent dimension is active: the latents hold nothing"
    noise = float((labels < 0).mean())
    if noise > gates.largest_noise:
        return f"{noise:.1%} noise, more than {gates.largest_noise:.0%}"
    if len(np.unique(labels[labels >= 0])) == 1:
        return "one cluster only"
    sizes = np.bincount(labels[labels >= 0]) / len(labels)
    smallest = float(sizes[sizes > 0].min(initial=1.0)) if (sizes > 0).any() else 0.0
    if smallest < gates.smallest_cluster:
        return f"a cluster of {smallest:.2%} of the tracks, less than {gates.smallest_cluster:.0%}"
    return ""
