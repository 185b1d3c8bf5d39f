"""The per-track border: what the work on one track raises becomes that track's status, and stops no other."""

from __future__ import annotations

from collections.abc import Callable

from ray_pipeline.errors import RayPipelineError
from ray_pipeline.schemas import Status
from ray_pipeline.stages.job import Begin, Row

MOST_TOLD = 500  # characters of an error


def track_by_track(
    rows: list[Row], begin: Begin, work: Callable[[Row], Row], failed: Callable[[Row, Status, str], Row]
) -> list[Row]:
    """What `work` makes of each row; of one it fails on, what `failed` makes of the status and the error's text.

    Raises
    ------
    RayPipelineError
        As `verdict`.
    """
    out = []
    for row in rows:
        begin(row["track_id"])
        try:
            out.append(work(row))
        except Exception as error:  # noqa: BLE001 — the per-track border
            out.append(failed(row, *verdict(error)))
    return out


def verdict(error: Exception) -> tuple[Status, str]:
    """The status of a track on whose account `error` was raised, and what its row says.

    Raises
    ------
    RayPipelineError
        It is one, and so no fault of the track's: its store does not answer.
    """
    if isinstance(error, RayPipelineError):
        raise error
    if isinstance(error, MemoryError):
        return Status.OUT_OF_MEMORY, str(error)[:MOST_TOLD] or "not enough memory"
    return Status.WORKER_CRASH, f"{type(error).__name__}: {error}"[:MOST_TOLD]
