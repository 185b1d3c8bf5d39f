"""The scores over their seeds, each with a verdict in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from ray_pipeline.metrics.score import LEAK, unscored
from ray_pipeline.report.data import Row, finite
from ray_pipeline.report.words import MARKS, METRICS, Metric

ALPHA = 0.05
CLEAR_Z = 2.0
MAX_NOTES = 4


@dataclass(frozen=True)
class Score:
    """One metric over all its seeds.

    `mark` is what its name carries after ``@`` (another null, as in `silhouette@permuted`, or other tracks, as in
    `ami@artists`) or ``:`` (a label, as in `ami:genre`); `tone` is good, plain, or bad.
    """

    name: str
    mark: str
    metric: Metric
    n_seeds: int
    value: float | None
    spread: float | None
    null_mean: float | None
    null_sd: float | None
    lift: float | None
    z: float | None
    chance: float | None
    p: float | None
    ci_low: float | None
    ci_high: float | None
    n: int | None
    notes: list[str]
    verdict: str
    tone: str


def scores(rows: Sequence[Row]) -> list[Score]:
    """Rows of the SCORES schema, one `Score` a metric, in the order of `METRICS`, marked ones after plain, unknown ones last.

    Values, nulls, lift and z are means over seeds; of p the largest is kept and of the intervals the outermost, and the
    verdict is that of the worst seed: several never look surer than that. Where no clusters could be scored with some of
    the seeds, there is no lift, z or p.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row["metric"]), []).append(row)
    known = list(METRICS)

    def place(name: str) -> tuple[int, bool]:
        base, mark = _split(name)
        return known.index(base) if base in known else len(known), bool(mark)

    return [_score(name, groups[name]) for name in sorted(groups, key=place)]


def shared_notes(found: Sequence[Score]) -> list[str]:
    """The notes that several scores all carry: said once, above them."""
    if len(found) < 2:
        return []
    return [note for note in found[0].notes if all(note in score.notes for score in found)]


def _split(name: str) -> tuple[str, str]:
    """`("silhouette", "permuted")` for `silhouette@permuted`; the mark is empty where there is none."""
    for sign in "@:":
        base, found, mark = name.partition(sign)
        if found:
            return base, mark
    return name, ""


def _score(name: str, rows: list[Row]) -> Score:
    base, mark = _split(name)
    values = _column(rows, "value")
    seeds = len({row.get("seed") for row in rows})
    sizes = [row["n"] for row in rows if row.get("n")]
    missed = unscored(rows)
    draft = Score(
        name=name,
        mark=mark,
        metric=_metric(base, mark, rows),
        n_seeds=seeds,
        value=fmean(values) if values else None,
        spread=stdev(values) if seeds > 1 and len(values) > 1 else None,
        null_mean=_reduce(rows, "null_mean", fmean),
        null_sd=_reduce(rows, "null_sd", fmean),
        lift=None if missed else _reduce(rows, "lift", fmean),
        z=None if missed else _reduce(rows, "z", fmean),
        chance=_reduce(rows, "chance", fmean),
        p=None if missed else _reduce(rows, "p", max),
        ci_low=_reduce(rows, "ci_low", min),
        ci_high=_reduce(rows, "ci_high", max),
        n=max(sizes, default=None),
        notes=_notes(rows),
        verdict="",
        tone="plain",
    )
    verdict, tone = _verdict(draft, rows)
    return replace(draft, verdict=verdict, tone=tone, notes=[*_beside_chance(draft), *draft.notes])


def _notes(rows: Sequence[Row]) -> list[str]:
    """What the notes say, once each; which null it was stands in the table's heading."""
    parts = (part.strip() for row in rows for part in str(row.get("note") or "").split(";"))
    return list(dict.fromkeys(part for part in parts if part and not part.startswith("null:")))[:MAX_NOTES]


def _metric(base: str, mark: str, rows: list[Row]) -> Metric:
    metric = METRICS.get(base) or _unknown(base, rows)
    return replace(metric, sentence=MARKS[mark]) if mark in MARKS else metric


def _beside_chance(score: Score) -> list[str]:
    """Of a row whose table has no column for chance: what chance scores."""
    if score.metric.kind != "plain" or score.chance is None or score.p is None:
        return []
    verdict = "above chance" if score.p <= ALPHA else "at chance"
    return [f"{verdict}, which scores {score.chance:.3f} (p = {score.p:.3f})"]


def _unknown(name: str, rows: list[Row]) -> Metric:
    kind = "internal" if _column(rows, "null_mean") else "external" if _column(rows, "chance") else "plain"
    return Metric(name.replace("_", " ").strip().capitalize() or "–", kind, "")


def _column(rows: Sequence[Row], key: str) -> list[float]:
    return [value for row in rows if (value := finite(row.get(key))) is not None]


def _reduce(rows: Sequence[Row], key: str, by: Callable[[list[float]], float]) -> float | None:
    values = _column(rows, key)
    return by(values) if values else None


def _verdict(score: Score, rows: Sequence[Row]) -> tuple[str, str]:
    if score.metric.kind == "plain":
        return "", "plain"
    if score.value is None:
        return "not computed", "plain"
    if missed := unscored(rows):
        return f"with {missed} of {len(rows)} seeds no clusters to score", "bad"
    if score.metric.kind == "internal":
        return _against_null(rows)
    if any(note.startswith(LEAK) for note in score.notes):
        return LEAK, "bad"
    if score.p is None:
        return "not tested against chance", "plain"
    if score.metric.kind == "missing":
        return ("above chance", "bad") if score.p <= ALPHA else ("at chance", "good")
    if score.p <= ALPHA:
        return ("better than chance" if score.metric.kind == "input" else "above chance"), "good"
    draws = _fewest(rows)
    if draws and 1 / (1 + draws) > ALPHA:
        return f"{draws} draws are too few to tell from chance", "plain"
    # p looks upwards only; a value far below chance is no accident either (labels joined to the wrong rows, say).
    return ("below chance" if score.z is not None and score.z <= -CLEAR_Z else "at chance"), "bad"


def _fewest(rows: Sequence[Row]) -> int:
    """Draws behind p, with the seed that has the fewest; 0 where that is not known."""
    return int(min((row.get("n_null") or 0 for row in rows), default=0))


def _against_null(rows: Sequence[Row]) -> tuple[str, str]:
    distances = [_distance(row) for row in rows]
    known = [z for z in distances if z is not None]
    if len(known) < len(rows):
        return "no null to compare with", "plain"
    if min(known) >= CLEAR_Z:
        return "above structureless data", "good"
    if max(known) <= -CLEAR_Z:
        return "worse than structureless data", "bad"
    return "what structureless data scores", "bad"


def _distance(row: Row) -> float | None:
    """z of one seed."""
    z, lift = finite(row.get("z")), finite(row.get("lift"))
    if z is None and lift is not None and row.get("null_sd") == 0:
        # Structureless data scores the same each time, as where no seed changes the clusters: any distance is clear.
        return CLEAR_Z * ((lift > 0) - (lift < 0))
    return z
