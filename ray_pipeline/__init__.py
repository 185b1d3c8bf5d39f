"""Unsupervised music clustering on Ray, with scores that say what chance would have scored.

from ray_pipeline import Experiment, open_store
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray_pipeline.config import Config, load
    from ray_pipeline.estimator import Experiment
    from ray_pipeline.store import Store, open_store

__version__ = "0.1.0"
__all__ = ["Config", "Experiment", "Store", "load", "open_store"]

# Importing the package loads neither Ray, torch nor librosa: what a name needs is imported when it is first asked for.
_NAMES = {
    "Config": "ray_pipeline.config",
    "Experiment": "ray_pipeline.estimator",
    "Store": "ray_pipeline.store",
    "load": "ray_pipeline.config",
    "open_store": "ray_pipeline.store",
}


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'ray_pipeline' has no attribute '{name}'")
