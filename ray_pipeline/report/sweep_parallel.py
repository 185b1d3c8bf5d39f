"""Geometry of the parallel coordinates (Inselberg 1985): an upright axis a knob and an objective, a line a trial."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ray_pipeline.report.plots import Tick
from ray_pipeline.report.sweep_data import Results
from ray_pipeline.report.sweep_marks import MIN_TICK, Mark, looks, said, scale, shown
from ray_pipeline.sweep.importance import is_number

MAX_KNOBS = 8
HEIGHT, GAP, SPACING, LEAST_WIDTH = 260.0, 34.0, 130.0, 860.0
SPREAD = 7.0
NAME_CHARS, KIND_CHARS = 20, 200
NOT_SET, NO_SCORE = "not set", "no score"
FEW, MANY = 40, 150
WIDE = 8  # axes


@dataclass(frozen=True)
class Axis:
    """One upright line; trials without a value on it pass at `absent`, below. `side`: `first`, `mid` or `last`."""

    x: float
    section: str
    name: str
    ticks: list[Tick]
    absent: Tick | None
    side: str


@dataclass(frozen=True)
class Parallel:
    """`lines` are the trials, the worst first and the best drawn over all; `left_out` are the knobs without an axis."""

    width: float
    height: float
    axes: list[Axis]
    lines: list[Mark]
    look: str
    left_out: list[str]


def parallel(sweep: Results) -> Parallel | None:
    """The whole picture; None where no knob varies."""
    knobs = sweep.knobs[:MAX_KNOBS]
    if not knobs:
        return None
    names = [*knobs, *sweep.data.objective]
    width = max(SPACING * (len(names) - 1), LEAST_WIDTH)
    xs = [round(width * at / (len(names) - 1), 1) for at in range(len(names))]
    columns = [_knob(sweep, knob) for knob in knobs]
    columns += [_objective(sweep, at) for at in range(len(sweep.data.objective))]
    heights = [_side_by_side(sweep, column) for column in columns]
    colours = looks(sweep)
    lines = [
        Mark(colours[t.number], said(t, sweep.data.objective), _path(xs, [one[t.number] for one in heights]))
        for t in sweep.drawn
    ]
    if sweep.passed:
        lines.append(Mark("best", lines[-1].title, lines[-1].path))
    sides = ["first", *["mid"] * (len(names) - 2), "last"]
    axes = [
        Axis(x, *_split(name), column.ticks, column.absent, side)
        for x, name, column, side in zip(xs, names, columns, sides, strict=True)
    ]
    density = "sparse" if len(lines) <= FEW else "middle" if len(lines) <= MANY else "dense"
    look = f"{density} wide" if len(axes) >= WIDE else density
    return Parallel(width, HEIGHT + GAP, axes, lines, look, sweep.knobs[MAX_KNOBS:])


@dataclass
class _Column:
    """Where trials, by their number, cross an axis: shares of its height."""

    shares: dict[int, float] = field(default_factory=dict)
    ticks: list[Tick] = field(default_factory=list)
    absent: Tick | None = None


def _column(sweep: Results, shares: dict[int, float], ticks: Sequence[tuple[float, str]], absent: str) -> _Column:
    lacking = Tick(HEIGHT + GAP, absent) if len(shares) < len(sweep.trials) else None
    return _Column(shares, [Tick(round(HEIGHT * (1 - share), 1), text) for share, text in ticks], lacking)


def _knob(sweep: Results, knob: str) -> _Column:
    values = {t.number: t.point[knob] for t in sweep.trials if knob in t.point}
    if all(map(is_number, values.values())):
        axis = scale([float(value) for value in values.values()], HEIGHT)
        return _column(sweep, {at: axis.share(float(value)) for at, value in values.items()}, axis.ticks, NOT_SET)
    kinds = _by_worth(sweep, knob)
    place = {text: (at + 0.5) / len(kinds) for at, text in enumerate(kinds)}
    step = max(1, math.ceil(MIN_TICK * len(kinds) / HEIGHT))
    shares = {at: place[shown(value, KIND_CHARS)] for at, value in values.items()}
    return _column(sweep, shares, [(place[text], shown(text)) for text in kinds[::step]], NOT_SET)


def _by_worth(sweep: Results, knob: str) -> list[str]:
    """The values of a knob that is no number, ranked by the mean of the first objective over the trials that have it."""
    worth: dict[str, list[float]] = {}
    for t in sweep.trials:
        if knob in t.point:
            worth.setdefault(shown(t.point[knob], KIND_CHARS), []).extend(t.values[:1])
    return sorted(worth, key=lambda text: (sum(worth[text]) / len(worth[text]) if worth[text] else -math.inf, text))


def _objective(sweep: Results, at: int) -> _Column:
    if not sweep.passed:
        return _column(sweep, {}, [], NO_SCORE)
    axis = scale([t.values[at] for t in sweep.passed], HEIGHT)
    return _column(sweep, {t.number: axis.share(t.values[at]) for t in sweep.passed}, axis.ticks, NO_SCORE)


def _side_by_side(sweep: Results, column: _Column) -> dict[int, float]:
    """Trial → y. Those that would cross at one place lie side by side there, the better above."""
    groups: dict[float, list[int]] = {}
    for t in reversed(sweep.drawn):
        y = HEIGHT * (1 - column.shares[t.number]) if t.number in column.shares else HEIGHT + GAP
        groups.setdefault(round(y, 3), []).append(t.number)
    room = min((b - a for a, b in pairwise(sorted(groups))), default=HEIGHT)
    band = min(SPREAD, 0.35 * room)
    return {
        number: round(y + (0 if len(numbers) == 1 else band * (2 * at / (len(numbers) - 1) - 1)), 1)
        for y, numbers in groups.items()
        for at, number in enumerate(numbers)
    }


def _path(xs: Sequence[float], ys: Sequence[float]) -> str:
    """A smooth line, level where it crosses an axis."""
    path = f"M{xs[0]} {ys[0]}"
    for (x, y), (to_x, to_y) in pairwise(zip(xs, ys, strict=True)):
        middle = round((x + to_x) / 2, 1)
        path += f"C{middle} {y} {middle} {to_y} {to_x} {to_y}"
    return path


def _split(name: str) -> tuple[str, str]:
    """`("model", "latent_dim")`; an overlong name is cut."""
    section, _, last = name.rpartition(".")
    return shown(section, NAME_CHARS), shown(last, NAME_CHARS)
