"""Rows through workers, block by block, committed as blocks finish.

The first pass sends blocks of many rows. A row that kills its worker takes its block with it: what is missing then runs
again, one row a block, and what is missing after that is put down as a bad row. Nothing is tried for ever, nothing is lost.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from ray_pipeline import errors
from ray_pipeline.errors import RayPipelineError
from ray_pipeline.schemas import Status
from ray_pipeline.stages import session
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.guard import Guard, verdicts
from ray_pipeline.store import Table, Written, write_fragment

COMMIT_EVERY_S = 2.0
NO_PROGRESS_S = 600.0
BLOCKS_PER_WORKER = 6
MAX_BLOCK = 64

Row = dict[str, Any]


class Work(Protocol):
    """What a stage does with rows, pickled to workers."""

    def load(self) -> None:
        """Done once in each worker, before its first block: models, caches."""

    def process(self, rows: list[Row], begin: Callable[[str], None]) -> list[Row]:
        """Output rows; `begin(key)` goes before whatever may crash on that key's account."""
        ...

    def failed(self, row: Row, status: Status, error: str) -> list[Row]:
        """Output rows of an input row that could not be worked on."""
        ...


@dataclass(frozen=True)
class Job:
    """`key` names the column that tells rows apart; each table takes the columns of its own schema."""

    stage: str
    work: Work
    tables: list[Table]
    key: str = "track_id"
    num_gpus: float = 0.0
    max_workers: int | None = None
    block_size: int | None = None


@dataclass
class _Progress:
    """What has come back so far."""

    total: int
    finished: set[int] = field(default_factory=set)
    statuses: Counter[str] = field(default_factory=Counter)
    rows: int = 0


def run_job(job: Job, rows: list[Row], ctx: Context) -> Counter[str]:
    """Work on all `rows`; how many output rows of which status were committed.

    Raises
    ------
    StoreError
        A worker could not write.
    RayPipelineError
        Whatever `work.load` raised in a worker.
    """
    if not rows:
        return Counter()
    folder = session.scratch(ctx, job.stage)
    progress = _Progress(len(rows))
    ctx.progress(job.stage, 0, len(rows))
    _pass(job, rows, _block_size(job, len(rows), ctx), folder / "blocks", progress, ctx)
    missing = _missing(rows, progress)
    if missing:
        known = verdicts(folder / "blocks")
        ended = {row[job.key] for row in missing if known.get(row[job.key]) in {Status.TIMEOUT, Status.OUT_OF_MEMORY}}
        again = [row for row in missing if row[job.key] not in ended]
        ctx.say(f"{job.stage}: {len(missing)} tracks were lost with their worker; trying each by itself")
        second = _Progress(progress.total, statuses=progress.statuses, rows=progress.rows)
        _pass(job, again, 1, folder / "alone", second, ctx)
        known = {key: why for key, why in known.items() if key in ended} | verdicts(folder / "alone")
        _give_up([row for row in missing if row[job.key] in ended] + _missing(again, second), job, known, second, ctx)
    shutil.rmtree(folder, ignore_errors=True)
    return progress.statuses


