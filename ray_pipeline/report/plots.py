"""Geometry of the report's charts, in SVG user units; `templates/charts.html` draws it.

Drawn here rather than with a chart library: the whole page stays near 100 kB and needs no script to be seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ray_pipeline.report.data import Row, finite
from ray_pipeline.report.scores import Score

ACTIVE_NATS = 0.01


@dataclass(frozen=True)
class Strip:
    """A score on a line: a band or tick for the yardstick, a whisker for the uncertainty, a dot for the value."""

    dot: float
    tick: float | None
    band: tuple[float, float] | None
    whisker: tuple[float, float] | None
    zero: float | None


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """One curve over epochs; `path` breaks where a value is missing."""

    title: str
    path: str
    end: tuple[float, float]
    first: float
    last: float
    y_ticks: list[Tick]
    x_ticks: list[Tick]


@dataclass(frozen=True)
class KlBars:
    """KL of each latent dimension, largest first, on a log scale: (x, y, active, dimension, nats)."""

    width: float
    stems: list[tuple[float, float, bool, int, float]]
    threshold_y: float
    y_ticks: list[Tick]
    active: int


@dataclass(frozen=True)
class KCurve:
    """A quantity over the number of clusters: its curve, a band to hold it against, and a mark at the k that was chosen."""

    title: str
    path: str
    dots: list[tuple[float, float, bool]]
    band: str
    y_ticks: list[Tick]
    x_ticks: list[Tick]


def strip(score: Score, width: float = 150.0) -> Strip | None:
    """The picture of one score; external scores on 0 to 1, others on a range that holds value and yardstick."""
    if score.value is None or (score.null_mean is None and score.chance is None):
        return None
    external = score.metric.kind == "external"
    tick = score.null_mean if score.metric.kind == "internal" else score.chance
    spread = 2 * score.null_sd if score.null_sd is not None else None
    band = (tick - spread, tick + spread) if tick is not None and spread is not None else None
    whisker = _whisker(score)
    ends = [
        score.value,
        *([] if tick is None else [tick]),
        *(band or ()),
        *(whisker or ()),
        *((0.0, 1.0) if external else ()),
    ]
    low, high = min(ends), max(ends)
    pad = 0.0 if external else 0.12 * ((high - low) or abs(high) or 1.0)
    low, span = low - pad, (high - low + 2 * pad) or 1.0

    def at(value: float) -> float:
        return round(6 + (width - 12) * (value - low) / span, 2)

    return Strip(
        dot=at(score.value),
        tick=None if tick is None else at(tick),
        band=band and (at(band[0]), at(band[1])),
        whisker=whisker and (at(whisker[0]), at(whisker[1])),
        zero=at(0.0) if external else None,
    )


def line(rows: Sequence[Row], key: str, title: str, width: float = 300.0, height: float = 180.0) -> Line | None:
    """The curve of `key` over epochs in a box ``width × height``; None where no value is finite."""
    points = [(float(row["epoch"]), value) for row in rows if (value := finite(row.get(key))) is not None]
    if not points:
        return None
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    ticks = nice_ticks(min(y for _, y in points), max(y for _, y in points))
    y_low, y_high = ticks[0], ticks[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        return round(width * across, 1), round(height * (1 - (y - y_low) / (y_high - y_low)), 1)

    path, pen = [], "M"
    for row in rows:
        value = finite(row.get(key))
        if value is None:
            pen = "M"
            continue
        x, y = place(float(row["epoch"]), value)
        path.append(f"{pen}{x} {y}")
        pen = "L"
    ends = [x_low] if x_high == x_low else [x_low, x_high]
    return Line(
        title=title,
        path="".join(path),
        end=place(*points[-1]),
        first=points[0][1],
        last=points[-1][1],
        y_ticks=[Tick(place(x_low, tick)[1], f"{tick:,.6g}".replace("-", "−")) for tick in ticks],
        x_ticks=[Tick(place(x, y_low)[0], f"{x:.0f}") for x in ends],
    )


def kl_bars(kl: Sequence[float], width: float = 640.0, height: float = 180.0) -> KlBars | None:
    """KL per latent dimension, nats, sorted; log scale, since 0.01 would lie on the axis of a linear one."""
    values = sorted(((finite(v) or 0.0, i) for i, v in enumerate(kl)), key=lambda pair: (-pair[0], pair[1]))
    if not values:
        return None
    floor, top = -4, max(1, math.ceil(math.log10(max(values[0][0], ACTIVE_NATS))))

    def y(nats: float) -> float:
        exponent = max(math.log10(nats), floor) if nats > 0 else floor
        return round(height * (top - exponent) / (top - floor), 1)

    step = width / len(values)
    return KlBars(
        width=width,
        stems=[(round((i + 0.5) * step, 1), y(v), v > ACTIVE_NATS, d, v) for i, (v, d) in enumerate(values)],
        threshold_y=y(ACTIVE_NATS),
        y_ticks=[Tick(y(10.0**e), f"{10.0**e:g}") for e in range(floor, top + 1)],
        active=sum(v > ACTIVE_NATS for v, _ in values),
    )


def k_curves(rows: Sequence[Row], width: float = 300.0, height: float = 180.0) -> list[KCurve]:
    """Silhouette, with mean ± 2 deviations of structureless data, and stability, over k; nothing for fewer than two k."""
    if len(rows) < 2:
        return []
    low, high = ([row["null_mean"] + sign * 2 * row["null_sd"] for row in rows] for sign in (-1, 1))
    values = [row["silhouette"] for row in rows]
    ticks = nice_ticks(min(*values, *low), max(*values, *high))
    silhouette = _k_curve("Silhouette", rows, "silhouette", ticks, [*low, *high[::-1]], width, height)
    return [silhouette, _k_curve("Stability", rows, "stability", [0.0, 0.25, 0.5, 0.75, 1.0], [], width, height)]


def _k_curve(
    title: str, rows: Sequence[Row], key: str, ticks: list[float], around: list[float], width: float, height: float
) -> KCurve:
    """`around` are the values of a band's edge, there and back."""
    ks = [float(row["k"]) for row in rows]

    def place(k: float, value: float) -> tuple[float, float]:
        up = (max(value, ticks[0]) - ticks[0]) / (ticks[-1] - ticks[0])
        return round(width * (k - ks[0]) / (ks[-1] - ks[0]), 1), round(height * (1 - up), 1)

    def path(across: list[float], values: list[float]) -> str:
        return "M" + "L".join(f"{x} {y}" for x, y in map(place, across, values))

    values = [float(row[key]) for row in rows]
    return KCurve(
        title=title,
        path=path(ks, values),
        dots=[(*place(k, v), bool(row["chosen"])) for k, v, row in zip(ks, values, rows, strict=True)],
        band=path([*ks, *ks[::-1]], around) + "Z" if around else "",
        y_ticks=[Tick(place(ks[0], tick)[1], f"{tick:,.6g}".replace("-", "−")) for tick in ticks],
        x_ticks=[Tick(place(k, ticks[0])[0], f"{k:.0f}") for k in ks[:: max(1, round(len(ks) / 5))]],
    )


def nice_ticks(low: float, high: float, n: int = 4) -> list[float]:
    """About `n` round numbers that enclose `low` to `high`; at least two."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / n))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m * n >= span)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def _whisker(score: Score) -> tuple[float, float] | None:
    assert score.value is not None
    if score.ci_low is not None and score.ci_high is not None:
        return score.ci_low, score.ci_high
    return (score.value - score.spread, score.value + score.spread) if score.spread else None
