"""What the page of a sweep is made of: rows of the table `trials`, read into plain values, and what can be told of them.

from ray_pipeline.report.sweep_data import SweepData
from ray_pipeline.report.sweep_page import write

write(SweepData(sweep_id="s1", made_at="2025-01-01T00:00:00Z", store="./store", objective=["ami"], trials=rows), folder)
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ray_pipeline.report.data import Row, finite
from ray_pipeline.sweep.importance import Importance, importance, varying
from ray_pipeline.sweep.objective import WORST, pareto_front
from ray_pipeline.sweep.results import STATUSES, Sweep

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?")


@dataclass(frozen=True)
class SweepData:
    """Everything the page shows. Rows of `trials` are as in the table of that name; a mapping may come as JSON text.

    Attributes
    ----------
    objective : names of the metrics that were optimised; several make a Pareto front
    trials : rows of trial_id, config, point (dotted key → value), seed, status (one of `STATUSES`), reason, objective (a
        number for each name, more is better), scores (metric → mean over seeds, with ``<metric>.lift``), spread (their
        standard deviations), n_tracks that it placed, seconds
    config : how it searched: the ``tune:`` block, or the whole config
    importance : of each knob to each objective, as `ray_pipeline.sweep.importance` finds it
    labels_used : whether the objective was held against labels; None: to be told by its name
    """

    sweep_id: str
    made_at: str
    store: str
    objective: Sequence[str]
    trials: Sequence[Row] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    importance: Sequence[Importance] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    notes: Sequence[str] = ()
    labels_used: bool | None = None


@dataclass(frozen=True)
class Tried:
    """One trial, the `number`-th row. `values` are its objectives, more is better; () where it has none that count."""

    number: int
    trial_id: str
    point: dict[str, Any]
    config: dict[str, Any]
    status: str
    reason: str
    values: tuple[float, ...]
    scores: dict[str, float]
    spread: dict[str, float]
    seconds: float | None
    n_tracks: int | None

    @property
    def passed(self) -> bool:
        """Whether it was scored to the end and passed all gates."""
        return bool(self.values)


@dataclass(frozen=True)
class Reason:
    """Trials of one status whose reasons differ in nothing but numbers; `example` is the first of them."""

    status: str
    example: str
    count: int


class Results:
    """The trials of a `SweepData`, and what follows from them."""

    def __init__(self, data: SweepData) -> None:
        self.data = data
        self.trials = [_tried(number, row, len(data.objective)) for number, row in enumerate(data.trials)]

    @cached_property
    def passed(self) -> list[Tried]:
        """Best first by the first objective."""
        return sorted((t for t in self.trials if t.passed), key=lambda t: (-t.values[0], t.number))

    @cached_property
    def drawn(self) -> list[Tried]:
        """In the order in which they are drawn: those without a score first, the best last and so on top."""
        return [*(t for t in self.trials if not t.passed), *reversed(self.passed)]

    @cached_property
    def front(self) -> list[Tried]:
        """What no other trial beats in everything; with one objective, the best."""
        return [self.passed[at] for at in pareto_front([t.values for t in self.passed])]

    @cached_property
    def knobs(self) -> list[str]:
        """Keys that vary over the trials; the most important first, where that is known."""
        known = self.data.importance[0].shares if self.data.importance else {}
        return sorted(varying([t.point for t in self.trials]), key=lambda knob: -known.get(knob, 0.0))

    @cached_property
    def outcomes(self) -> dict[str, int]:
        """Status → trials, in the order of `STATUSES`, others last."""
        counts = Counter(t.status for t in self.trials)
        return {name: counts[name] for name in [*STATUSES, *sorted(counts.keys() - set(STATUSES))] if counts[name]}

    @cached_property
    def reasons(self) -> list[Reason]:
        """Why trials have no score, the commonest first."""
        groups: dict[tuple[str, str], list[str]] = {}
        for t in self.trials:
            if t.status != "ok":
                groups.setdefault((t.status, _NUMBER.sub("0", t.reason)), []).append(t.reason)
        found = [Reason(status, reasons[0], len(reasons)) for (status, _), reasons in groups.items()]
        return sorted(found, key=lambda reason: (-reason.count, reason.status, reason.example))

    def null(self, trial: Tried, metric: str) -> float | None:
        """What `metric` of this trial is to be held against: its null or its chance, which its lift tells; None without."""
        value, lift = finite(trial.scores.get(metric)), finite(trial.scores.get(f"{metric}.lift"))
        if metric.endswith((".lift", ".z")):
            return 0.0
        return None if value is None or lift is None else value - self.direction(metric) * lift

    def direction(self, metric: str) -> int:
        """1 where more is better, −1 where less is: lifts are signed, values are not."""
        from ray_pipeline import shelf
        from ray_pipeline.metrics.score import shelf_name

        base, _, part = metric.partition(".")
        if part or shelf_name(base) not in shelf.shelf("metric"):
            return 1
        return int(shelf.part("metric", shelf_name(base)).direction)


def of_sweep(
    found: Sweep, *, store: str, made_at: str, seed: int = 0, seconds: float | None = None, notes: Sequence[str] = ()
) -> SweepData:
    """What the page shows of a sweep as it was read; `seed` is that of the forests by which importance is told."""
    objective, rows = list(found.about["objective"]), found.rows
    return SweepData(
        sweep_id=found.name,
        made_at=made_at,
        store=store,
        objective=objective,
        trials=rows,
        config=found.about,
        importance=importance([row["point"] for row in rows], [row["objective"] for row in rows], objective, seed),
        versions={name: version for name, version in rows[0]["versions"].items() if name != "data"} if rows else {},
        seconds=seconds,
        notes=notes,
        labels_used=bool(found.about["uses_labels"]),
    )


def labels_used(data: SweepData) -> bool:
    """Whether an objective is held against labels; one that is not on the shelf is not known to be."""
    if data.labels_used is not None:
        return data.labels_used
    from ray_pipeline import shelf
    from ray_pipeline.metrics.score import shelf_name
    from ray_pipeline.sweep.objective import uses_labels

    known = [name for name in data.objective if shelf_name(name.partition(".")[0]) in shelf.shelf("metric")]
    return uses_labels(known)


def _tried(number: int, row: Row, n_objectives: int) -> Tried:
    values = tuple(float(value) for value in row.get("objective") or ())
    status = str(row.get("status") or "unknown")
    counts = status == "ok" and len(values) == n_objectives and all(math.isfinite(v) and v > WORST for v in values)
    return Tried(
        number=number,
        trial_id=str(row.get("trial_id") or ""),
        point=_mapping(row.get("point")),
        config=_mapping(row.get("config")),
        status=status,
        reason=str(row.get("reason") or ""),
        values=values if counts else (),
        scores=_finite(row.get("scores")),
        spread=_finite(row.get("spread")),
        seconds=finite(row.get("seconds")),
        n_tracks=row.get("n_tracks"),
    )


def _finite(value: Any) -> dict[str, float]:
    found = {name: finite(number) for name, number in _mapping(value).items()}
    return {name: number for name, number in found.items() if number is not None}


def _mapping(value: Any) -> dict[str, Any]:
    """A mapping that may be JSON text, or pairs as Arrow gives a map."""
    if isinstance(value, str):
        value = json.loads(value)
    return dict(value or {})
