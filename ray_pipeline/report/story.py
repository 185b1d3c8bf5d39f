"""What the numbers say, in words: how they are written, what is judged, and the paragraph that leads the report."""

from __future__ import annotations

from collections.abc import Sequence

from ray_pipeline.metrics.score import LEAK
from ray_pipeline.report.data import ReportData, Verdict, assigned, finite
from ray_pipeline.report.scores import Score


def number(value: float | None, digits: int = 3) -> str:
    """A number for reading: `0.062`, `12,275`, `−0.0003`, and a dash for what is missing or not finite."""
    value = finite(value)
    if value is None:
        return "–"
    size = abs(value)
    if size >= 1000 or (size >= 1 and value == int(value)):
        text = f"{value:,.0f}"
    elif size >= 10:
        text = f"{value:.1f}"
    elif digits > 2 and 0 < size < 5e-4:
        text = f"{value:.0e}" if size < 5e-5 else f"{value:.4f}"
    else:
        text = f"{value:.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "−")


def p_value(p: float | None) -> str:
    """`= 0.013`, `< 0.001`, or a dash."""
    p = finite(p)
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def judgements(data: ReportData, found: Sequence[Score]) -> list[Verdict]:
    """The verdicts given, and a collapse that the scores tell of and the verdicts do not."""
    given = list(data.verdicts)
    score = next((s for s in found if s.name == "collapsed" and s.value), None)
    if score is None or score.value is None or any(v.bad and v.name.lower() == "collapsed" for v in given):
        return given
    seeds = f" with {score.value:.0%} of the seeds" if score.value < 1 else ""
    why = "; ".join(score.notes).removeprefix("collapsed: ") or "the latents no longer carry the input"
    return [Verdict("collapsed", True, f"{why}{seeds}"), *given]


def lead(data: ReportData, found: Sequence[Score]) -> list[str]:
    """The main result as sentences: size, then labels, then structure. What is wrong stands in banners above it."""
    warned = ["Read what follows in that light."] if any(v.bad for v in judgements(data, found)) else []
    agreed = _agreement(data, _headline(data, found))
    return [*warned, _size(data), *agreed, *_structure(found), *_gaps(found)]


def _headline(data: ReportData, found: Sequence[Score]) -> Score | None:
    """The first external score with the label the report is about."""
    external = [s for s in found if s.metric.kind == "external" and s.value is not None]
    return next((s for s in external if s.mark in ("", data.label_name)), external[0] if external else None)


def _size(data: ReportData) -> str:
    groups = assigned(data.tracks)
    noise = len(groups.pop(-1, []))
    inside = sum(map(len, groups.values()))
    if not inside and not noise:
        return "No track was clustered."
    aside = f", and {noise:,} left out as noise" if noise else ""
    return f"{_count(len(groups), 'cluster')} of {_count(inside, 'track')}{aside}."


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _agreement(data: ReportData, score: Score | None) -> list[str]:
    if data.label_name is None:
        return ["There were no labels, so nothing here says what the clusters mean."]
    if score is None:
        return [f"Agreement with “{data.label_name}” was not scored."]
    facts = [f"{score.metric.label} {number(score.value, 2)}"]
    if score.metric.label not in ("AMI", "ARI") and score.chance is not None:
        facts.append(f"chance {number(score.chance, 2)}")
    if score.p is not None:
        facts.append(f"p {p_value(score.p)}")
    if score.ci_low is not None and score.ci_high is not None:
        facts.append(f"95% interval {number(score.ci_low, 2)} to {number(score.ci_high, 2)}")
    judged = "shows nothing, for the model was told of it" if score.verdict == LEAK else f"is {score.verdict}"
    said = f"Agreement with “{data.label_name}” {judged} ({', '.join(facts)})."
    if data.coverage is not None and data.coverage < 0.995:
        said += f" {data.coverage:.0%} of the tracks carry that label."
    return [said]


def _structure(found: Sequence[Score]) -> list[str]:
    by_name = {score.name: score for score in found}
    score = by_name.get("silhouette")
    if score is None or score.value is None:
        return []
    own = number(score.value, 2)
    if score.null_mean is None:
        return [f"Silhouette {own}, with nothing to hold it against."]
    null = number(score.null_mean, 2)
    if score.verdict == "what structureless data scores":
        return [
            f"Silhouette {own} is what structureless data scores ({null}): cuts through one cloud, not groups apart."
        ]
    said = [f"Silhouette {own}, against {null} of structureless data."]
    permuted = by_name.get("silhouette@permuted")
    if score.tone == "good" and permuted is not None and permuted.tone == "bad":
        own_columns = number(permuted.null_mean, 2)
        said.append(
            f"But shuffling each column on its own scores {own_columns}, so the groups owe much to single columns."
        )
    return said


def _gaps(found: Sequence[Score]) -> list[str]:
    score = next((s for s in found if s.metric.kind == "missing" and s.tone == "bad"), None)
    if score is None:
        return []
    return [f"The clusters also follow which tracks lack a view (AMI {number(score.value, 2)}, p {p_value(score.p)})."]
