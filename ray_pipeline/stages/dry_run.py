"""What a command would do, what it needs, and what there is: nothing is started, written or fetched, no track opened."""

from __future__ import annotations

from dataclasses import replace

from ray_pipeline.errors import NotFetched, RayPipelineError, StoreError
from ray_pipeline.stages import room
from ray_pipeline.stages.audit import plan as plan_of_audit
from ray_pipeline.stages.checks import check_cluster, check_settings, weights_to_fetch
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.embed import texts_left
from ray_pipeline.stages.featurize import feature_table, upstream_of_lyrics
from ray_pipeline.stages.ingest import left_to_open, read_tracks, tracks_table
from ray_pipeline.stages.job import Row
from ray_pipeline.stages.plan import make_plan
from ray_pipeline.stages.train import models_left, seeds
from ray_pipeline.stages.transcribe import has_lyrics, lyrics_table
from ray_pipeline.store import latest_run


def dry_run(ctx: Context) -> list[str]:
    """What there is to do, stage by stage, with the rate that an earlier run of this store had, and what that takes.

    With an address, that Ray is asked what it has; without one, none is started.

    Raises
    ------
    ConfigError, ResourceError
        The config asks for what cannot be, or for what no node will ever have.
    SourceError
        Nothing is ingested yet, and the source names no tracks, or cannot be read.
    WeightsError
        A model's weights cannot be had; those that are only yet to be fetched are told, and not fetched.
    """
    ctx = replace(ctx, dry=True)
    command = ctx.run.command
    check_settings(ctx, command)
    check_cluster(ctx, command)
    return [*room.told(ctx, command), *weights_to_fetch(ctx, command), *_work(ctx, command)]


def _work(ctx: Context, command: str) -> list[str]:
    if not tracks_table(ctx).exists():
        return _all_of_it(ctx, command)
    if command == "audit":
        return _audit(ctx)
    tracks = read_tracks(ctx)
    lines = [f"tracks: {len(tracks):,} ingested"]
    features = {name: len(make_plan(tracks, feature_table(ctx, name)).todo) for name in ctx.config.features}
    lines += [_left(ctx, "featurize", f"feature {name}", todo) for name, todo in features.items()]
    before = sum(features.values())
    if has_lyrics(ctx):
        words, todo = _words(ctx, tracks)
        lines += words
        before += todo
    return [*lines, _models(ctx, before)]


def _all_of_it(ctx: Context, command: str) -> list[str]:
    """The work on a source that was never ingested, as far as listing it tells."""
    n, to_open = left_to_open(ctx)
    lines = [f"{ctx.store.root}: nothing is ingested yet; the source names {n:,} tracks, all of them to do"]
    if command not in {"run", "ingest"}:
        lines.append("first: ray-pipeline ingest")
    lines.append(_left(ctx, "ingest", "ingest", to_open, "files"))
    if command in {"ingest", "audit"}:
        return lines
    lines += [_left(ctx, "featurize", f"feature {name}", n) for name in ctx.config.features]
    if has_lyrics(ctx):
        lines.append(_left(ctx, "transcribe", "lyrics", n))
    return [*lines, _models(ctx, n)]


def _audit(ctx: Context) -> list[str]:
    try:
        return plan_of_audit(ctx)
    except NotFetched as error:
        return [f"audit: not known: {error}"]


def _words(ctx: Context, tracks: list[Row]) -> tuple[list[str], int]:
    """Lines about lyrics and text vectors, and how many tracks are to be listened to, as far as that is known."""
    try:
        table = lyrics_table(ctx)
    except NotFetched as error:
        return [f"lyrics: not known: {error}"], 0
    todo = len(make_plan(upstream_of_lyrics(ctx, tracks), table).todo)
    lines = [_left(ctx, "transcribe", "lyrics", todo)]
    if table.exists():
        after = f", and those of the {todo:,} tracks" if todo else ""
        try:
            lines.append(_left(ctx, "embed", "text vectors", texts_left(ctx, tracks), "texts") + after)
        except NotFetched as error:
            lines.append(f"text vectors: not known: {error}")
    return lines, todo


def _models(ctx: Context, before: int) -> str:
    """The models to fit; which are there is known only once all that they see is."""
    if before:
        return _left(ctx, "train", "models", len(seeds(ctx.config)), "models") + ", once their views are there"
    try:
        return _left(ctx, "train", "models", models_left(ctx), "models")
    except RayPipelineError as error:
        return f"models: not known: {error}"


def _left(ctx: Context, stage: str, what: str, todo: int, unit: str = "tracks") -> str:
    rate = _rate(ctx, stage)
    cost = f", about {todo / rate:,.0f} s at the last run's {rate:.2f} {unit}/s" if todo and rate else ""
    return f"{what}: {todo:,} {unit} to do{cost}"


def _rate(ctx: Context, stage: str) -> float:
    """Of its work, what `stage` did in a second of the last run that had something to do; 0 where none had."""
    try:
        last = latest_run(ctx.store, where=lambda run: bool(run.done.get(stage)))
    except StoreError:
        return 0.0
    return last.done[stage] / max(last.seconds.get(stage, 0.0), 1e-9)
