"""`features` → `lyrics`: Whisper on 30 s windows of each track, in actors that keep the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ray_pipeline import audio, schemas, shelf
from ray_pipeline.audio import BadAudio, Header
from ray_pipeline.config import Audio
from ray_pipeline.lyrics import vocals
from ray_pipeline.lyrics.base import SAMPLE_RATE, WINDOW_S, LyricsParams, windows_of
from ray_pipeline.schemas import Status
from ray_pipeline.sources.base import to_path
from ray_pipeline.stages import session
from ray_pipeline.stages.blocks import Job, Row, run_job
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.featurize import decode_row, to_decode, upstream_of_lyrics
from ray_pipeline.stages.ingest import read_tracks
from ray_pipeline.stages.plan import copy_rows, count_statuses, make_plan, mended, prepare, rows_of
from ray_pipeline.store import Lease, Table, digest

VERSION = 1
BLOCK_SIZE = 4  # tracks; seconds each, so that a crash or a Ctrl-C costs little


def has_lyrics(ctx: Context) -> bool:
    return bool(ctx.config.lyrics.kind != "none")


def lyrics_recipe(ctx: Context) -> dict[str, Any]:
    """What the words depend on; finds and checks the weights, before anything is decoded.

    Raises
    ------
    WeightsError
        They cannot be had.
    """
    lyrics = ctx.config.lyrics
    model = shelf.part("lyrics", lyrics.kind).check(lyrics)
    settings = {key: value for key, value in lyrics.model_dump(mode="json", by_alias=True).items() if key != "model"}
    return {"stage": "transcribe", "version": VERSION, **settings, "model": model, "audio": _audio_part(ctx)}


def lyrics_table(ctx: Context) -> Table:
    return ctx.table("lyrics", digest(lyrics_recipe(ctx)))


def transcribe(ctx: Context) -> int:
    """Fill `lyrics`; how many tracks were listened to."""
    with ctx.timed("transcribe"), Lease(ctx.store.folder("leases"), "lyrics"):
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
            gpus = 1.0 if session.gpus(ctx) else 0.0
            work = HearLyrics(ctx.config.lyrics, ctx.config.audio, "cuda" if gpus else "cpu", recipe["model"])
            job = Job("transcribe", work, [table], num_gpus=gpus, block_size=BLOCK_SIZE)
            run_job(job, [to_decode(track) for track in plan.todo], ctx)
        copy_rows(plan, table)
        ctx.run.done["transcribe"] = len(plan.todo)
        ctx.count("lyrics", count_statuses(rows_of(table, tracks, ["track_id", "content_hash", "status"])))
    return len(plan.todo)


class HearLyrics:
    """Windows of a track → its words and whether it has any."""

    def __init__(self, params: Any, settings: Audio, device: str, model_id: str) -> None:
        self.params: LyricsParams = params
        self.settings = settings
        self.device = device
        self.model_id = model_id

    def load(self) -> None:
        self._transcriber = shelf.part("lyrics", self.params.kind)(self.params, device=self.device)

    def process(self, rows: list[Row], begin: Callable[[str], None]) -> list[Row]:
        out = []
        for row in rows:
            begin(row["track_id"])
            try:
                out.append(self._hear(row))
            except MemoryError as error:
                out += self.failed(row, Status.OUT_OF_MEMORY, str(error) or "not enough memory")
            except Exception as error:  # noqa: BLE001 — the per-track border
                out += self.failed(row, Status.WORKER_CRASH, f"{type(error).__name__}: {error}"[:500])
        return out

    def failed(self, row: Row, status: Status, error: str) -> list[Row]:
        keys = {"track_id": row["track_id"], "content_hash": row["content_hash"]}
        return [keys | {"status": str(status), "error": error, "model": self.model_id}]

    def _hear(self, row: Row) -> Row:
        header = audio.probe(to_path(row["uri"]))
        if isinstance(header, BadAudio):
            return self.failed(row, header.status, header.error)[0]
        clips = [decode_row(row, self.settings, start_s=start, seconds=WINDOW_S) for start in self._starts(header)]
        sound = [clip.at(SAMPLE_RATE) for clip in clips if not isinstance(clip, BadAudio)]
        if not sound:
            bad = next(clip for clip in clips if isinstance(clip, BadAudio))
            return self.failed(row, bad.status, bad.error)[0]
        heard = vocals.decide(self._transcriber.transcribe(sound))
        return self.failed(row, Status.OK, "")[0] | asdict(heard)

    def _starts(self, header: Header) -> list[float]:
        return windows_of(header.duration_s, self.params.windows, WINDOW_S)


def _audio_part(ctx: Context) -> dict[str, Any]:
    settings = ctx.config.audio
    return {
        "max_seconds": settings.max_seconds,
        "min_seconds": settings.min_seconds,
        "ratio": settings.min_decoded_ratio,
    }
