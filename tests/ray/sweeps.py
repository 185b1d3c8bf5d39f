"""A store whose tables were written by hand, and small sweeps over it: nothing is decoded before them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from ray_pipeline import schemas
from ray_pipeline.config import check
from ray_pipeline.stages import pipeline
from ray_pipeline.stages import sweep as stage
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.featurize import feature_table
from ray_pipeline.stages.ingest import tracks_table
from ray_pipeline.store import record_run
from ray_pipeline.sweep import Sweep, read_sweep

N, STYLES = 45, ("dub", "folk", "jazz")
FEATURES = {"mfcc": 20, "mfcc_stats": 140}

SETTINGS: dict[str, Any] = {
    "source": {"kind": "folder", "root": "/"},
    "features": ["mfcc", "mfcc_stats"],
    "lyrics": {"backend": "none"},
    "fusion": {"kind": "audio"},
    "model": {"kind": "beta", "latent_dim": 2},
    "training": {"epochs": 4, "batch_size": 16, "num_workers": 0},
    "clusterer": {"kind": "kmeans", "n_clusters": 3},
    "scoring": {"label": "style", "seeds": 1, "null_draws": 2, "permutations": 10},
    "resources": {"num_cpus": 2},
}
OPEN = {"gates": {"reconstruction": False}}
"""So few epochs rebuild worse than PCA."""


def settings(folder: Path, tune: dict[str, Any] | None, **sections: Any) -> dict[str, Any]:
    """`sections` replace whole sections; the store is `folder`/store."""
    return {"store": str(folder / "store")} | SETTINGS | sections | ({"tune": tune} if tune is not None else {})


def write_store(folder: Path) -> None:
    """Forty-five tracks of three styles that lie apart, with two features each."""
    ctx = Context.of(check(settings(folder, None)), "test")
    rng = np.random.default_rng(0)
    keys = [{"track_id": f"t{i}", "content_hash": f"c{i:03d}", "status": "ok", "error": ""} for i in range(N)]
    styles = [STYLES[i % len(STYLES)] for i in range(N)]
    rows = [k | {"uri": "", "labels": {"style": [style]}} for k, style in zip(keys, styles, strict=True)]
    _write(tracks_table(ctx), schemas.TRACKS, rows)
    for name, width in FEATURES.items():
        centres = rng.normal(0, 2, (len(STYLES), width))
        values = [centres[i % len(STYLES)] + rng.normal(size=width) for i in range(N)]
        schema = schemas.feature(name, (width,))
        _write(feature_table(ctx, name), schema, [k | {name: x} for k, x in zip(keys, values, strict=True)])
    ctx.run.state = "done"
    record_run(ctx.store, ctx.run)


def _write(table: Any, schema: pa.Schema, rows: list[dict[str, Any]]) -> None:
    table.create(schema)
    table.replace(pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema=schema))


def run_sweep(folder: Path, tune: dict[str, Any], *, retry_failed: bool = False, **sections: Any) -> tuple[Any, Sweep]:
    """Run a sweep in this process; its context, and what it came to."""
    ctx = Context.of(check(settings(folder, tune, **sections)), "sweep")
    with pipeline.recorded(ctx):
        stage.sweep(ctx, retry_failed=retry_failed)
    return ctx, read_sweep(ctx.store, Path(ctx.run.tables["trials"][-1]).stem)


def config_file(folder: Path, tune: dict[str, Any], **sections: Any) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(settings(folder, tune, **sections)), encoding="utf-8")
    return path
