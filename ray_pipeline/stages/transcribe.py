"""`features` → `lyrics`: Whisper on 30 s windows of each track, in actors that keep the model."""

from __future__ import annotations

from typing import Any

from ray_pipeline import schemas, shelf
from ray_pipeline.stages import session
from ray_pipeline.stages.blocks import Job, run_job
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.featurize import to_decode, upstream_of_lyrics
from ray_pipeline.stages.hearing import DecodeWindows, HearLyrics
from ray_pipeline.stages.ingest import read_tracks
from ray_pipeline.stages.plan import copy_rows, count_statuses, make_plan, mended, prepare, rows_of
from ray_pipeline.store import Table, digest

VERSION = 3
# Tracks. Where Whisper runs on a CPU each takes seconds, and a crash or a Ctrl-C is to cost little; a GPU wants full batches.
BLOCK_SIZE, GPU_BATCH = 4, 32


def has_lyrics(ctx: Context) -> bool:
    return bool(ctx.config.lyrics.kind != "none")


def lyrics_recipe(ctx: Context) -> dict[str, Any]:
    """What the words depend on; finds and checks the weights, before anything is decoded.

    Raises
    ------
    WeightsError
        They cannot be had.
    NotFetched
        They are not on this machine, and this is a dry run.
    """
    lyrics = ctx.config.lyrics
    model = shelf.part("lyrics", lyrics.kind).check(lyrics, fetch=not ctx.dry)
    settings = {key: value for key, value in lyrics.model_dump(mode="json", by_alias=True).items() if key != "model"}
    return {"stage": "transcribe", "version": VERSION, **settings, "model": model, "audio": _audio_part(ctx)}


def lyrics_table(ctx: Context) -> Table:
    return ctx.table("lyrics", digest(lyrics_recipe(ctx)))


def transcribe(ctx: Context) -> int:
    """Fill `lyrics`; how many tracks were listened to."""
    with ctx.timed("transcribe"), ctx.store.lease("lyrics"):
        if not has_lyrics(ctx):
            ctx.run.note("no lyrics: lyrics.backend is none, so this is audio only")
            return 0
        recipe = lyrics_recipe(ctx)
        table = lyrics_table(ctx)
        mended(table, ctx)
        table.create(schemas.LYRICS, recipe)
        tracks = read_tracks(ctx)
        plan = make_plan(upstream_of_lyrics(ctx, tracks), table)
        prepare(plan, table)
        if plan.todo:
            job = _job(ctx, table, recipe["model"], num_gpus=1.0 if session.gpus(ctx) else 0.0)
            run_job(job, [to_decode(track) for track in plan.todo], ctx)
        copy_rows(plan, table)
        ctx.run.done["transcribe"] = len(plan.todo)
        ctx.count("lyrics", count_statuses(rows_of(table, tracks, ["track_id", "content_hash", "status"])))
    return len(plan.todo)


def _job(ctx: Context, table: Table, model_id: str, num_gpus: float) -> Job:
    """Decoding on CPUs and hearing on GPUs, at once; without GPUs one after the other in each worker."""
    lyrics = ctx.config.lyrics
    return Job(
        "transcribe",
        HearLyrics(lyrics, "cuda" if num_gpus else "cpu", model_id),
        [table],
        prepare=DecodeWindows(lyrics, ctx.config.audio),
        num_gpus=num_gpus,
        block_size=BLOCK_SIZE,
        batch=GPU_BATCH,
    )


def _audio_part(ctx: Context) -> dict[str, Any]:
    settings = ctx.config.audio
    return {
        "max_seconds": settings.max_seconds,
        "min_seconds": settings.min_seconds,
        "ratio": settings.min_decoded_ratio,
    }
