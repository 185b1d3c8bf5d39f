"""Geometry of trials by two numbers: a metric over a knob with each trial's null, and objectives against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from ray_pipeline.report.plots import Tick, nice_ticks
from ray_pipeline.report.sweep_data import Results, Tried
from ray_pipeline.report.sweep_marks import Mark, looks, said, scale
from ray_pipeline.sweep.importance import is_number

WIDTH, HEIGHT = 300.0, 180.0
MAX_PAIRS = 3


@dataclass(frozen=True)
class Scatter:
    """Trials by two numbers, the best drawn last; a mark's `null_y` is what its value is held against."""

    x_name: str
    y_name: str
    dots: list[Mark]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    path: str = ""
    """Joins a front."""

    @property
    def with_nulls(self) -> bool:
        return any(dot.null_y is not None for dot in self.dots)


def numeric_knobs(sweep: Results) -> list[str]:
    """Knobs that are numbers wherever they are set, and of which there are several."""
    found = []
    for knob in sweep.knobs:
        values = [trial.point[knob] for trial in sweep.trials if knob in trial.point]
        if all(map(is_number, values)) and len(set(values)) > 1:
            found.append(knob)
    return found


def against(sweep: Results, knob: str, metric: str) -> Scatter | None:
    """`metric` of each trial over a number `knob`, with its null; None where fewer than two trials have both."""
    trials = [trial for trial in sweep.drawn if is_number(trial.point.get(knob)) and metric in trial.scores]
    if len(trials) < 2:
        return None
    xs = [float(trial.point[knob]) for trial in trials]
    ys = [trial.scores[metric] for trial in trials]
    return _scatter(sweep, trials, (knob, xs), (metric, ys), [sweep.null(trial, metric) for trial in trials])


def fronts(sweep: Results) -> list[Scatter]:
    """Every two objectives against each other, of two the front joined; nothing for a single objective."""
    names, front = sweep.data.objective, {trial.number for trial in sweep.front}
    trials = sorted(sweep.passed, key=lambda trial: trial.number in front)
    out = []
    for i, j in list(combinations(range(len(names)), 2))[:MAX_PAIRS] if trials else []:
        (xs, ys) = ([trial.values[at] for trial in trials] for at in (i, j))
        drawn = _scatter(sweep, trials, (names[i], xs), (names[j], ys), [None] * len(trials))
        dots = [
            replace(dot, look="best" if trial.number in front else "off")
            for trial, dot in zip(trials, drawn.dots, strict=True)
        ]
        joined = sorted({dot.at for dot in dots if dot.look == "best"}) if len(names) == 2 else []
        # A staircase: between two of the front, nothing better than the worse of them in each objective was reached.
        path = "M{} {}".format(*joined[0]) + "".join(f"V{y}H{x}" for x, y in joined[1:]) if len(joined) > 1 else ""
        out.append(replace(drawn, dots=dots, path=path))
    return out


def _scatter(
    sweep: Results,
    trials: Sequence[Tried],
    across: tuple[str, Sequence[float]],
    up: tuple[str, Sequence[float]],
    nulls: Sequence[float | None],
) -> Scatter:
    (x_name, xs), (y_name, ys) = across, up
    x_scale = scale(xs, WIDTH / 2)
    every = [*ys, *(null for null in nulls if null is not None)]
    y_ticks = nice_ticks(min(every), max(every))

    def y(value: float) -> float:
        return round(HEIGHT * (1 - (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])), 1)

    look = looks(sweep)
    dots = [
        Mark(
            look[trial.number],
            said(trial, sweep.data.objective),
            at=(round(WIDTH * x_scale.share(x), 1), y(value)),
            null_y=None if null is None else y(null),
        )
        for trial, x, value, null in zip(trials, xs, ys, nulls, strict=True)
    ]
    return Scatter(
        x_name,
        y_name,
        dots,
        [Tick(round(WIDTH * share, 1), text) for share, text in x_scale.ticks],
        [Tick(y(tick), f"{tick:,.6g}".replace("-", "−")) for tick in y_ticks],
    )
