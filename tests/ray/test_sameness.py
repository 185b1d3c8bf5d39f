"""The same config, data and seed give the same: with one worker or two, in any order of files, in a second store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outcome import rows
from small_job import runs_in
from sounds import tone, write

pytestmark = pytest.mark.ray


def by_content(ctx: Any, table: str, *columns: str) -> dict[str, tuple[Any, ...]]:
    """Content of each track → what `table` has of it; names of files have no say in it."""
    return {row["content_hash"]: tuple(row[name] for name in columns) for row in rows(ctx, table)}


def scores(ctx: Any) -> list[tuple[Any, ...]]:
    names = ("metric", "seed", "value", "null_mean", "lift", "z", "p", "n")
    return sorted(tuple(row[name] for name in names) for row in rows(ctx, "scores"))


@pytest.fixture
def two_folders(tmp_path: Path) -> tuple[Path, Path]:
    """The same twelve tracks of six lengths, under other names and in another order in the second."""
    folders = tmp_path / "one", tmp_path / "two"
    order = np.random.default_rng(0).permutation(12)
    for i in range(12):
        samples = tone(1.2 + i % 6 / 3, hz=150.0 + 40 * i, seed=i)
        write(folders[0] / f"music/{i:02d}.wav", samples)
        write(folders[1] / f"music/x{order[i]:02d}.wav", samples)
    return folders


@pytest.mark.slow
def test_row_33_workers_blocks_and_order_change_nothing(ray_session: Any, two_folders: tuple[Path, Path]) -> None:
    vae = {"model": {"kind": "vae"}, "features": ["mfcc", "mfcc_stats"], "training": {"epochs": 3, "num_workers": 0}}
    limits = {"workers": 1, "block_size": 12}, {"workers": 2, "block_size": 1}
    one, two = (
        runs_in(folder)(**vae, resources={"num_cpus": 2} | limit)
        for folder, limit in zip(two_folders, limits, strict=True)
    )
    for table, columns in {
        "features": ("status", "mfcc", "mfcc_stats", "peak", "rms_db"),
        "latents": ("mu", "logvar", "recon_error"),
        "clusters": ("cluster", "distance", "x2d", "y2d"),
    }.items():
        assert by_content(one, table, *columns) == by_content(two, table, *columns), table
    assert scores(one) == scores(two)
    assert one.run.experiments == two.run.experiments


def test_another_seed_gives_another_experiment(run: Any, first: Any) -> None:
    ctx = run(seed=7, model={"kind": "vae"})
    assert ctx.run.experiments != first.run.experiments
    assert len(rows(ctx, "clusters")) == 6
