"""The tables that end a command."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from rich.table import Table

from ray_pipeline.cli.console import safe
from ray_pipeline.metrics.score import LEAK, unscored
from ray_pipeline.schemas import BAD
from ray_pipeline.store import Run, Store

SHOWN = (
    "silhouette",
    "calinski_harabasz",
    "davies_bouldin",
    "silhouette_input",
    "davies_bouldin_input",
    "coverage",
    "ami",
    "ari",
    "nmi",
    "purity",
    "ami@artists",
    "artist_share",
    "ami_missing",
    "stability",
    "stability_bootstrap",
    "mig",
    "sap",
    "active_units",
    "effective_rank",
    "collapsed",
)


def done_table(run: Run) -> Table:
    """What each stage did, how long it took, and what came out."""
    table = Table(box=None, pad_edge=False)
    for heading, justify in (("stage", "left"), ("did", "right"), ("s", "right"), ("rows", "left")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    names = {
        "ingest": "tracks",
        "featurize": "features",
        "transcribe": "lyrics",
        "embed": "text_vectors",
        "sweep": "trials",
    }
    for stage, seconds in run.seconds.items():
        rows = run.statuses.get(names.get(stage, ""), {})
        shown = ", ".join(f"{n:,} {status}" for status, n in sorted(rows.items(), key=lambda x: (x[0] in BAD, -x[1])))
        table.add_row(stage, f"{run.done.get(stage, 0):,}", f"{seconds:.1f}", safe(shown))
    return table


def score_table(run: Run) -> Table | None:
    """Scores of the run, mean ± spread over seeds, each with what chance scores; None where it has none."""
    if not run.experiments or "scores" not in run.tables:
        return None
    store = Store(run.config["store"])
    rows = [row for address in run.tables["scores"] for row in store.at(address).read().to_pylist()]
    by_metric: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_metric[row["metric"]].append(row)
    label = run.config["scoring"]["label"]
    n = len({row["seed"] for row in rows})
    title = f"scores over {n} seeds" + (f", label '{safe(label)}'" if label else "")
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in ("metric", "value", "chance", "lift", "z", "p", "95 % interval"):
        table.add_column(heading, justify="left" if heading == "metric" else "right", no_wrap=True)
    for metric in SHOWN:
        if by_metric[metric] and not _all_covered(metric, by_metric[metric]):
            leaked = any((row["note"] or "").startswith(LEAK) for row in by_metric[metric])
            table.add_row(f"{metric} ({LEAK})" if leaked else metric, *_cells(by_metric[metric]))
    return table


def _all_covered(metric: str, rows: list[dict[str, Any]]) -> bool:
    """Whether this is the coverage of clusterers that left no track out, which goes without saying."""
    return metric == "coverage" and all(row["value"] == 1 for row in rows)


def status_table(store: Store, run: Run) -> Table:
    """Rows of each table of the run by status."""
    table = Table(box=None, pad_edge=False)
    for heading, justify in (("table", "left"), ("rows", "right"), ("good", "right"), ("bad, by reason", "left")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for name, statuses in run.statuses.items():
        total = sum(statuses.values())
        bad = {status: n for status, n in statuses.items() if status in BAD}
        reasons = ", ".join(f"{n:,} {status}" for status, n in sorted(bad.items(), key=lambda x: -x[1]))
        table.add_row(name, f"{total:,}", f"{total - sum(bad.values()):,}", safe(reasons or "–"))
    for name in ("latents", "clusters", "scores"):
        there = [t for t in map(store.at, run.tables.get(name, [])) if t.exists()]
        if there:
            table.add_row(name, f"{sum(t.count() for t in there):,}", "", "")
    return table


def _cells(rows: list[dict[str, Any]]) -> list[str]:
    """Means over seeds, the value with its standard deviation; the largest p and the outermost interval of any seed."""
    values = [row["value"] for row in rows]
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)) if len(values) > 1 else None
    null = _mean(rows, "null_mean")
    chance = (
        f"{_number(null)} ± {_number(_mean(rows, 'null_sd'))}" if null is not None else _number(_mean(rows, "chance"))
    )
    lows, highs, ps = (_present(rows, name) for name in ("ci_low", "ci_high", "p"))
    told = [] if unscored(rows) else rows
    interval = f"{_number(min(lows))} to {_number(max(highs))}" if lows else "–"
    shown = f"{_number(mean)} ± {_number(spread)}" if spread is not None else _number(mean)
    return [
        shown,
        chance,
        _number(_mean(told, "lift")),
        _number(_mean(told, "z")),
        _number(max(ps, default=None) if told else None),
        interval,
    ]


def _mean(rows: list[dict[str, Any]], name: str) -> float | None:
    values = _present(rows, name)
    return sum(values) / len(values) if values else None


def _present(rows: list[dict[str, Any]], name: str) -> list[float]:
    return [row[name] for row in rows if row[name] is not None]


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3f}"
