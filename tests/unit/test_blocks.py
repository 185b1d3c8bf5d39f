"""Rows through workers, as the driver sees them: what comes back is committed once, whatever strikes in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from configs import make_config

from ray_pipeline import schemas
from ray_pipeline.errors import StoreError
from ray_pipeline.stages import blocks, pools
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.job import Job
from ray_pipeline.store import Table, write_fragment

SCHEMA = schemas.feature("mfcc", (2,))
ROWS = [{"track_id": str(i)} for i in range(4)]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Two tables, and a worker for whom each row is a block of its own."""
    tables = [Table(str(tmp_path / f"store/features/{name}.lance")) for name in "ab"]
    for table in tables:
        table.create(SCHEMA)

    def results(job: Job, rows: list[dict[str, Any]], *_: object) -> Iterator[dict[str, Any]]:
        for at, row in enumerate(rows):
            whole = {"track_id": row["track_id"], "content_hash": "c", "status": "ok", "error": "", "mfcc": [0.0, 1.0]}
            data = pa.Table.from_pylist([whole], schema=SCHEMA)
            written = [write_fragment(data, table.uri) for table in job.tables]
            yield {"raised": None, "at": [at], "statuses": ["ok"], "counts": [1], "worker": None,
                   "uris": [one.uri for one in written], "fragments": [one.fragment for one in written],
                   "sizes": [1] * len(written)}  # fmt: skip

    monkeypatch.setattr(pools, "results", results)
    monkeypatch.setattr(blocks, "COMMIT_EVERY_S", 0.0)
    return Job("featurize", None, tables)  # type: ignore[arg-type]


@pytest.mark.parametrize("at", range(6))
@pytest.mark.parametrize("struck", [KeyboardInterrupt, StoreError])
def test_nothing_is_committed_twice_whatever_strikes_after_a_commit(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, struck: Callable[[str], BaseException], at: int
) -> None:
    """The `at`-th commit comes about, but its answer is lost, or Ctrl-C strikes before anybody has heard it."""
    ctx = Context.of(make_config(tmp_path / "store", source={"kind": "folder", "root": "/"}), "featurize")
    commit, count = Table.commit, iter(range(100))

    def lost(table: Table, *args: Any, **kwargs: Any) -> None:
        commit(table, *args, **kwargs)
        if next(count) == at:
            raise struck("the answer is lost")

    monkeypatch.setattr(Table, "commit", lost)
    with pytest.raises(BaseException, match="the answer is lost"):
        blocks._pass(job, ROWS, 1, "pass", blocks._Progress(len(ROWS)), ctx)
    for table in job.tables:
        ids = table.read(["track_id"])["track_id"].to_pylist()
        assert len(ids) == len(set(ids)) == at // 2 + 1, "what was finished is there, once, in both tables"
