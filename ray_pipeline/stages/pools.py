"""Rows through one pool of actors, or through two that run at once; a line a block comes back as they finish.

What bounds a crash: `from_arrow` hands out the blocks that are cut here, none of them merged, read from anywhere or made
again; an actor holds one block (`max_tasks_in_flight_per_actor=1`), which is not sent again if it dies (`max_task_retries=0`,
`max_errored_blocks=-1`), while the actor itself comes back (`max_restarts=-1`).

What bounds memory: between two pools lie prepared rows, 2 MB a window of sound. The first pool waits while they take
`BATCHES_AHEAD` batches a GPU, so that nothing is spilled to a disk and the next batch is still at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from ray_pipeline.stages import session
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.job import Job, Row
from ray_pipeline.stages.workers import AT, Preparer, Worker

NO_PROGRESS_S = 600.0
NODE_S = 1800.0  # to boot, and to install what it runs
BLOCKS_PER_WORKER = 6
MAX_BLOCK = 64
# Of them a GPU hears one, and Ray keeps a part of the room free for what is being made.
BATCHES_AHEAD = 4


def results(job: Job, rows: list[Row], size: int | None, ctx: Context, notes: str) -> Iterator[Row]:
    """A line, of `workers.RESULT`, for each block of `size` rows that came through; without one each row goes by itself."""
    batch = _batch(job, ctx) if job.two_pools and size else size or 1
    yield from _dataset(job, list(_cut(rows, size or 1)), batch, ctx, notes).iter_rows()


def _dataset(job: Job, blocks: list[pa.Table], batch: int, ctx: Context, notes: str) -> Any:
    session.connect(ctx)
    from ray.data import DataContext, Dataset, from_arrow

    n, n_rows, largest = len(blocks), sum(block.num_rows for block in blocks), max(batch, blocks[0].num_rows)
    limits = ctx.config.resources
    settings = DataContext.get_current().copy()
    # A block may rightly take as long as each of its rows may.
    settings.execution_no_progress_timeout_s = NO_PROGRESS_S + largest * limits.track_timeout_s
    # Workers that have a place do not wait for those that have none yet: another job may hold it, or a node is to come.
    settings.wait_for_min_actors_s = -1
    if session.grows(ctx):
        settings.execution_no_progress_timeout_s += NODE_S
    if job.two_pools:
        settings.execution_options.resource_limits = _room(job, n, ctx)
    with DataContext.current(settings):
        dataset: Dataset = from_arrow(blocks)
        if job.two_pools:
            size = _cpu_workers(job, n, n_rows, ctx)
            dataset = dataset.map_batches(Preparer, **_pool(job, size, ctx, notes, num_cpus=0.9))
        if job.num_gpus:
            last = _pool(job, _gpu_workers(job, n, ctx), ctx, notes, num_cpus=0.0, num_gpus=job.num_gpus)
            last["batch_size"] = batch  # Ray refuses a GPU without; smaller blocks are put together for it
        else:
            last = _pool(job, _cpu_workers(job, n, n_rows, ctx), ctx, notes, num_cpus=0.9)
        return dataset.map_batches(Worker, **last)


def _pool(job: Job, size: int, ctx: Context, notes: str, **share: float) -> dict[str, Any]:
    from ray.data import ActorPoolStrategy

    limits = ctx.config.resources
    return {
        "fn_constructor_args": (job, notes, limits.track_timeout_s, limits.track_memory_mb),
        "batch_size": None,
        "batch_format": "pyarrow",
        "compute": ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=1),
        # A block is tried once here; what a crash loses, the second pass finds.
        "ray_remote_args_fn": lambda: {"max_restarts": -1, "max_task_retries": 0},
        **share,
    }


def _room(job: Job, n_blocks: int, ctx: Context) -> Any:
    """What may lie in the object store at a time."""
    from ray.data import ExecutionResources

    assert job.prepare
    ahead = BATCHES_AHEAD * _batch(job, ctx) * _gpu_workers(job, n_blocks, ctx)
    return ExecutionResources.for_limits(object_store_memory=float(ahead * job.prepare.row_bytes))


def _cut(rows: list[Row], size: int) -> Iterator[pa.Table]:
    columns = pa.Table.from_pylist(rows)
    columns = columns.append_column(AT, pa.array(range(len(rows)), pa.int64()))
    for start in range(0, len(rows), size):
        yield columns.slice(start, size)


def block_size(job: Job, n: int, ctx: Context) -> int:
    """How many of `n` rows make a block: as configured, as the job says, or so that each worker has a few."""
    wanted = ctx.config.resources.block_size or job.block_size
    return wanted or max(1, min(MAX_BLOCK, -(-n // (BLOCKS_PER_WORKER * _cpu_workers(job, n, n, ctx)))))


def _batch(job: Job, ctx: Context) -> int:
    return ctx.config.resources.block_size or job.batch or 1


def _cpu_workers(job: Job, n_blocks: int, n_rows: int, ctx: Context) -> int:
    # What drives a GPU takes a core itself.
    spare = session.cpus(ctx) - (session.gpus(ctx) if job.two_pools else 0)
    if not ctx.config.resources.workers:
        spare = min(spare, -(-n_rows // job.worth))
    return _capped(spare, job, n_blocks, ctx)


def _gpu_workers(job: Job, n_blocks: int, ctx: Context) -> int:
    return _capped(int(session.gpus(ctx) / job.num_gpus), job, n_blocks, ctx)


def _capped(there: int, job: Job, n_blocks: int, ctx: Context) -> int:
    return max(1, min(there, n_blocks, ctx.config.resources.workers or n_blocks, job.max_workers or n_blocks))