def _block_size(job: Job, n: int, ctx: Context) -> int:
    wanted = job.block_size or ctx.config.resources.block_size
    return wanted or max(1, min(MAX_BLOCK, -(-n // (BLOCKS_PER_WORKER * _n_workers(job, n, ctx)))))


def _n_workers(job: Job, n_blocks: int, ctx: Context) -> int:
    there = session.gpus(ctx) / job.num_gpus if job.num_gpus else session.cpus(ctx)
    limits = [int(there), n_blocks, ctx.config.resources.workers or n_blocks, job.max_workers or n_blocks]
    return max(1, min(limits))


def _pass(job: Job, rows: list[Row], size: int, folder: Path, progress: _Progress, ctx: Context) -> None:
    if not rows:
        return
    pending: list[Written] = []
    committed = time.monotonic()
    try:
        for result in _results(job, rows, size, folder, ctx):
            _take(result, progress)
            pending += [Written(*one) for one in zip(result["uris"], result["fragments"], result["sizes"], strict=True)]
            ctx.progress(job.stage, progress.rows, progress.total)
            if time.monotonic() - committed > COMMIT_EVERY_S:
                _commit(job, pending)
                pending, committed = [], time.monotonic()
    finally:
        # Whatever ends this, an interrupt or a full disk: what was finished is kept.
        _commit(job, pending)


def _take(result: Row, progress: _Progress) -> None:
    """Note what came back, or raise what a worker raised."""
    if result["raised"]:
        raise getattr(errors, result["raised"])(result["error"], hint=result["hint"])
    start, count = result["start"], result["count"]
    progress.finished.update(range(start, start + count))
    progress.statuses.update(dict(zip(result["statuses"], result["counts"], strict=True)))
    progress.rows += count


def _results(job: Job, rows: list[Row], size: int, folder: Path, ctx: Context) -> Iterator[Row]:
    """One result a block, as they finish."""
    session.connect(ctx)
    import ray.data

    columns = pa.Table.from_pylist(rows)
    blocks = []
    for start in range(0, len(rows), size):
        block = columns.slice(start, size)
        blocks.append(block.append_column("_start", pa.array([start] * block.num_rows, pa.int64())))
    limits = ctx.config.resources
    # A block may rightly take as long as each of its rows may.
    ray.data.DataContext.get_current().execution_no_progress_timeout_s = NO_PROGRESS_S + size * limits.track_timeout_s
    dataset = ray.data.from_arrow(blocks).map_batches(
        _Worker,
        fn_constructor_args=(job, folder, limits.track_timeout_s, limits.track_memory_mb),
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=0.0 if job.num_gpus else 0.9,
        num_gpus=job.num_gpus or None,
        compute=ray.data.ActorPoolStrategy(size=_n_workers(job, len(blocks), ctx), max_tasks_in_flight_per_actor=1),
        # A block is tried once here; what a crash loses, the second pass finds.
        ray_remote_args_fn=lambda: {"max_restarts": -1, "max_task_retries": 0},
    )
    yield from dataset.iter_rows()


def _commit(job: Job, written: Iterable[Written]) -> None:
    by_table: dict[str, list[Written]] = {}
    for one in written:
        by_table.setdefault(one.uri, []).append(one)
    for table in job.tables:
        table.commit(by_table.get(table.uri, []))


def _missing(rows: list[Row], progress: _Progress) -> list[Row]:
    return [row for at, row in enumerate(rows) if at not in progress.finished]


def _give_up(rows: list[Row], job: Job, why: dict[str, Status], progress: _Progress, ctx: Context) -> None:
    """Put down what ended each of `rows`; `why` is by key."""
    limits = ctx.config.resources
    told = {
        Status.TIMEOUT: f"took longer than resources.track_timeout_s = {limits.track_timeout_s:g} s",
        Status.OUT_OF_MEMORY: f"grew by more than resources.track_memory_mb = {limits.track_memory_mb} MiB",
        Status.WORKER_CRASH: "its worker process died, or raised what logs/ray_data.log tells",
    }
    out: list[Row] = []
    for row in rows:
        status = why.get(row[job.key], Status.WORKER_CRASH)
        out += job.work.failed(row, status, told[status])
    for table in job.tables:
        table.append(_arrow(out, table.schema()))
    progress.statuses.update(str(row["status"]) for row in out)
    ctx.progress(job.stage, progress.rows + len(rows), progress.total)


def _arrow(rows: list[Row], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


class _Worker:
    """Runs in an actor: one block in, its rows written as uncommitted fragments, a line of what they are out."""

    def __init__(self, job: Job, folder: Path, timeout_s: float, memory_mb: int) -> None:
        self.job = job
        self.schemas = [(table.uri, table.schema()) for table in job.tables]
        self.refusal: RayPipelineError | None = None
        try:
            self.job.work.load()
        except RayPipelineError as error:
            # Raised from here it would end as Ray's "the actor died"; so it goes back as a result.
            self.refusal = error
        self.guard = Guard(folder, timeout_s, memory_mb)

    def __call__(self, block: pa.Table) -> pa.Table:
        rows = block.drop_columns(["_start"]).to_pylist()
        try:
            result = self._work(rows)
        except RayPipelineError as error:
            result = {"raised": type(error).__name__, "error": str(error), "hint": error.hint}
        result |= {"start": block["_start"][0].as_py(), "count": len(rows)}
        return pa.Table.from_pylist([result], schema=_RESULT)

    def _work(self, rows: list[Row]) -> Row:
        if self.refusal:
            raise self.refusal
        with self.guard:
            out = self.job.work.process(rows, self.guard.begin)
        counted = Counter(str(row["status"]) for row in out)
        written = [write_fragment(_arrow(out, schema), uri) for uri, schema in self.schemas] if out else []
        return {
            "statuses": list(counted),
            "counts": list(counted.values()),
            "uris": [one.uri for one in written],
            "fragments": [one.fragment for one in written],
            "sizes": [one.rows for one in written],
        }


_RESULT = pa.schema(
    [
        ("start", pa.int64()),
        ("count", pa.int64()),
        ("raised", pa.string()),
        ("error", pa.string()),
        ("hint", pa.string()),
        ("statuses", pa.list_(pa.string())),
        ("counts", pa.list_(pa.int64())),
        ("uris", pa.list_(pa.string())),
        ("fragments", pa.list_(pa.string())),
        ("sizes", pa.list_(pa.int64())),
    ]
)
