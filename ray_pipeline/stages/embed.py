"""`lyrics` → `text_vectors`: each distinct text through Sentence-BERT once; no vector for a track without words."""

from __future__ import annotations

import hashlib
from typing import Any

from ray_pipeline import schemas
from ray_pipeline.lyrics import sbert
from ray_pipeline.schemas import Status
from ray_pipeline.stages import session
from ray_pipeline.stages.blocks import Job, Row, run_job
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.gpu_time import Stopwatch
from ray_pipeline.stages.ingest import read_tracks
from ray_pipeline.stages.job import Begin
from ray_pipeline.stages.plan import copy_rows, count_statuses, make_plan, mended, prepare, rows_of
from ray_pipeline.stages.transcribe import has_lyrics, lyrics_recipe, lyrics_table
from ray_pipeline.store import Table, digest

VERSION = 1


def vectors_recipe(ctx: Context) -> dict[str, Any]:
    """What the vectors depend on; finds and checks the weights.

    Raises
    ------
    WeightsError
        They cannot be had.
    NotFetched
        They are not on this machine, and this is a dry run.
    """
    model, dim = sbert.check(ctx.config.text.model, fetch=not ctx.dry)
    return {"stage": "embed", "version": VERSION, "lyrics": digest(lyrics_recipe(ctx)), "model": model, "dim": dim}


def vectors_table(ctx: Context) -> Table:
    return ctx.table("text_vectors", digest(vectors_recipe(ctx)))


def embed(ctx: Context) -> int:
    """Fill `text_vectors`; how many distinct texts were encoded."""
    if not has_lyrics(ctx):
        return 0
    with ctx.timed("embed"), ctx.store.lease("text_vectors"):
        recipe = vectors_recipe(ctx)
        table = vectors_table(ctx)
        mended(table, ctx)
        table.create(schemas.text_vectors(recipe["dim"]), recipe)
        tracks = read_tracks(ctx)
        plan = make_plan(_with_texts(ctx, tracks), table)
        prepare(plan, table)
        texts = _distinct(plan.todo)
        if texts:
            gpus = 1.0 if session.gpus(ctx) else 0.0
            work = EncodeTexts(ctx.config.text.model, recipe["model"], "cuda" if gpus else "cpu")
            run_job(Job("embed", work, [table], key="text_hash", num_gpus=gpus, block_size=64), texts, ctx)
        copy_rows(plan, table)
        ctx.run.done["embed"] = len(texts)
        ctx.count("text_vectors", count_statuses(rows_of(table, tracks, ["track_id", "content_hash", "status"])))
    return len(texts)


def texts_left(ctx: Context, tracks: list[Row]) -> int:
    """Distinct texts without a vector, of those of `tracks` that were listened to."""
    return len(_distinct(make_plan(_with_texts(ctx, tracks), vectors_table(ctx)).todo))


class EncodeTexts:
    """A distinct text → one row a track that has it."""

    def __init__(self, model: str, model_id: str, device: str) -> None:
        self.model = model
        self.model_id = model_id
        self.device = device
        self.busy = Stopwatch()

    def load(self) -> None:
        self._encoder = sbert.SentenceEmbedder(self.model, device=self.device)

    def process(self, rows: list[Row], begin: Begin) -> list[Row]:
        # Texts are encoded together: only one that is alone can be put down as what ended the process.
        begin(rows[0]["text_hash"] if len(rows) == 1 else "", len(rows))
        with self.busy:
            vectors = self._encoder.encode([row["text"] for row in rows])
        good = {"status": str(Status.OK), "error": ""}
        return [key | good | {"vector": v} for row, v in zip(rows, vectors, strict=True) for key in self._keys(row)]

    def failed(self, row: Row, status: Status, error: str) -> list[Row]:
        return [key | {"status": str(status), "error": error} for key in self._keys(row)]

    def _keys(self, row: Row) -> list[Row]:
        keys = zip(row["track_ids"], row["content_hashes"], strict=True)
        return [{"track_id": id_, "content_hash": content, "model": self.model_id} for id_, content in keys]


def _with_texts(ctx: Context, tracks: list[Row]) -> list[Row]:
    rows = rows_of(lyrics_table(ctx), tracks, ["track_id", "content_hash", "status", "error", "text"]).to_pylist()
    return [
        row | {"status": str(Status.NO_TEXT)} if row["status"] == Status.OK and not row["text"] else row for row in rows
    ]


def _distinct(tracks: list[Any]) -> list[Row]:
    texts: dict[str, Row] = {}
    for track in tracks:
        key = hashlib.blake2b(track["text"].encode(), digest_size=16).hexdigest()
        row = texts.setdefault(key, {"text_hash": key, "text": track["text"], "track_ids": [], "content_hashes": []})
        row["track_ids"].append(track["track_id"])
        row["content_hashes"].append(track["content_hash"])
    return list(texts.values())
