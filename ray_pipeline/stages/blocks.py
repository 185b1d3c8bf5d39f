"""Rows through workers, block by block, committed as blocks finish.

The first pass sends blocks of many rows. A row that kills its worker takes its block with it, and leaves a note (`guard`): such
blocks run again, one row a block, and what is missing after that is put down as a bad row. Blocks that are missing and that no
note tells of, because a node went away with it or because nobody had begun them, go out once more as blocks before that: a node
that dies without a word swallows one after another until Ray takes note. Nothing is tried for ever, nothing is lost.

What a crash costs at most is what is in flight, which is done once more:

- a worker: its one block of ``resources.block_size`` rows, by default at most `pools.MAX_BLOCK`; on a GPU that another pool
  decodes for, its one batch (`Job.batch`, and less than a block on top);
- a node: that for each of its workers, and what was decoded there and not heard yet, `pools.BATCHES_AHEAD` batches a GPU;
- the driver: that for all workers, and what came back since the last commit, `COMMIT_EVERY_S` ago.

`pools` says which of Ray's settings make it so.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ray_pipeline import errors
from ray_pipeline.schemas import Status
from ray_pipeline.stages import notes, pools
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.gpu_time import GpuTime
from ray_pipeline.stages.job import Job, Preparation, Row, Work
from ray_pipeline.stages.workers import as_arrow
from ray_pipeline.store import Written

__all__ = ["Job", "Preparation", "Row", "Work", "run_job"]

COMMIT_EVERY_S = 2.0


@dataclass
class _Progress:
    """What has come back so far."""

    total: int
    finished: set[int] = field(default_factory=set)
    statuses: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    gpu: GpuTime = field(default_factory=GpuTime)

    def another(self) -> _Progress:
        """The same, for another pass over other rows."""
        return _Progress(self.total, statuses=self.statuses, rows=self.rows, gpu=self.gpu)


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
    name = f"{job.stage}-{ctx.run.time}-{uuid.uuid4().hex[:8]}"
    progress = _Progress(len(rows))
    ctx.progress(job.stage, 0, len(rows))
    try:
        # Once: what a pass loses may be a node, and a smaller cluster would have other blocks.
        size = pools.block_size(job, len(rows), ctx)
        missing = _pass(job, rows, size, name, progress, ctx)
        if missing:
            _try_again(job, rows, missing, size, name, progress, ctx)
    finally:
        # Notes of workers that an interrupt ended; on other nodes they are left to whatever clears temporary files.
        notes.take_here(name)
    ctx.worked(job.stage, progress.statuses, len(missing), progress.gpu.idle)
    return progress.statuses


def _try_again(
    job: Job, rows: list[Row], missing: list[int], size: int, name: str, progress: _Progress, ctx: Context
) -> None:
    """What did not come back goes out once more in its blocks, unless a note tells of one; then each row by itself."""
    known = notes.gather(name)
    lost, untold = _apart(job, rows, missing, known, size)
    if untold and len(missing) < len(rows):
        ctx.say(
            f"{job.stage}: {len(untold)} tracks came back without a word of what became of them; sending them out again"
        )
        progress = progress.another()
        missing = _pass(job, untold, size, name, progress, ctx)
        untold = [untold[at] for at in missing]
        known |= notes.gather(name) if missing else {}
    if lost + untold:
        _try_alone(job, lost + untold, known, name, progress.another(), ctx)


def _apart(
    job: Job, rows: list[Row], missing: list[int], known: Mapping[str, Status], size: int
) -> tuple[list[Row], list[Row]]:
    """Rows at `missing`: those of blocks of `size` that a note tells of, and the others.

    A worker that many rows ended together notes none of them: then it may have been any.
    """
    keys = {rows[at][job.key] for at in missing}
    noted = {at // size for at in missing if rows[at][job.key] in known or not known.keys() <= keys}
    return [rows[at] for at in missing if at // size in noted], [rows[at] for at in missing if at // size not in noted]


def _try_alone(
    job: Job, missing: list[Row], known: dict[str, Status], name: str, progress: _Progress, ctx: Context
) -> None:
    """What was lost with its worker runs by itself; what is lost again, or was ended by the guard, becomes a bad row."""
    ended = {row[job.key] for row in missing if known.get(row[job.key]) in {Status.TIMEOUT, Status.OUT_OF_MEMORY}}
    again = [row for row in missing if row[job.key] not in ended]
    ctx.say(f"{job.stage}: {len(missing)} tracks were lost with their worker; trying each by itself")
    lost = [again[at] for at in _pass(job, again, None, name, progress, ctx)]
    known = {key: why for key, why in known.items() if key in ended} | (notes.gather(name) if lost else {})
    _give_up([row for row in missing if row[job.key] in ended] + lost, job, known, progress, ctx)


def _pass(job: Job, rows: list[Row], size: int | None, name: str, progress: _Progress, ctx: Context) -> list[int]:
    """Send `rows` out once, in blocks of `size` or each by itself; where in `rows` those are that did not come back."""
    if not rows:
        return []
    pending: dict[str, list[Written]] = {table.uri: [] for table in job.tables}
    committed = time.monotonic()
    try:
        for result in pools.results(job, rows, size, ctx, name):
            _take(result, progress)
            for one in zip(result["uris"], result["fragments"], result["sizes"], strict=True):
                pending[one[0]].append(Written(*one))
            ctx.progress(job.stage, progress.rows, progress.total)
            if time.monotonic() - committed > COMMIT_EVERY_S:
                _commit(job, pending)
                committed = time.monotonic()
    finally:
        # Whatever ends this, an interrupt or a full disk: what was finished is kept. It may have struck after a commit.
        _commit(job, pending, again=True)
    return [at for at in range(len(rows)) if at not in progress.finished]


def _take(result: Row, progress: _Progress) -> None:
    """Note what came back, or raise what a worker raised."""
    if result["raised"]:
        raise getattr(errors, result["raised"])(result["error"], hint=result["hint"])
    progress.finished.update(result["at"])
    progress.statuses.update(dict(zip(result["statuses"], result["counts"], strict=True)))
    progress.rows += len(result["at"])
    if result["worker"]:
        progress.gpu.note(result["worker"], result["busy_s"], result["wall_s"])


def _commit(job: Job, pending: dict[str, list[Written]], *, again: bool = False) -> None:
    """Commit what is `pending` for each table, which is empty then."""
    for table in job.tables:
        table.commit(pending[table.uri], again=again)
        pending[table.uri] = []


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
        table.append(as_arrow(out, table.schema()))
    progress.statuses.update(str(row["status"]) for row in out)
    ctx.progress(job.stage, progress.rows + len(rows), progress.total)
