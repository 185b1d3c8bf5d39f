"""The collections that benches fit models to, from stores that stages fill: the 90 real clips, the 1,990 real FMA rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray_pipeline.collection import Collection
from ray_pipeline.config import Config, check

MEANS, STATISTICS = "20 means", "140 statistics"
VIEWS = {MEANS: "mfcc_native", STATISTICS: "fma_mfcc"}


def collection_of(config: Config, *stages: str) -> Collection:
    """What a model sees of `config`, once `stages`, by the names of their commands, have filled its store."""
    # Here, and not above: workers that fit models import this file too, and need no Ray.
    from ray_pipeline.stages.collection import read_collection
    from ray_pipeline.stages.context import Context
    from ray_pipeline.stages.pipeline import ASIDE, STAGES
    from ray_pipeline.stages.session import session

    ctx = Context.of(config, "bench")
    with session():
        for name in stages:
            (STAGES | ASIDE)[name](ctx)
        return read_collection(ctx)


def source_of_clips(data: Path) -> dict[str, Any]:
    return {"kind": "manifest", "root": str(data / "clips/manifest.csv")}


def source_of_fma(data: Path) -> dict[str, Any]:
    fma = data / "fma"
    return {"kind": "fma", "root": str(fma), "labels_file": str(fma / "labels.csv")}


def collection_of_fma(data: Path, store: str) -> tuple[Collection, dict[str, Any]]:
    """The 1,990 rows with both views and their genres, and the config that they were read with."""
    base = {
        "store": store,
        "source": source_of_fma(data),
        "features": list(VIEWS.values()),
        "lyrics": {"backend": "none"},
        "fusion": {"kind": "none"},
        "model": {"kind": "raw"},
        "scoring": {"label": "label"},
        "max_bad_fraction": 0.99,
    }
    return collection_of(check(base), "ingest", "import-features"), base
