"""A small folder of music, and a way to run stages on it again and again over the same store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sounds import write

Run = Callable[..., Any]


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Six WAV files of 2 s, `a.wav` to `f.wav`, no two alike."""
    for name in "abcdef":
        write(tmp_path / "music" / f"{name}.wav")
    return tmp_path / "music"


@pytest.fixture
def run(ray_session: Any, context: Callable[..., Any], music: Path) -> Run:
    """`run("featurize", features=[…])`: run a command over `music` and give its context back."""
    from ray_pipeline.stages import pipeline

    def go(command: str = "run", **sections: Any) -> Any:
        ctx = context(command, **({"source": {"kind": "folder", "root": str(music)}} | sections))
        pipeline.run(ctx, command)
        return ctx

    return go


def rows(ctx: Any, name: str) -> list[dict[str, Any]]:
    """Rows of table `name` as the run of `ctx` left it, by track_id where they have one."""
    from ray_pipeline.store.export import read_run

    table = read_run(ctx.store, ctx.run, name)
    assert table is not None, f"the run made no table {name}"
    found: list[dict[str, Any]] = table.to_pylist()
    return sorted(found, key=lambda row: str(row.get("track_id")))


def versions(ctx: Any) -> dict[str, int]:
    """Every dataset of the store with its version."""
    return {ctx.store.address(table): table.version() for table in ctx.store.datasets()}
