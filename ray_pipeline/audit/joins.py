"""Were labels joined to the right tracks? The check of the join on one row of each table, as lines of the audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray_pipeline.audit.run import Outcome
from ray_pipeline.audit.settings import needs_label
from ray_pipeline.audit.study import StudyRow
from ray_pipeline.audit.table import Line

JOIN = "Label join"


def joins(found: Sequence[tuple[StudyRow, list[Outcome] | str]]) -> list[Line]:
    """Of each table the first row that was run, knows no label and fills no gap: its scores as joined, and dealt anew."""
    out: list[Line] = []
    seen: set[str] = set()
    for row, outcomes in found:
        if isinstance(outcomes, str) or row.table in seen or needs_label(row) or row.zero_fill:
            continue
        seen.add(row.table)
        out += [_line(row, one) for outcome in outcomes for one in outcome.join]
    return out


def _line(row: StudyRow, found: dict[str, Any]) -> Line:
    return Line(
        JOIN,
        f"{row.table}, {row.name}",
        found["metric"],
        reproduced_mean=found["joined"],
        n_seeds=1,
        null_mean=found["chance"],
        p=found["p"],
        verdict=f"{found['verdict']} (dealt to other tracks: {found['shuffled']:.4f})",
    )
