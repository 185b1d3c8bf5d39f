"""Feature tables → the factors that latents are held against; a track without a sound feature has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.config import FACTORS, LABEL
from ray_pipeline.features.brightness import SILENT
from ray_pipeline.features.key import KEYS, MAJOR
from ray_pipeline.features.rhythm import UNKNOWN
from ray_pipeline.schemas import Status
from ray_pipeline.stages.blocks import Row
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.featurize import feature_table
from ray_pipeline.stages.plan import rows_of

READ: dict[str, Callable[[NDArray[np.float64]], Any]] = {
    "tempo": lambda row: None if row[0] == UNKNOWN else float(row[0]),
    "key": lambda row: f"{KEYS[int(row[1])]} {'major' if row[2] == MAJOR else 'minor'}",
    "loudness": lambda row: float(row[3]),
    "brightness": lambda row: None if row[0] == SILENT else float(row[0]),
}
"""Factor → its value from a row of its feature: beats a minute, a key's name, LUFS, Hz."""


def read_factors(ctx: Context, tracks: list[Row], labels: list[str | None]) -> dict[str, list[Any]]:
    """The factors of the config for `tracks`, in their order.

    Raises
    ------
    StoreError
        A feature that one is read from was never made.
    """
    wanted = ctx.config.scoring.factors
    rows = {feature: _rows(ctx, feature, tracks) for feature in {FACTORS[name] for name in wanted if name != LABEL}}
    return {name: labels if name == LABEL else _values(name, rows[FACTORS[name]], tracks) for name in wanted}


def _values(name: str, rows: dict[str, NDArray[np.float64]], tracks: list[Row]) -> list[Any]:
    found = (rows.get(track["track_id"]) for track in tracks)
    return [None if row is None else READ[name](row) for row in found]


def _rows(ctx: Context, feature: str, tracks: list[Row]) -> dict[str, NDArray[np.float64]]:
    """track_id → its row of the feature, of those that are sound."""
    table = feature_table(ctx, feature)
    ctx.run.versions_read[ctx.store.address(table)] = table.version()
    rows = rows_of(table, tracks, ["track_id", "content_hash", "status", feature]).to_pylist()
    return {row["track_id"]: np.array(row[feature]) for row in rows if row["status"] == Status.OK}
