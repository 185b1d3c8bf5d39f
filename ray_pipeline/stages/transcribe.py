"""`features` → `lyrics`: Whisper on 30 s windows of each track, in actors that keep the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline import audio, schemas, shelf
from ray_pipeline.audio import BadAudio, Header
from ray_pipeline.config import Audio
from ray_pipeline.errors import RayPipelineError
from ray_pipeline.lyrics import vocals
from ray_pipeline.lyrics.base import SAMPLE_RATE, WINDOW_S, LyricsParams, Transcriber, windows_of
from ray_pipeline.schemas import Status
from ray_pipeline.stages import session
from ray_pipeline.stages.blocks import Job, Row, run_job
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.featurize import path_of, to_decode, upstream_of_lyrics
from ray_pipeline.stages.ingest import read_tracks
from ray_pipeline.stages.plan import copy_rows, count_statuses, make_plan, mended, prepare, rows_of
from ray_pipeline.store import Table, digest

VERSION = 3
# Tracks. Seconds each on a CPU, so that a crash or a Ctrl-C costs little; on a GPU enough to fill a batch.
BLOCK_SIZE, GPU_BLOCK_SIZE = 4, 16
NOBODY = ""  # no track's id

Decoded = tuple[Row, list[NDArray[np.float32]]]


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
            gpus = 1.0 if session.gpus(ctx) else 0.0
            work = HearLyrics(ctx.config.lyrics, ctx.config.audio, "cuda" if gpus else "cpu", recipe["model"])
            job = Job("transcribe", work, [table], num_gpus=gpus, block_size=GPU_BLOCK_SIZE if gpus else BLOCK_SIZE)
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
        self._transcriber: Transcriber = shelf.part("lyrics", self.params.kind)(self.params, device=self.device)

    def process(self, rows: list[Row], begin: Callable[[str], None]) -> list[Row]:
        together = len(rows) if self._transcriber.batch > 1 else 1
        out = []
        for start in range(0, len(rows), together):
            out += self._process(rows[start : start + together], begin)
        return out

    def _process(self, rows: list[Row], begin: Callable[[str], None]) -> list[Row]:
        """Tracks that are decoded one by one, and then transcribed in one call."""
        out: list[Row] = []
        decoded: list[Decoded] = []
        for row in rows:
            begin(row["track_id"])
            try:
                windows = self._windows(row)
            except RayPipelineError:
                raise  # no fault of the track's: its store does not answer
            except Exception as error:  # noqa: BLE001 — the per-track border
                out += self._raised(row, error)
                continue
            if isinstance(windows, BadAudio):
                out += self.failed(row, windows.status, windows.error)
            else:
                decoded.append((row, windows))
        return out + self._hear(decoded, begin)

    def _hear(self, tracks: list[Decoded], begin: Callable[[str], None]) -> list[Row]:
        if not tracks:
            return []
        alone = len(tracks) == 1
        # What ends the worker amid many tracks is put down to none of them: each then runs by itself and answers for itself.
        begin(tracks[0][0]["track_id"] if alone else NOBODY)
        try:
            heard = iter(self._transcriber.transcribe([window for _, windows in tracks for window in windows]))
            lyrics = [vocals.decide(list(islice(heard, len(windows)))) for _, windows in tracks]
        except Exception as error:  # noqa: BLE001 — the per-track border
            if alone:
                return self._raised(tracks[0][0], error)
            return [row for track in tracks for row in self._hear([track], begin)]
        rows = [row for row, _ in tracks]
        return [self.failed(row, Status.OK, "")[0] | asdict(one) for row, one in zip(rows, lyrics, strict=True)]

    def failed(self, row: Row, status: Status, error: str) -> list[Row]:
        keys = {"track_id": row["track_id"], "content_hash": row["content_hash"]}
        return [keys | {"status": str(status), "error": error, "model": self.model_id}]

    def _raised(self, row: Row, error: Exception) -> list[Row]:
        if isinstance(error, MemoryError):
            return self.failed(row, Status.OUT_OF_MEMORY, str(error) or "not enough memory")
        return self.failed(row, Status.WORKER_CRASH, f"{type(error).__name__}: {error}"[:500])

    def _windows(self, row: Row) -> list[NDArray[np.float32]] | BadAudio:
        """What the transcriber is to hear of a track: one sound or more, at 16,000 Hz."""
        path = path_of(row)
        if isinstance(path, BadAudio):
            return path
        clips = audio.decode_windows(path, self.settings, self._starts, WINDOW_S)
        sound = [clip.at(SAMPLE_RATE) for clip in clips if not isinstance(clip, BadAudio)]
        return sound or next(clip for clip in clips if isinstance(clip, BadAudio))

    def _starts(self, header: Header) -> list[float]:
        return windows_of(header.duration_s, self.params.windows, WINDOW_S)


def _audio_part(ctx: Context) -> dict[str, Any]:
    settings = ctx.config.audio
    return {
        "max_seconds": settings.max_seconds,
        "min_seconds": settings.min_seconds,
        "ratio": settings.min_decoded_ratio,
    }
