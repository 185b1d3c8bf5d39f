"""How much each knob of a sweep matters: functional ANOVA, beside what it finds where nothing matters."""

from __future__ import annotations

import json
import math
import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from ray_pipeline.sweep.objective import WORST

FEWEST = 10  # trials
FEWEST_PER_KNOB = 3  # trials
N_TREES = 16
SHUFFLES = 5
APART = 0.1
MANY_TIMES = 20.0
"""A range whose ends are this many times apart is one of magnitudes: its logarithm is looked at."""

Point = Mapping[str, Any]


@dataclass(frozen=True)
class Importance:
    """`shares`: of the variance of one objective over the trials, what each knob explains by itself, largest first.

    What is left to 1 is owed to knobs together. `chance` is the same with the objective's values shuffled among the trials:
    a forest finds some importance anywhere. Where nothing can be told, both are empty and `note` says why.
    """

    objective: str
    n: int
    shares: dict[str, float] = field(default_factory=dict)
    chance: dict[str, float] = field(default_factory=dict)
    note: str = ""


def importance(
    points: Sequence[Point], values: Sequence[Sequence[float]], objective: Sequence[str], seed: int
) -> list[Importance]:
    """The importance of each knob to each objective, by optuna's functional ANOVA (Hutter et al. 2014).

    Parameters
    ----------
    points : dotted keys and their values, a trial each
    values : more is better, one for each of `objective`; trials without a finite value above `WORST` are left out
    """
    found = [(point, row) for point, row in zip(points, values, strict=True) if _counts(row, len(objective))]
    kept = [point for point, _ in found]
    knobs = varying(kept)
    fewest = max(FEWEST, FEWEST_PER_KNOB * len(knobs))
    if not knobs or len(kept) < fewest:
        why = f"{len(kept)} trials passed; telling needs {fewest}" if knobs or len(kept) < fewest else "no knob varies"
        return [Importance(name, len(kept), note=why) for name in objective]
    return [_of_one(name, kept, knobs, [float(row[at]) for _, row in found], seed) for at, name in enumerate(objective)]


def varying(points: Sequence[Point]) -> list[str]:
    """The keys that are not the same in all `points`, in the order in which they come."""
    keys = list(dict.fromkeys(key for point in points for key in point))
    return [key for key in keys if len({_text(point, key) for point in points}) > 1]


def _counts(row: Sequence[float], n: int) -> bool:
    return len(row) == n and all(math.isfinite(value) and value > WORST for value in row)


def _of_one(name: str, points: Sequence[Point], knobs: list[str], values: list[float], seed: int) -> Importance:
    if max(values) - min(values) <= 1e-12 * max(map(abs, values), default=1.0):
        return Importance(name, len(values), note="the objective is the same in all trials")
    shares = _anova(points, knobs, values, seed)
    rng = random.Random(seed)
    shuffled = [_anova(points, knobs, rng.sample(values, len(values)), seed) for _ in range(SHUFFLES)]
    chance = {knob: fmean(one[knob] for one in shuffled) for knob in knobs}
    ranked = sorted(knobs, key=lambda knob: -shares[knob])
    return Importance(name, len(values), {k: shares[k] for k in ranked}, {k: chance[k] for k in ranked})


def _anova(points: Sequence[Point], knobs: list[str], values: list[float], seed: int) -> dict[str, float]:
    """Share of the variance that each knob explains by itself."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning, message=".*normalize.*")
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=seed))
    axes = {knob: _distribution(points, knob) for knob in knobs}
    for point, value in zip(points, values, strict=True):
        params = {knob: _coded(point, knob, axes[knob]) for knob in knobs}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=axes, value=value))
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=N_TREES, seed=seed)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=knobs, normalize=False)
    return {knob: float(found[knob]) for knob in knobs}


def _distribution(points: Sequence[Point], knob: str) -> Any:
    """A range where all that is set is a number, else the distinct values as categories, "not set" among them."""
    import optuna

    numbers = _numbers(points, knob)
    if not numbers:
        return optuna.distributions.CategoricalDistribution(sorted({_text(point, knob) for point in points}))
    low, high = min(numbers), max(numbers)
    log = is_wide(low, high)
    if len(numbers) < len(points):
        # A tree can part what is not set from the rest if it lies apart from it.
        low = low * (low / high) ** APART if log else low - APART * ((high - low) or 1.0)
    return optuna.distributions.FloatDistribution(low, high, log=log)


def _coded(point: Point, knob: str, axis: Any) -> Any:
    if not hasattr(axis, "low"):
        return _text(point, knob)
    return float(point[knob]) if knob in point else axis.low


def _numbers(points: Sequence[Point], knob: str) -> list[float]:
    """The values of a knob that is a number wherever it is set; none where it is not."""
    values = [point[knob] for point in points if knob in point]
    return [float(value) for value in values] if all(map(is_number, values)) else []


def is_number(value: Any) -> bool:
    """Whether it is a finite number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_wide(low: float, high: float) -> bool:
    """Whether a range is one of magnitudes, to be looked at by its logarithm."""
    return low > 0 and high / low >= MANY_TIMES


def _text(point: Point, knob: str) -> str:
    return json.dumps(point[knob], sort_keys=True, default=str) if knob in point else "not set"
