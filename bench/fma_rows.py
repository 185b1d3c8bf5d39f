"""The 1,990 real FMA rows that benches fit models to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray_pipeline.collection import Collection
from ray_pipeline.config import check

MEANS, STATISTICS = "20 means", "140 statistics"
VIEWS = {MEANS: "mfcc_native", STATISTICS: "fma_mfcc"}


def collection_of_fma(data: Path, store: str) -> tuple[Collection, dict[str, Any]]:
    """The 1,990 rows with both views and their genres, and the config that they were read with."""
    from ray_pipeline.stages.collection import read_collection
    from ray_pipeline.stages.context import Context
    from ray_pipeline.stages.import_features import import_features
    from ray_pipeline.stages.ingest import ingest
    from ray_pipeline.stages.session import session

    fma = data / "fma"
    base = {
        "store": store,
        "source": {"kind": "fma", "root": str(fma), "labels_file": str(fma / "labels.csv")},
        "features": list(VIEWS.values()),
        "lyrics": {"backend": "none"},
        "fusion": {"kind": "none"},
        "model": {"kind": "raw"},
        "scoring": {"label": "label"},
        "max_bad_fraction": 0.99,
    }
    ctx = Context.of(check(base), "bench")
    with session():
        ingest(ctx)
        import_features(ctx)
        return read_collection(ctx), base
