"""Configs for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SMALL: dict[str, Any] = {
    "features": ["mfcc"],
    "lyrics": {"backend": "none"},
    "fusion": {"kind": "audio"},
    "model": {"kind": "pca"},
    "training": {"epochs": 2, "num_workers": 0},
    "clusterer": {"kind": "kmeans", "n_clusters": 2},
    "scoring": {"seeds": 1, "null_draws": 2, "permutations": 20},
    "resources": {"num_cpus": 2},
    "max_bad_fraction": 0.99,
}


def make_config(store: Path, **sections: Any) -> Any:
    """A config of small, quick settings; `sections` replace whole sections."""
    from ray_pipeline.config import check

    return check({"store": str(store)} | SMALL | sections)
