"""The audit as a page and as JSON: the study's numbers, what was found here, and what each is worth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ray_pipeline.audit.joins import JOIN
from ray_pipeline.audit.table import CONTROLS, Line
from ray_pipeline.metrics.score import LEAK
from ray_pipeline.report.html import asset, environment, policy, write_page
from ray_pipeline.report.plots import Strip

GOOD = ("above", "the join holds")
BAD = (
    "collapsed",
    LEAK,
    "at chance, p",
    "structureless data scores",
    "worse than",
    "diverged",
    "follows the gap",
    "no better than dealt",
    "does not depend on the join",
)
WIDTH, MARGIN = 150.0, 6.0
PICTURED = {
    "silhouette": (-0.1, 0.6),
    "ami": (-0.05, 0.4),
    "ari": (-0.05, 0.4),
    "nmi": (-0.05, 0.4),
    "purity": (0.0, 1.0),
}
NAMES = {
    "ami": "AMI",
    "ari": "ARI",
    "nmi": "NMI",
    "calinski_harabasz": "Calinski–Harabasz",
    "davies_bouldin": "Davies–Bouldin",
    "silhouette_input": "Silhouette of the features",
    "ami_missing": "AMI with what is missing",
    "loss_kl": "KL, nats",
    "loss_reconstruction": "Reconstruction",
    "loss_reduction": "Loss reduction",
    "n_parameters": "Parameters",
}


def write(table: Sequence[Line], folder: Path, *, store: str, n_tracks: int, label: str | None) -> Path:
    """Write ``audit.json``, a list of the lines, and ``audit.html``, one page that opens offline; the page's path."""
    write_page(json.dumps([line.plain() for line in table], indent=1, allow_nan=False) + "\n", folder / "audit.json")
    return write_page(render(table, store=store, n_tracks=n_tracks, label=label), folder / "audit.html")


def render(table: Sequence[Line], *, store: str, n_tracks: int, label: str | None) -> str:
    """The page as text."""
    style = asset("report.css")
    context: dict[str, Any] = {
        "style": Markup(style),
        "policy": Markup(policy(style=style)),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "store": store,
        "n_tracks": n_tracks,
        "label": label,
        "tables": _tables(table),
        "controls": CONTROLS,
        "join": JOIN,
        "strip": _strip,
        "tone": _tone,
        "named": lambda metric: NAMES.get(metric, metric.replace("_", " ").capitalize()),
        "collapsed": sorted({f"{line.table}, {line.row}" for line in table if "collapsed" in line.verdict}),
    }
    return environment().get_template("audit.html").render(context)


def _tables(table: Sequence[Line]) -> list[tuple[str, list[tuple[str, list[Line]]]]]:
    """Lines by table and row, in their order."""
    by_table = groupby(table, key=lambda line: line.table)
    return [
        (name, [(row, list(kept)) for row, kept in groupby(lines, key=lambda line: line.row)])
        for name, lines in by_table
    ]


def _strip(line: Line) -> Strip | None:
    """Dot: found here; whisker: spread over seeds; band: structureless data or chance; tick: reported."""
    if line.metric not in PICTURED or line.reproduced_mean is None:
        return None
    low, high = PICTURED[line.metric]

    def x(value: float) -> float:
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return round(MARGIN + share * (WIDTH - 2 * MARGIN), 1)

    mean, sd = line.reproduced_mean, line.reproduced_sd or 0.0
    null, null_sd = line.null_mean, line.null_sd or 0.0
    return Strip(
        dot=x(mean),
        tick=None if line.reported is None else x(line.reported),
        band=None if null is None else (x(null - 2 * null_sd), x(null + 2 * null_sd)),
        whisker=(x(mean - sd), x(mean + sd)) if sd else None,
        zero=None,
    )


def _tone(line: Line) -> str:
    said = line.verdict.rpartition("here: ")[2]
    if any(word in said for word in BAD):
        return "bad"
    return "good" if any(word in said for word in GOOD) or said in {"exact", "agrees"} else "plain"
