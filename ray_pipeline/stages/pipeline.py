"""The stages in their order, and what a dry run says of them."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import version

from ray_pipeline import experiment
from ray_pipeline.errors import StoreError
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.embed import embed, vectors_recipe
from ray_pipeline.stages.evaluate import evaluate
from ray_pipeline.stages.featurize import feature_table, featurize, upstream_of_lyrics
from ray_pipeline.stages.ingest import ingest, read_tracks, tracks_table
from ray_pipeline.stages.plan import make_plan
from ray_pipeline.stages.report import report
from ray_pipeline.stages.train import train
from ray_pipeline.stages.transcribe import has_lyrics, lyrics_recipe, lyrics_table, transcribe
from ray_pipeline.store import latest_run, record_run

STAGES: dict[str, Callable[[Context], int]] = {
    "ingest": ingest,
    "featurize": featurize,
    "transcribe": transcribe,
    "embed": embed,
    "train": train,
    "evaluate": evaluate,
}
_VERSIONS = ("ray_pipeline", "ray", "torch", "librosa", "pylance", "pyarrow", "scikit-learn", "numpy")


def run(ctx: Context, command: str) -> None:
    """Run one stage, or with ``run`` all of them and the report; the run is written down whatever becomes of it."""
    ctx.run.versions = {"python": platform.python_version()} | {name: version(name) for name in _VERSIONS}
    try:
        _check(ctx, command)
        for name, stage in STAGES.items():
            if command in {"run", name}:
                stage(ctx)
        ctx.run.state = "done"
    except KeyboardInterrupt:
        ctx.run.state = "interrupted"
        raise
    finally:
        if ctx.run.state == "running":
            ctx.run.state = "failed"
        record_run(ctx.store, ctx.run)
    if command == "run":
        report(ctx)


def _check(ctx: Context, command: str) -> None:
    """Everything that can be known to be wrong before a track is opened."""
    if command in {"run", "train", "evaluate"}:
        experiment.views_needed(ctx.config)
    if command in {"run", "transcribe", "embed"} and has_lyrics(ctx):
        lyrics_recipe(ctx)
    if command in {"run", "embed"} and has_lyrics(ctx):
        vectors_recipe(ctx)


def dry_run(ctx: Context) -> list[str]:
    """What there is to do, stage by stage, with the rate that an earlier run of this store had. Starts nothing."""
    if not tracks_table(ctx).exists():
        return [
            f"{ctx.store.root}: nothing is ingested yet, so nothing is known of the tracks; first: ray-pipeline ingest"
        ]
    tracks = read_tracks(ctx)
    lines = [f"tracks: {len(tracks):,} ingested"]
    upstream = upstream_of_lyrics(ctx, tracks)
    for name in ctx.config.features:
        lines.append(_left(ctx, "featurize", f"feature {name}", len(make_plan(tracks, feature_table(ctx, name)).todo)))
    if has_lyrics(ctx):
        lines.append(_left(ctx, "transcribe", "lyrics", len(make_plan(upstream, lyrics_table(ctx)).todo)))
    return lines


def _left(ctx: Context, stage: str, what: str, todo: int) -> str:
    rate = _rate(ctx, stage)
    cost = f", about {todo / rate:,.0f} s at the last run's {rate:.2f} tracks/s" if todo and rate else ""
    return f"{what}: {todo:,} tracks to do{cost}"


def _rate(ctx: Context, stage: str) -> float:
    """Tracks a second in the last run that had something to do; 0 where none had."""
    try:
        last = latest_run(ctx.store, where=lambda run: bool(run.done.get(stage)))
    except StoreError:
        return 0.0
    return last.done[stage] / max(last.seconds.get(stage, 0.0), 1e-9)
