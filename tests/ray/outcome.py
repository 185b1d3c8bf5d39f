"""What a run came to: rows of its tables, versions of its datasets, work done by stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray_pipeline.store.export import read_run


def rows(ctx: Any, name: str) -> list[dict[str, Any]]:
    """Rows of table `name` as the run of `ctx` left it, by track_id where they have one."""
    table = read_run(ctx.store, ctx.run, name)
    assert table is not None, f"the run made no table {name}"
    found: list[dict[str, Any]] = table.to_pylist()
    return sorted(found, key=lambda row: str(row.get("track_id")))


def files_in(ctx: Any, name: str) -> str:
    """File names, less their endings, of the tracks that table `name` has a row for: ``a b c``."""
    by_id = {row["track_id"]: Path(row["uri"]).stem for row in rows(ctx, "tracks")}
    return " ".join(sorted(by_id[row["track_id"]] for row in rows(ctx, name)))


def versions(ctx: Any) -> dict[str, int]:
    """Every dataset of the store with its version."""
    return {ctx.store.address(table): table.version() for table in ctx.store.datasets()}


def done(ctx: Any) -> dict[str, int]:
    """Work by stage, where there was any."""
    return {stage: n for stage, n in ctx.run.done.items() if n}
