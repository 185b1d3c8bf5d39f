"""Configs, tracks and what trials share, for tests of sweeps without Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from configs import make_config

from ray_pipeline.collection import Collection
from ray_pipeline.config import Config
from ray_pipeline.fusion import LYRICS
from ray_pipeline.stages.sweep_data import Shared

N, WITH_WORDS = 30, 10


def config_with(tune: dict[str, Any] | None, **sections: Any) -> Config:
    config: Config = make_config(Path("/nowhere"), source={"kind": "folder", "root": "/"}, tune=tune, **sections)
    return config


def some_tracks() -> Collection:
    """Thirty tracks of noise with two features, a genre, an artist and a key each; ten have words."""
    rng = np.random.default_rng(0)
    views = {name: rng.normal(size=(N, 4)).astype(np.float32) for name in ("mfcc", "mfcc_stats", LYRICS)}
    masks = {name: np.ones(N, np.bool_) for name in views}
    masks[LYRICS][WITH_WORDS:] = False
    names = [f"t{i}" for i in range(N)]
    classes: list[str | None] = [["a", "b"][i % 2] for i in range(N)]
    return Collection(names, names, views, masks, classes, "genre", artists=list(names), factors={"key": list(names)})


def shared_with(whole: Collection, tune: dict[str, Any], **sections: Any) -> Shared:
    config = config_with(tune, features=["mfcc", "mfcc_stats"], lyrics={"backend": "faster-whisper"}, **sections)
    assert config.tune
    return Shared("sweep", config, config.tune, whole, {"genre": whole.labels}, "cpu")
