"""Outcomes over seeds → the audit's table: what was reported, what was found, what chance scores, and what to make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

from ray_pipeline.audit import verdicts
from ray_pipeline.audit.controls import DIMS, gaussian, random_clusters
from ray_pipeline.audit.run import GAP, Outcome
from ray_pipeline.audit.study import ALL_SIX, LEAD, StudyRow
from ray_pipeline.metrics.score import LEAK, unscored

CONTROLS = "Controls"
SHOWN = (*ALL_SIX, "ami", "silhouette_input", GAP)


@dataclass(frozen=True)
class Line:
    """One number of the study, or one that it should have given. None: not reported, or not to be had here.

    `null_mean` and `null_sd` are of structureless data for scores of the latents, of chance for scores with labels; `p` is
    the largest over seeds.
    """

    table: str
    row: str
    metric: str
    reported: float | None = None
    reproduced_mean: float | None = None
    reproduced_sd: float | None = None
    n_seeds: int = 0
    null_mean: float | None = None
    null_sd: float | None = None
    p: float | None = None
    verdict: str = ""

    def plain(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def lines(found: Sequence[tuple[StudyRow, list[Outcome] | str]]) -> list[Line]:
    """Each row of the study with its outcomes, or with why there are none."""
    out: list[Line] = []
    for row, outcomes in found:
        out += _not_possible(row, outcomes) if isinstance(outcomes, str) else _row(row, outcomes)
    return out


def controls() -> list[Line]:
    """Structureless data of the study's size: what its numbers are to be read beside."""
    out = [
        _control(f"N(0, 1) in {dim} dimension{'s' if dim > 1 else ''}", metric, gaussian(dim)[metric])
        for dim in DIMS
        for metric in LEAD
    ]
    return out + [_control("random clusters", metric, spread) for metric, spread in random_clusters().items()]


def _control(row: str, metric: str, spread: Any) -> Line:
    return Line(CONTROLS, row, metric, None, spread.mean, spread.sd, spread.n, verdict="no structure by construction")


def _not_possible(row: StudyRow, why: str) -> list[Line]:
    reported: Mapping[str, float | None] = row.reported or {"silhouette": None}
    return [
        Line(row.table, row.name, metric, value, verdict=_joined(_said(row, metric), why))
        for metric, value in reported.items()
    ]


def _row(row: StudyRow, outcomes: list[Outcome]) -> list[Line]:
    names = [name for name in SHOWN if any(score["metric"] == name for one in outcomes for score in one.scores)]
    absent = [name for name in ALL_SIX if name in row.reported and name not in names]
    out = [_scored(row, name, outcomes) for name in names]
    out += [
        Line(
            row.table,
            row.name,
            name,
            row.reported[name],
            verdict=_joined(_said(row, name), "not possible here: no labels"),
        )
        for name in absent
    ]
    return out + [_fitted(row, name, outcomes) for name in _fits(row, outcomes)]


def _fits(row: StudyRow, outcomes: list[Outcome]) -> list[str]:
    return [name for name in row.reported if all(name in one.fit for one in outcomes)]


def _scored(row: StudyRow, metric: str, outcomes: list[Outcome]) -> Line:
    scores = [score for one in outcomes for score in one.scores if score["metric"] == metric]
    p = None if any(score["p"] is None for score in scores) else max(score["p"] for score in scores)
    null = "null_mean" if scores[0]["null_mean"] is not None else "chance"
    return Line(
        row.table,
        row.name,
        metric,
        row.reported.get(metric),
        *_spread([score["value"] for score in scores]),
        len(scores),
        _mean([score[null] for score in scores]),
        _mean([_null_sd(score) for score in scores]),
        p,
        _joined(_said(row, metric), _here(row, metric, scores, p, outcomes)),
    )


def _here(row: StudyRow, metric: str, scores: list[dict[str, Any]], p: float | None, outcomes: list[Outcome]) -> str:
    if any(one.diverged for one in outcomes):
        return "diverged"
    z = _mean([score["z"] for score in scores])
    if metric in LEAD:
        above = sum(score["p"] is not None and score["p"] <= 1 / (score["n_null"] + 1) + 1e-9 for score in scores)
        return verdicts.of_internal(z, _collapsed(outcomes), above, len(scores), unscored(scores))
    if metric == GAP:
        return verdicts.of_gap(p, row.sees_lyrics)
    leak = next((score["note"] for score in scores if (score["note"] or "").startswith(LEAK)), "")
    return verdicts.of_external(p, leak.split(";")[0])


def _collapsed(outcomes: list[Outcome]) -> bool:
    """Whether at least half of the seeds did."""
    values = [score["value"] for one in outcomes for score in one.scores if score["metric"] == "collapsed"]
    return bool(values) and fmean(values) >= 0.5


def _fitted(row: StudyRow, metric: str, outcomes: list[Outcome]) -> Line:
    values = [one.fit[metric] for one in outcomes]
    mean, sd = _spread(values)
    assert mean is not None
    said = verdicts.of_fit(metric, row.reported.get(metric), mean)
    return Line(row.table, row.name, metric, row.reported.get(metric), mean, sd, len(values), verdict=said)


def _said(row: StudyRow, metric: str) -> str:
    value = row.reported.get(metric)
    said = "" if value is None else verdicts.of_reported(metric, value, str(row.clusterer["kind"]))
    return f"reported: {said}" if said else ""


def _joined(reported: str, here: str) -> str:
    return f"{reported}; here: {here}" if reported and here else reported or here


def _null_sd(score: dict[str, Any]) -> float | None:
    """Of the draws: as it was noted, or as lift and z tell."""
    if score["null_sd"] is not None:
        return float(score["null_sd"])
    lift, z = score["lift"], score["z"]
    return abs(lift / z) if lift is not None and z else None


def _mean(values: list[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return fmean(there) if there else None


def _spread(values: list[float]) -> tuple[float | None, float | None]:
    return (fmean(values), stdev(values) if len(values) > 1 else 0.0) if values else (None, None)
