"""What the work on one track raises becomes that track's row, and no other track's."""

from __future__ import annotations

from typing import Any

import pytest

from ray_pipeline.errors import StoreError
from ray_pipeline.schemas import Status
from ray_pipeline.stages.border import MOST_TOLD, track_by_track, verdict

ROWS = [{"track_id": name} for name in "abc"]


def _failed(row: dict[str, Any], status: Status, error: str) -> dict[str, Any]:
    return row | {"status": str(status), "error": error}


def test_one_track_that_fails_leaves_the_others() -> None:
    begun: list[str] = []

    def work(row: dict[str, Any]) -> dict[str, Any]:
        if row["track_id"] == "b":
            raise ValueError("no sound")
        return row | {"status": "ok"}

    out = track_by_track(ROWS, begun.append, work, _failed)
    assert begun == ["a", "b", "c"]
    assert [row["status"] for row in out] == ["ok", "worker_crash", "ok"]
    assert out[1]["error"] == "ValueError: no sound"


def test_what_is_no_fault_of_the_tracks_ends_the_work() -> None:
    def work(row: dict[str, Any]) -> dict[str, Any]:
        raise StoreError("s3://music: does not answer")

    with pytest.raises(StoreError, match="does not answer"):
        track_by_track(ROWS, lambda key: None, work, _failed)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), (Status.OUT_OF_MEMORY, "not enough memory")),
        (MemoryError("no room for one window"), (Status.OUT_OF_MEMORY, "no room for one window")),
        (RuntimeError("x" * 9_999), (Status.WORKER_CRASH, f"RuntimeError: {'x' * 9_999}"[:MOST_TOLD])),
    ],
)
def test_verdicts(error: Exception, told: tuple[Status, str]) -> None:
    assert verdict(error) == told
