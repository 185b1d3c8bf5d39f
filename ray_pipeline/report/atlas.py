"""The map: where each track lies, how its cluster and its label look, and the legends."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ray_pipeline.report.data import Row, cluster_of, finite, label_of

MAX_POINTS = 5_000
# Ten colours, each filled and hollow: beyond twenty, clusters share a look and are told apart by number and hover.
N_LOOKS = 20
MARGIN = 24.0


@dataclass(frozen=True)
class Key:
    """A legend's entry: `look` 0–19, or `noise`, `other`, `none`."""

    name: str
    look: str
    size: int


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    cluster: str
    label: str
    row: Row


@dataclass(frozen=True)
class Map:
    """Tracks in the plane. `marks` are the clusters' numbers at their medians: (x, y, number)."""

    width: float
    height: float
    density: str
    dots: list[Dot]
    marks: list[tuple[float, float, int]]
    cluster_keys: list[Key]
    label_keys: list[Key]
    total: int


def scatter(rows: Sequence[Row], seed: int, width: float = 960.0) -> Map | None:
    """The map of the tracks that have finite coordinates, a seeded sample above `MAX_POINTS`; None without any."""
    placed = [row for row in rows if finite(row.get("x2d")) is not None and finite(row.get("y2d")) is not None]
    if not placed:
        return None
    # Shuffled also when all are shown, so that no group lies on top of the others for coming last.
    shown = random.Random(seed).sample(placed, min(len(placed), MAX_POINTS))
    cluster_keys, cluster_looks = _looks([_cluster(row) for row in placed], by_size=False)
    label_keys, label_looks = _looks([label_of(row) for row in placed], by_size=True)
    points, height = _fit([(float(row["x2d"]), float(row["y2d"])) for row in shown], width)
    dots = [
        Dot(x, y, cluster_looks[_cluster(row)], label_looks[label_of(row)], row)
        for (x, y), row in zip(points, shown, strict=True)
    ]
    density = "sparse" if len(dots) <= 300 else "middle" if len(dots) <= 1500 else "dense"
    return Map(width, height, density, dots, _marks(dots), cluster_keys, label_keys, len(placed))


def _cluster(row: Row) -> str | None:
    value = cluster_of(row)
    return None if value is None else str(value)


def _looks(names: list[str | None], *, by_size: bool) -> tuple[list[Key], dict[str | None, str]]:
    """A legend and every name's look. Labels past the twenty commonest share `other`; clusters start over."""
    sizes = Counter(names)
    named = [name for name in sizes if name is not None and (by_size or name != "-1")]
    named.sort(key=(lambda name: (-sizes[name], name)) if by_size else int)
    own = named if not by_size or len(named) <= N_LOOKS else named[: N_LOOKS - 1]
    looks: dict[str | None, str] = {name: str((i if by_size else int(name)) % N_LOOKS) for i, name in enumerate(own)}
    keys = [Key(name, str(looks[name]), sizes[name]) for name in own]
    if len(own) < len(named):
        rest = named[len(own) :]
        looks.update(dict.fromkeys(rest, "other"))
        keys.append(Key(f"{len(rest)} other labels", "other", sum(sizes[name] for name in rest)))
    if not by_size and "-1" in sizes:
        looks["-1"] = "noise"
        keys.append(Key("noise", "noise", sizes["-1"]))
    if None in sizes:
        looks[None] = "none"
        keys.append(Key("no label" if by_size else "not clustered", "none", sizes[None]))
    return keys, looks


def _fit(points: list[tuple[float, float]], width: float) -> tuple[list[tuple[float, float]], float]:
    """Scale both axes alike, since distances on the map are what it shows."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x_span, y_span = (max(xs) - min(xs)) or 1.0, (max(ys) - min(ys)) or 1.0
    height = min(max(width * y_span / x_span, 0.5 * width), 0.72 * width)
    scale = min((width - 2 * MARGIN) / x_span, (height - 2 * MARGIN) / y_span)
    x_mid, y_mid = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
    placed = [
        (round(width / 2 + scale * (x - x_mid), 1), round(height / 2 - scale * (y - y_mid), 1)) for x, y in points
    ]
    return placed, round(height, 1)


def _marks(dots: list[Dot]) -> list[tuple[float, float, int]]:
    members: dict[int, list[Dot]] = {}
    for dot in dots:
        number = cluster_of(dot.row)
        if number is not None and number != -1:
            members.setdefault(number, []).append(dot)
    return [
        (round(median(d.x for d in group), 1), round(median(d.y for d in group), 1), number)
        for number, group in sorted(members.items())
    ]
