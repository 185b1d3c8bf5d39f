"""`features`, `text_vectors` → `models/` and `latents`: one model a seed, fitted under Ray Train."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ray_pipeline import experiment, model_files, schemas
from ray_pipeline.config import Config
from ray_pipeline.errors import StoreError
from ray_pipeline.experiment import Collection, Fitted
from ray_pipeline.models.contract import Latents
from ray_pipeline.schemas import Status
from ray_pipeline.stages import session
from ray_pipeline.stages.blocks import Row
from ray_pipeline.stages.collection import read_collection
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.plan import make_plan, mended, prepare
from ray_pipeline.stages.ray_train import fit_models
from ray_pipeline.store import Folder, Table, digest

CARD = "card.json"


def seeds(config: Config) -> list[int]:
    """The seeds a model is trained with; the first is the one that clusters are shown of."""
    return [config.seed + i for i in range(config.scoring.seeds)]


def model_ids(ctx: Context, collection: Collection) -> dict[int, str]:
    """Seed → the model's id."""
    data = collection.digest()
    return {seed: experiment.model_id(ctx.config, data, seed) for seed in seeds(ctx.config)}


def train(ctx: Context) -> int:
    """Fit what is not fitted yet, and fill `latents`; how many models were fitted."""
    with ctx.timed("train"), ctx.store.lease("models"):
        collection = read_collection(ctx)
        ids = model_ids(ctx, collection)
        missing = {seed: name for seed, name in ids.items() if not _folder(ctx, name).is_file(CARD)}
        if missing:
            _fit(ctx, collection, ids, missing)
        for name in ids.values():
            _to_tensorboard(ctx, name)
            _fill_latents(ctx, collection, name)
        ctx.run.done["train"] = len(missing)
    return len(missing)


def models_left(ctx: Context) -> int:
    """How many of this config's models are not fitted yet."""
    ids = model_ids(ctx, read_collection(ctx)).values()
    return sum(not _folder(ctx, name).is_file("card.json") for name in ids)


def load_fitted(ctx: Context, name: str) -> Fitted:
    """The model `name` from ``models/``.

    Raises
    ------
    TrainingError
        Its files were tampered with, or are gone.
    """
    return Fitted(*model_files.load(_folder(ctx, name)))


def read_latents(ctx: Context, name: str, collection: Collection) -> Latents:
    """Latents of the collection's tracks, in its order, whatever the tracks were called when they were encoded.

    Raises
    ------
    StoreError
        Some have none.
    """
    table = ctx.table("latents", name)
    by_content = {row["content_hash"]: row for row in table.read().to_pylist()}
    kept = [by_content[content] for content in collection.contents if content in by_content]
    if len(kept) < len(collection):
        raise StoreError(
            f"{table.name}: {len(collection) - len(kept)} tracks have no latents", hint="run `train` again"
        )
    # Of the fitted model, as any experiment has it: the card's is a mean over the last epoch, while weights moved.
    kl = table.recipe().get("kl_per_dim")
    return Latents(
        mu=np.array([row["mu"] for row in kept], np.float32),
        logvar=None if kept[0]["logvar"] is None else np.array([row["logvar"] for row in kept], np.float32),
        recon_error=np.array([row["recon_error"] for row in kept], np.float32),
        kl_per_dim=None if kl is None else np.array(kl, np.float32),
    )


def load_card(ctx: Context, name: str) -> dict[str, Any]:
    return model_files.read_json(_folder(ctx, name), CARD)


def _folder(ctx: Context, name: str) -> Folder:
    return ctx.store.files / "models" / name


def _fit(ctx: Context, collection: Collection, ids: dict[int, str], missing: dict[int, str]) -> None:
    """Fit the `missing` of the models `ids` {seed: id}, and put them at their places."""
    # Named by all models of the config, whichever are there already: a killed run is gone on from at any point.
    folder = ctx.store.files / "scratch" / f"train-{digest({'models': sorted(ids.values())})}"
    fit_models(ctx, collection, missing, folder)
    for name in missing.values():
        fitted = folder / name
        # What lies there has no card, so it was not taken for a model.
        _folder(ctx, name).write_all({file: fitted.read(file) for file in fitted.names()}, last=CARD)
    epochs = ctx.config.training.epochs * len(missing)
    ctx.say(f"train: {len(missing)} models, {epochs} epochs on {len(collection)} tracks")
    with suppress(StoreError):
        folder.remove()


def _fill_latents(ctx: Context, collection: Collection, name: str) -> None:
    table = ctx.table("latents", name)
    tracks = _as_tracks(collection)
    mended(table, ctx)
    if table.exists():
        plan = make_plan(tracks, table)
        if not plan.todo:
            prepare(plan, table)
            return
    with session.one_thread():
        latents = experiment.encode(collection, load_fitted(ctx, name))
    kl = None if latents.kl_per_dim is None else [round(float(value), 9) for value in latents.kl_per_dim]
    table.create(schemas.latents(latents.mu.shape[1]), {"stage": "train", "model_id": name, "kl_per_dim": kl})
    table.replace(_latent_rows(table, tracks, name, latents))


def _as_tracks(collection: Collection) -> list[Row]:
    keys = zip(collection.track_ids, collection.contents, strict=True)
    return [{"track_id": i, "content_hash": c, "status": str(Status.OK), "error": ""} for i, c in keys]


def _latent_rows(table: Table, tracks: list[Row], name: str, latents: Latents) -> pa.Table:
    logvar = [None] * len(tracks) if latents.logvar is None else list(latents.logvar)
    rows = [
        track | {"model_id": name, "mu": mu, "logvar": spread, "recon_error": error}
        for track, mu, spread, error in zip(tracks, latents.mu, logvar, latents.recon_error, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=table.schema())


def _to_tensorboard(ctx: Context, name: str) -> None:
    """Loss parts by epoch, and the KL of each latent dimension at the end, under ``tensorboard/<model_id>/``, once."""
    place = ctx.store.files / "tensorboard" / name
    if place.names():
        return
    from torch.utils.tensorboard import SummaryWriter

    card = load_card(ctx, name)
    with tempfile.TemporaryDirectory() as fresh:
        with SummaryWriter(fresh) as writer:
            for epoch in card["history"]:
                for part in ("loss", "reconstruction", "kl"):
                    writer.add_scalar(f"train/{part}", epoch[part], epoch["epoch"])
            for dimension, kl in enumerate(card["kl_per_dim"]):
                writer.add_scalar("kl_per_dim", kl, dimension)
        (file,) = Path(fresh).iterdir()
        place.write_all({file.name: file.read_bytes()}, last=file.name)
