"""The stages in their order, and what a dry run says of them."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

from ray_pipeline import experiment
from ray_pipeline.errors import ResourceError, StoreError
from ray_pipeline.stages import session
from ray_pipeline.stages.audit import audit
from ray_pipeline.stages.audit import plan as plan_of_audit
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.embed import embed, vectors_recipe
from ray_pipeline.stages.evaluate import evaluate
from ray_pipeline.stages.featurize import feature_table, featurize, upstream_of_lyrics
from ray_pipeline.stages.import_features import import_features
from ray_pipeline.stages.ingest import ingest, read_tracks, tracks_table
from ray_pipeline.stages.inherit import inherit
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
# Done when asked for by name; `run` goes on from what it left.
ASIDE: dict[str, Callable[[Context], int]] = {"import-features": import_features, "audit": audit}
_VERSIONS = ("ray_pipeline", "ray", "torch", "librosa", "pylance", "pyarrow", "scikit-learn", "numpy")


def run(ctx: Context, command: str) -> None:
    """Run one stage, or with ``run`` all of them and the report; the run is written down whatever becomes of it."""
    with recorded(ctx):
        _check(ctx, command)
        inherit(ctx)
        if command in ASIDE:
            ASIDE[command](ctx)
        for name, stage in STAGES.items():
            if command in {"run", name}:
                stage(ctx)
    if command == "run":
        report(ctx)


@contextmanager
def recorded(ctx: Context) -> Iterator[None]:
    """Write down what is done inside, and how it ended."""
    ctx.run.versions = {"python": platform.python_version()} | {name: version(name) for name in _VERSIONS}
    try:
        yield
        ctx.run.state = "done"
    except KeyboardInterrupt:
        ctx.run.state = "interrupted"
        raise
    finally:
        if ctx.run.state == "running":
            ctx.run.state = "failed"
        record_run(ctx.store, ctx.run)


def _check(ctx: Context, command: str) -> None:
    """Everything that can be known to be wrong before a track is opened."""
    _check_settings(ctx, command)
    if command in {"run", "transcribe", "embed"} and has_lyrics(ctx):
        lyrics_recipe(ctx)
    if command in {"run", "embed"} and has_lyrics(ctx):
        vectors_recipe(ctx)


def _check_settings(ctx: Context, command: str) -> None:
    """What the config asks for that cannot be, the weights of models aside."""
    if command in {"run", "train", "evaluate"}:
        experiment.views_needed(ctx.config)
    if command in {"run", "train"} and ctx.config.training.use_gpu is True:
        _check_gpus(ctx)


def _check_gpus(ctx: Context) -> None:
    """Raise ResourceError where training was told to use GPUs that are not there: hours of decoding come before it."""
    workers = ctx.config.training.num_workers
    if workers and (ctx.address or _connected()):
        where, there = "this Ray", session.gpus(ctx)
    else:
        # No Ray is started to find out: one that is started here later has this machine's GPUs.
        import torch

        where, there = "this machine", torch.cuda.device_count()
    if there >= max(1, workers):
        return
    if there:
        raise ResourceError(
            f"training.use_gpu is true with training.num_workers {workers}, and {where} has GPUs for {there}",
            hint=f"set training.num_workers to {there} or less, or add nodes",
        )
    raise ResourceError(f"training.use_gpu is true, and {where} has no GPU", hint="set training.use_gpu: auto")


def _connected() -> bool:
    return "ray" in sys.modules and bool(sys.modules["ray"].is_initialized())


def dry_run(ctx: Context) -> list[str]:
    """What there is to do, stage by stage, with the rate that an earlier run of this store had. Starts nothing.

    Raises
    ------
    ConfigError, ResourceError
        The config asks for what cannot be.
    """
    _check_settings(ctx, ctx.run.command)
    if not tracks_table(ctx).exists():
        return [
            f"{ctx.store.root}: nothing is ingested yet, so nothing is known of the tracks; first: ray-pipeline ingest"
        ]
    if ctx.run.command == "audit":
        return plan_of_audit(ctx)
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
