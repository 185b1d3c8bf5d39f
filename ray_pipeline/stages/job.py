"""What a stage asks to be done with rows: a `Job`, which `blocks.run_job` carries out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from ray_pipeline.schemas import Status
from ray_pipeline.store import Table

Row = dict[str, Any]


class Begin(Protocol):
    """Goes before whatever may crash on the account of `key`, or of `n` rows that are worked on together."""

    def __call__(self, key: str, n: int = 1) -> None: ...


class Work(Protocol):
    """What a stage does with rows, pickled to workers.

    One that works on a GPU may have `busy`, a `Stopwatch` that runs while its model does: the GPU's idle share comes of it.
    """

    def load(self) -> None:
        """Done once in each worker, before its first block: models, caches."""

    def process(self, rows: list[Row], begin: Begin) -> list[Row]:
        """Output rows; `begin(key)` goes before whatever may crash on that key's account."""
        ...

    def failed(self, row: Row, status: Status, error: str) -> list[Row]:
        """Output rows of an input row that could not be worked on."""
        ...


class Preparation(Protocol):
    """What a CPU makes of rows before `Work` has them, pickled to workers."""

    schema: pa.Schema
    """The columns that it adds."""

    row_bytes: int
    """What they take for one row, at most."""

    def load(self) -> None:
        """Done once in each worker, before its first block."""

    def process(self, rows: list[Row], begin: Begin) -> list[Row]:
        """The columns of `schema` for each row, in order."""
        ...


@dataclass(frozen=True)
class Job:
    """`key` names the column that tells rows apart; each table takes the columns of its own schema.

    With `prepare` and `num_gpus`, rows go through two pools of workers that run at once: on CPUs, `prepare` in blocks of
    `block_size`; on GPUs, `work` on `batch` prepared rows at a time. Without a GPU one pool does both, row by row.

    `worth` is how many rows pay for a worker's start, some seconds of a CPU for its imports: for fewer, none more is started.
    """

    stage: str
    work: Work
    tables: list[Table]
    key: str = "track_id"
    prepare: Preparation | None = None
    num_gpus: float = 0.0
    max_workers: int | None = None
    worth: int = 1
    block_size: int | None = None
    batch: int | None = None

    @property
    def two_pools(self) -> bool:
        return self.prepare is not None and self.num_gpus > 0
