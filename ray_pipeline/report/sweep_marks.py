"""What a sweep's charts share: scales, how a trial looks, and what is said of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray_pipeline.report.plots import nice_ticks
from ray_pipeline.report.sweep_data import Results, Tried
from ray_pipeline.sweep.importance import is_number, is_wide

LOOKS = 7
"""Colours from worst to best; each has as many of the trials."""
FEW = 8
MIN_TICK = 15.0
VALUE_CHARS = 14


@dataclass(frozen=True)
class Mark:
    """One trial: a path or a place, how it looks (`q0` … `q6`, `off`, `best`), and what is said of it."""

    look: str
    title: str
    path: str = ""
    at: tuple[float, float] = (0.0, 0.0)
    null_y: float | None = None


@dataclass(frozen=True)
class Scale:
    """Values → shares of an axis, 0 at its low end and 1 at its high one; of a single value, the middle."""

    low: float
    high: float
    log: bool
    ticks: list[tuple[float, str]]

    def share(self, value: float) -> float:
        if self.high <= self.low:
            return 0.5
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return (at - low) / (high - low)


def scale(values: Sequence[float], length: float) -> Scale:
    """An axis for `values`: logarithmic where they are magnitudes; their own values as ticks where those are few."""
    own = sorted(set(values))
    low, high = own[0], own[-1]
    bare = Scale(low, high, is_wide(low, high), [])
    if len(own) > FEW:
        round_ones = _decades(low, high) if bare.log else nice_ticks(low, high)
        own = [value for value in round_ones if low <= value <= high] or [low, high]
    ticks: list[tuple[float, str]] = []
    for value in own:
        if not ticks or (bare.share(value) - ticks[-1][0]) * length >= MIN_TICK:
            ticks.append((bare.share(value), shown(value)))
    return Scale(low, high, bare.log, ticks)


def looks(sweep: Results) -> list[str]:
    """How each trial is drawn, in their order: by its rank in the first objective; `off` without a score."""
    ranked = sweep.passed
    found = ["off"] * len(sweep.trials)
    for at, trial in enumerate(ranked):
        found[trial.number] = f"q{(len(ranked) - 1 - at) * LOOKS // len(ranked)}"
    return found


def said(trial: Tried, objective: Sequence[str]) -> str:
    """A trial in a line: where it is and what it is worth, or why it is worth nothing."""
    worth = ", ".join(f"{name} {shown(value)}" for name, value in zip(objective, trial.values, strict=False))
    why = f"{trial.status}: {trial.reason}" if trial.reason else trial.status
    return f"{summary(trial.point)} → {worth or why}"


def summary(point: Mapping[str, Any]) -> str:
    """A trial's point in a line."""
    return ", ".join(f"{key} {shown(value, 40)}" for key, value in point.items())


def shown(value: Any, most: int = VALUE_CHARS) -> str:
    """A value in few characters."""
    if is_number(value):
        return f"{value:.4g}".replace("-", "−")
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _decades(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, 20 …; only powers of ten where there are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10.0**power for power in powers for step in ((1, 2, 5) if len(powers) <= 4 else (1,))]
