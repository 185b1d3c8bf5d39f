"""A sweep as one page that opens offline: what was tried, what became of it, which knob mattered, and what won.

from ray_pipeline.report.sweep_page import write

write(SweepData(…), store / "report")        # report/sweep-<id>.html
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ray_pipeline.errors import StoreError
from ray_pipeline.report.html import asset, environment, policy, write_page
from ray_pipeline.report.story import number
from ray_pipeline.report.sweep_data import Results, SweepData, Tried, labels_used
from ray_pipeline.report.sweep_marks import LOOKS, summary
from ray_pipeline.report.sweep_parallel import parallel
from ray_pipeline.report.sweep_scatter import Scatter, against, fronts, numeric_knobs
from ray_pipeline.report.words import METRICS

MAX_ROWS, MAX_REASONS, MAX_NUMERIC, MAX_FRONT = 500, 30, 4, 30
ALSO_PICTURED = ("silhouette", "ami")
"""Drawn beside the objective: what a sweep is misled by, and what labels, had they been asked, would have said."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def write(data: SweepData, folder: Path | str) -> Path:
    """Write ``sweep-<id>.html`` into `folder`, the store's ``report/``; its path.

    Raises
    ------
    StoreError
        The sweep's id is no name for a file.
    """
    if not _NAME.fullmatch(data.sweep_id):
        raise StoreError(f"sweep id {data.sweep_id!r}: letters, digits, '.', '_' and '-' only")
    return write_page(render(data), Path(folder) / f"sweep-{data.sweep_id}.html")


def render(data: SweepData) -> str:
    """The page as text."""
    sweep = Results(data)
    style = asset("report.css") + asset("sweep.css")
    context: dict[str, Any] = {
        "data": data,
        "sweep": sweep,
        "style": Markup(style),
        "policy": Markup(policy(style=style)),
        "banners": _banners(sweep),
        "lead": _lead(sweep),
        "named": named,
        "summary": summary,
        "looks": range(LOOKS),
        "parallel": parallel(sweep),
        "panels": _panels(sweep),
        "fronts": fronts(sweep),
        "front": sweep.front[:MAX_FRONT],
        "winner": sweep.passed[0] if sweep.passed else None,
        "winner_scores": _scores(sweep, sweep.passed[0]) if sweep.passed else [],
        "train_again": _train_again(data, sweep),
        "reasons": sweep.reasons[:MAX_REASONS],
        "rows": [*sweep.passed, *(t for t in sweep.trials if not t.passed)][:MAX_ROWS],
    }
    return environment().get_template("sweep.html").render(context)


def named(metric: str) -> str:
    """A metric as a reader calls it: `Silhouette, lift` for `silhouette.lift`."""
    base, _, part = metric.partition(".")
    label = METRICS[base].label if base in METRICS else base.replace("_", " ")
    return f"{label}, {part}" if part else label


def _banners(sweep: Results) -> list[tuple[str, str]]:
    """What has to be known before anything else is read."""
    found = []
    if labels_used(sweep.data):
        why = "the objective is held against labels, so this sweep is not unsupervised, and its winner's scores flatter"
        found.append(("labels were used", why))
    if sweep.trials and not sweep.passed:
        counts = ", ".join(f"{n:,} {status}" for status, n in sweep.outcomes.items())
        found.append(("no winner", f"not one of {_count(len(sweep.trials), 'trial')} has a score ({counts})"))
    if sweep.passed and sweep.passed[0].scores.get("collapsed"):
        found.append(("collapsed", "the winner collapsed with some seeds or all: it passed the gates, and no more"))
    return found


def _lead(sweep: Results) -> list[str]:
    if not sweep.trials:
        return ["No trial has ended yet."]
    counts = ", ".join(f"{n:,} {status}" for status, n in sweep.outcomes.items())
    said = [f"{_count(len(sweep.trials), 'trial')} over {_count(len(sweep.knobs), 'knob')}: {counts}."]
    objective = sweep.data.objective
    if sweep.passed and len(objective) > 1:
        names = " and ".join(named(name) for name in objective)
        said.append(f"{_count(len(sweep.front), 'trial')} are beaten by none in {names}.")
    elif sweep.passed:
        best = sweep.passed[0]
        after = f", the next {number(sweep.passed[1].values[0])}" if len(sweep.passed) > 1 else ""
        where = f", at {summary(best.point)}" if best.point else ""
        said.append(f"The best by {named(objective[0])} has {number(best.values[0])}{after}{where}.")
    return said


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _panels(sweep: Results) -> list[tuple[str, list[Scatter]]]:
    """For each knob that is a number: every objective, the silhouette, and what labels say where it was recorded."""
    metrics = list(dict.fromkeys([*sweep.data.objective, *ALSO_PICTURED]))
    found = []
    for knob in numeric_knobs(sweep)[:MAX_NUMERIC]:
        drawn = [chart for metric in metrics if (chart := against(sweep, knob, metric)) is not None]
        if drawn:
            found.append((knob, drawn))
    return found


def _scores(sweep: Results, trial: Tried) -> list[tuple[str, float, float | None, float | None, float | None]]:
    """(metric, mean and deviation over seeds, what it is held against, lift), as `METRICS` has them, unknown ones last."""
    known = list(METRICS)
    names = [name for name in trial.scores if not name.endswith((".lift", ".z"))]
    ranked = sorted(names, key=lambda name: known.index(name) if name in METRICS else len(known))
    return [
        (name, trial.scores[name], trial.spread.get(name), sweep.null(trial, name), trial.scores.get(f"{name}.lift"))
        for name in ranked
        if "@" not in name
    ]


def _train_again(data: SweepData, sweep: Results) -> str:
    trial = sweep.passed[0].trial_id if sweep.passed else ""
    return shlex.join(["ray-pipeline", "train", data.store, "--from-trial", trial])
