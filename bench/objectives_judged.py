"""How well a label-free objective does by labels: rank correlation with AMI, and regret, each with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

# What a sweep can maximise without labels. A minus: less is better.
CANDIDATES: tuple[str, ...] = (
    "silhouette_input",
    "-davies_bouldin_input",
    "silhouette.lift",
    "silhouette.z",
    "stability",
    "stability.lift",
)
# Sums of the ranks of several: known only when the last trial has ended, so that nothing can be searched by them.
RANK_SUMS: tuple[str, ...] = (
    "silhouette_input & -davies_bouldin_input",
    "silhouette_input & silhouette.lift",
    "silhouette_input & silhouette.z",
    "silhouette_input & stability",
    "silhouette_input & -davies_bouldin_input & stability",
)
# Not to be chosen: what misled the study, and what any autoencoder minimises by itself.
FOR_COMPARISON: tuple[str, ...] = ("silhouette", "-reconstruction")
EVERY = (*CANDIDATES, *RANK_SUMS, *FOR_COMPARISON)
RESAMPLES = 2000
SAME_REGRET = 0.001

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """A number over all trials, its mean over bootstrap resamples of the trials, and their middle 95 %."""

    value: float
    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        if not np.isfinite(self.value):
            return "–"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})".replace("-", "−")


@dataclass(frozen=True)
class Judgement:
    """One candidate on one set of trials, `rho` over those that pass the gates and over all, and the winner's regret."""

    rho: Estimate
    rho_gated: Estimate
    regret: Estimate
    regret_gated: Estimate
    winner: int
    """The trial that it chooses among those that pass the gates."""


def values_of(candidate: str, metrics: Sequence[Mapping[str, float]]) -> Floats:
    """[n_trials], more is better."""
    columns = [_column(name, metrics) for name in candidate.split(" & ")]
    return columns[0] if len(columns) == 1 else np.asarray(sum(rankdata(column) for column in columns), float)


def _column(name: str, metrics: Sequence[Mapping[str, float]]) -> Floats:
    """What was not measured is worth less than all that was."""
    sign = -1 if name.startswith("-") else 1
    values = sign * np.array([one.get(name.removeprefix("-"), np.nan) for one in metrics], float)
    return np.where(np.isfinite(values), values, np.nanmin(values, initial=0.0) - 1)


def judged(values: Floats, ami: Floats, passed: Bools, seed: int = 0) -> Judgement:
    """`values` and `ami` [n_trials]; `passed` says which trials the gates let through."""
    everything, whole = np.ones_like(passed), np.arange(len(ami))

    def estimate(of: Any, rows: NDArray[np.int64], kept: Bools) -> Estimate:
        if len(rows) < 2:
            return Estimate(np.nan, np.nan, np.nan, np.nan)
        drawn = rows[np.random.default_rng(seed).integers(len(rows), size=(RESAMPLES, len(rows)))]
        value, resampled = (of(values[at], ami[at], kept[at]) for at in (rows[None], drawn))
        resampled = resampled[np.isfinite(resampled)]
        if not len(resampled):
            return Estimate(np.nan, np.nan, np.nan, np.nan)
        low, high = np.percentile(resampled, (2.5, 97.5))
        return Estimate(float(value[0]), float(resampled.mean()), float(low), float(high))

    return Judgement(
        rho=estimate(spearman, whole, everything),
        rho_gated=estimate(spearman, np.flatnonzero(passed), everything),
        regret=estimate(regret, whole, everything),
        regret_gated=estimate(regret, whole, passed),
        winner=int(np.argmax(np.where(passed, values, -np.inf))) if passed.any() else int(np.argmax(values)),
    )


def by_chance(ami: Floats, passed: Bools, seed: int = 0) -> Estimate:
    """Regret of a trial drawn at random from those that pass."""
    return judged(np.zeros_like(ami), ami, passed, seed).regret_gated


def spearman(values: Floats, ami: Floats, _: Bools) -> Floats:
    """Rank correlation of each row of `values` [b, n] with the same row of `ami`; NaN where one of them is constant."""
    ranks = [rankdata(x, axis=1) for x in (values, ami)]
    x, y = (one - one.mean(axis=1, keepdims=True) for one in ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1)))


def regret(values: Floats, ami: Floats, passed: Bools) -> Floats:
    """Best AMI of each row [b, n], of all trials, less that of the winner among those that passed.

    Winners that tie are one drawn from them; where none passed, one is drawn from all.
    """
    open_to = np.where(passed.any(axis=1, keepdims=True), passed, True)
    worth = np.where(open_to, np.where(passed.any(axis=1, keepdims=True), values, 0.0), -np.inf)
    winners = worth == worth.max(axis=1, keepdims=True)
    won = np.where(winners, ami, 0.0).sum(axis=1) / winners.sum(axis=1)
    return np.asarray(ami.max(axis=1) - won)


def chosen(judgements: Mapping[str, Judgement]) -> str:
    """Of what a sweep can maximise, the least expected regret with gates over resamples; within .001, the best correlated."""
    eligible = {name: judgements[name] for name in CANDIDATES}
    least = min(one.regret_gated.mean for one in eligible.values())
    close = {name: one for name, one in eligible.items() if one.regret_gated.mean <= least + SAME_REGRET}
    return max(close, key=lambda name: close[name].rho_gated.value)
