"""A collection through ingest and featurize, as one row a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from configs import make_config

from ray_pipeline.sources.base import to_path
from ray_pipeline.stages import pipeline
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.featurize import feature_table
from ray_pipeline.stages.ingest import read_tracks
from ray_pipeline.stages.plan import rows_of

Row = dict[str, Any]


def process(store: Path, source: dict[str, Any], *stages: str, **sections: Any) -> Context:
    """Run `stages` (default: ingest and featurize) as the command line does; the context of the last.

    With one worker: to start a second takes longer than all there is to do.
    """
    settings = {"resources": {"num_cpus": 2, "workers": 1}, "source": source} | sections
    for stage in stages or ("ingest", "featurize"):
        ctx = Context.of(make_config(store, **settings), stage)
        pipeline.run(ctx, stage)
    return ctx


def features(ctx: Context, name: str = "mfcc") -> dict[str, Row]:
    """Rows of the feature `name` by track_id."""
    return {row["track_id"]: row for row in feature_table(ctx, name).read().to_pylist()}


def by_name(ctx: Context) -> dict[str, Row]:
    """What became of each file in the end: its tracks row, and over it its features row, by file name."""
    tracks = read_tracks(ctx)
    made = rows_of(feature_table(ctx, "mfcc"), tracks).to_pylist()
    assert [row["track_id"] for row in made] == [track["track_id"] for track in tracks]
    return {Path(to_path(track["uri"])).name: track | row for track, row in zip(tracks, made, strict=True)}
