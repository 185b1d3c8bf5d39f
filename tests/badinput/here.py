"""A stage's work done in this process, so that a test can take the place of what it works with; no Ray is started."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from ray_pipeline.schemas import Status


def run_job(job: Any, rows: list[dict[str, Any]], ctx: Any) -> Counter[str]:
    """As `stages.blocks.run_job`, in one block and without a guard."""
    if not rows:
        return Counter()
    job.work.load()
    if job.prepare:
        prepared = job.prepare.process(rows, lambda key: None)
        rows = [row | more for row, more in zip(rows, prepared, strict=True)]
    out = job.work.process(rows, lambda key, n=1: None)
    for table in job.tables:
        schema = table.schema()
        table.append(pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in out], schema))
    return Counter(str(Status(row["status"])) for row in out)
