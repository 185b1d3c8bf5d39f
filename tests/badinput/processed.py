"""A collection through ingest and featurize, as one row a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from conftest import make_config

from ray_pipeline.sources.base import to_path
from ray_pipeline.stages import pipeline
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.featurize import feature_table
from ray_pipeline.stages.ingest import read_tracks

Row = dict[str, Any]


def process(store: Path, source: dict[str, Any], *stages: str, **sections: Any) -> Context:
    """Run `stages` (default: ingest and featurize) as the command line does; the context of the last."""
    for stage in stages or ("ingest", "featurize"):
        ctx = Context.of(make_config(store, source=source, **sections), stage)
        pipeline.run(ctx, stage)
    return ctx


def features(ctx: Context, name: str = "mfcc") -> dict[str, Row]:
    """Rows of the feature `name` by track_id."""
    return {row["track_id"]: row for row in feature_table(ctx, name).read().to_pylist()}


def by_name(ctx: Context) -> dict[str, Row]:
    """What became of each file in the end: its tracks row, and over it its features row, by file name."""
    found = features(ctx)
    tracks = read_tracks(ctx)
    assert sorted(found) == sorted(track["track_id"] for track in tracks)
    return {os.path.basename(to_path(track["uri"])): track | found[track["track_id"]] for track in tracks}
