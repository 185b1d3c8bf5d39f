"""A store whose features are drawn, not heard: `train` has all it needs, and no audio is decoded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from small_job import settings

N_GROUPS = 4
DIM = 20


def drawn(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`n` rows in `N_GROUPS` groups that overlap a little: float32 [n, DIM], and the group of each."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) % N_GROUPS
    return (rng.normal(0, 2.5, (N_GROUPS, DIM))[group] + rng.normal(size=(n, DIM))).astype(np.float32), group


def make_store(folder: Path, n: int) -> None:
    """Fill `folder`/store with `n` tracks and their `mfcc`."""
    from ray_pipeline import schemas
    from ray_pipeline.config import check
    from ray_pipeline.stages.context import Context
    from ray_pipeline.stages.featurize import feature_table
    from ray_pipeline.stages.ingest import tracks_table

    ctx = Context.of(check(settings(folder)), "ingest")
    rows, _ = drawn(n)
    keys = [{"track_id": f"t{i:04d}", "content_hash": f"c{i:04d}", "status": "ok", "error": ""} for i in range(n)]
    _write(tracks_table(ctx), schemas.TRACKS, [key | {"uri": "", "labels": {}} for key in keys])
    features = [key | {"mfcc": row} for key, row in zip(keys, rows, strict=True)]
    _write(feature_table(ctx, "mfcc"), schemas.feature("mfcc", (DIM,)), features)


def _write(table: Any, schema: pa.Schema, rows: list[dict[str, Any]]) -> None:
    table.create(schema)
    table.replace(pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema=schema))


def models(folder: Path) -> dict[str, tuple[dict[str, bytes], list[dict[str, float]]]]:
    """Model id → the bytes of its weights, and its history less the seconds, of all models in `folder`/store."""
    found = {}
    for place in sorted(folder.glob("store/models/*")):
        history = json.loads((place / "card.json").read_text())["history"]
        weights = {path.name: path.read_bytes() for path in sorted(place.glob("*.safetensors"))}
        found[place.name] = weights, [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in history]
    return found


def epochs_run(folder: Path) -> dict[tuple[str, int], list[int]]:
    """(Model id, process) → the epochs that it ran, in their order: what the log of the trainings tells."""
    log = folder / "store/logs/train.jsonl"
    found: dict[tuple[str, int], list[int]] = {}
    for line in log.read_text().splitlines() if log.exists() else []:
        epoch = json.loads(line)
        found.setdefault((epoch["model"], epoch["pid"]), []).append(epoch["epoch"])
    return found
