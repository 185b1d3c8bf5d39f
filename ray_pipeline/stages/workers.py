"""What runs in actors: rows prepared on a CPU, and rows worked on and written as uncommitted fragments."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter

import pyarrow as pa

from ray_pipeline.errors import RayPipelineError
from ray_pipeline.stages.gpu_time import Stopwatch
from ray_pipeline.stages.guard import Guard, notes_folder
from ray_pipeline.stages.job import Job, Row
from ray_pipeline.store import write_fragment

AT = "_at"
"""The column that says which rows of the job a block holds."""
REFUSED = "_refused"
"""The column in which the first of two pools tells the second what it raised, as JSON."""


class Preparer:
    """In the first of two pools: a block in, the same rows with what was prepared out."""

    def __init__(self, job: Job, notes: str, timeout_s: float, memory_mb: int) -> None:
        assert job.prepare
        self.prepare = job.prepare
        self.prepare.load()
        self.guard = Guard(notes_folder(notes), timeout_s, memory_mb)

    def __call__(self, block: pa.Table) -> pa.Table:
        rows, refused = block.drop_columns([AT]).to_pylist(), None
        try:
            with self.guard:
                prepared = self.prepare.process(rows, self.guard.begin)
        except RayPipelineError as error:
            prepared, refused = [{} for _ in rows], json.dumps(_told(error))
        block = block.append_column(REFUSED, pa.array([refused] * len(rows), pa.string()))
        for name, column in zip(self.prepare.schema.names, as_arrow(prepared, self.prepare.schema), strict=True):
            block = block.append_column(self.prepare.schema.field(name), column)
        return block


class Worker:
    """In the last pool: rows in, a line of what became of them out."""

    def __init__(self, job: Job, notes: str, timeout_s: float, memory_mb: int) -> None:
        self.job = job
        self.name = uuid.uuid4().hex[:12]
        self.schemas = [(table.uri, table.schema()) for table in job.tables]
        self.refusal: RayPipelineError | None = None
        self.since: float | None = None
        try:
            self.job.work.load()
            if job.prepare and not job.two_pools:
                job.prepare.load()
        except RayPipelineError as error:
            # Raised from here it would end as Ray's "the actor died"; so it goes back as a result.
            self.refusal = error
        self.guard = Guard(notes_folder(notes), timeout_s, memory_mb)

    def __call__(self, block: pa.Table) -> pa.Table:
        self.since = self.since or time.monotonic()
        refused = block[REFUSED].drop_null().to_pylist() if REFUSED in block.schema.names else []
        try:
            result = json.loads(refused[0]) if refused else self._work(block.drop_columns([AT]).to_pylist())
        except RayPipelineError as error:
            result = _told(error)
        result |= {"at": block[AT].to_pylist(), **self._time_on_gpu()}
        return pa.Table.from_pylist([result], schema=RESULT)

    def _work(self, rows: list[Row]) -> Row:
        if self.refusal:
            raise self.refusal
        with self.guard:
            out = self._process(rows)
        counted = Counter(str(row["status"]) for row in out)
        written = [write_fragment(as_arrow(out, schema), uri) for uri, schema in self.schemas] if out else []
        return {
            "statuses": list(counted),
            "counts": list(counted.values()),
            "uris": [one.uri for one in written],
            "fragments": [one.fragment for one in written],
            "sizes": [one.rows for one in written],
        }

    def _process(self, rows: list[Row]) -> list[Row]:
        work, prepare, begin = self.job.work, self.job.prepare, self.guard.begin
        if prepare is None or self.job.two_pools:
            return work.process(rows, begin)
        out = []
        for row in rows:
            (prepared,) = prepare.process([row], begin)
            out += work.process([row | prepared], begin)
        return out

    def _time_on_gpu(self) -> Row:
        busy = getattr(self.job.work, "busy", None)
        if not self.job.num_gpus or not isinstance(busy, Stopwatch) or self.since is None:
            return {}
        return {"worker": self.name, "busy_s": busy.seconds, "wall_s": time.monotonic() - self.since}


def _told(error: RayPipelineError) -> Row:
    """What is raised in a worker, as a result: raised from there it would be a block that failed, and say nothing."""
    return {"raised": type(error).__name__, "error": str(error), "hint": error.hint}


def as_arrow(rows: list[Row], schema: pa.Schema) -> pa.Table:
    """`rows` with the columns of `schema`, null where they lack one."""
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


RESULT = pa.schema(
    [
        ("at", pa.list_(pa.int64())),
        ("raised", pa.string()),
        ("error", pa.string()),
        ("hint", pa.string()),
        ("statuses", pa.list_(pa.string())),
        ("counts", pa.list_(pa.int64())),
        ("uris", pa.list_(pa.string())),
        ("fragments", pa.list_(pa.string())),
        ("sizes", pa.list_(pa.int64())),
        ("worker", pa.string()),
        ("busy_s", pa.float64()),
        ("wall_s", pa.float64()),
    ]
)
