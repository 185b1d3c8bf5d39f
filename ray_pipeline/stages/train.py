"""`features`, `text_vectors` → `models/` and `latents`: one model a seed, fitted under Ray Train."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ray_pipeline import experiment, model_files, schemas
from ray_pipeline.config import Config
from ray_pipeline.errors import ResourceError, StoreError, TrainingError
from ray_pipeline.experiment import Collection, Fitted
from ray_pipeline.models.contract import Latents
from ray_pipeline.schemas import Status
from ray_pipeline.stages import session
from ray_pipeline.stages.blocks import Row
from ray_pipeline.stages.collection import read_collection
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.plan import make_plan, mended, prepare
from ray_pipeline.store import Lease, Table, digest

# A report waits for the controller's next look at the worker, which takes longer than a small model does to train.
REPORT_EVERY_S = 20.0
CPUS_PER_WORKER = 0.9


def seeds(config: Config) -> list[int]:
    """The seeds a model is trained with; the first is the one that clusters are shown of."""
    return [config.seed + i for i in range(config.scoring.seeds)]


def model_ids(ctx: Context, collection: Collection) -> dict[int, str]:
    """Seed → the model's id."""
    data = collection.digest()
    return {seed: experiment.model_id(ctx.config, data, seed) for seed in seeds(ctx.config)}


def train(ctx: Context) -> int:
    """Fit what is not fitted yet, and fill `latents`; how many models were fitted."""
    with ctx.timed("train"), Lease(ctx.store.folder("leases"), "models"):
        collection = read_collection(ctx)
        ids = model_ids(ctx, collection)
        missing = {seed: name for seed, name in ids.items() if not (_folder(ctx, name) / "card.json").is_file()}
        if missing:
            _fit_on_ray(ctx, collection, missing)
        for name in ids.values():
            _fill_latents(ctx, collection, name)
        ctx.run.done["train"] = len(missing)
    return len(missing)


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
    kl = load_card(ctx, name).get("kl_per_dim") or None
    return Latents(
        mu=np.array([row["mu"] for row in kept], np.float32),
        logvar=None if kept[0]["logvar"] is None else np.array([row["logvar"] for row in kept], np.float32),
        recon_error=np.array([row["recon_error"] for row in kept], np.float32),
        kl_per_dim=None if kl is None else np.array(kl, np.float32),
    )


def load_card(ctx: Context, name: str) -> dict[str, Any]:
    return model_files.read_json(_folder(ctx, name) / "card.json")


def _folder(ctx: Context, name: str) -> Path:
    return ctx.store.root / "models" / name


def _fit_on_ray(ctx: Context, collection: Collection, missing: dict[int, str]) -> None:
    """Fit one model after another in a Ray Train worker, then put them at their places.

    Raises
    ------
    TrainingError
        The worker failed more often than it is restarted.
    """
    use_gpu = _use_gpu(ctx)
    epochs = ctx.config.training.epochs * len(missing)
    ctx.progress("train", 0, len(missing))
    # Named by what is to be fitted: after a killed driver, the same command goes on from the last report.
    folder = ctx.store.folder("scratch", f"train-{digest({'models': sorted(missing.values())})}")
    if ctx.config.training.num_workers == 0:
        _fit_all(collection, ctx.config, missing, folder, "cuda" if use_gpu else "cpu")
        finished = folder
    else:
        finished = _under_ray_train(ctx, collection, missing, folder, use_gpu)
    for done, name in enumerate(missing.values(), start=1):
        target = _folder(ctx, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(finished / name, target.with_name(f".{name}.part"), dirs_exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)  # what lies there has no card, so it was not taken for a model
        target.with_name(f".{name}.part").rename(target)
        _to_tensorboard(ctx, name)
        ctx.progress("train", done, len(missing))
    ctx.say(f"train: {len(missing)} models, {epochs} epochs on {len(collection)} tracks")
    shutil.rmtree(folder, ignore_errors=True)


def _under_ray_train(
    ctx: Context, collection: Collection, missing: dict[int, str], folder: Path, use_gpu: bool
) -> Path:
    ray = session.connect(ctx)
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    _check_workers(ctx, use_gpu)
    # Through the object store: a config is pickled into every message, arrays are not.
    given = {"collection": [ray.put(collection)], "config": ctx.config.plain(), "missing": missing}
    trainer = TorchTrainer(
        _train_loop,
        train_loop_config=given,
        scaling_config=ScalingConfig(
            num_workers=ctx.config.training.num_workers,
            use_gpu=use_gpu,
            resources_per_worker={"CPU": CPUS_PER_WORKER, **({"GPU": 1} if use_gpu else {})},
        ),
        run_config=RunConfig(
            name="fit",
            storage_path=str(folder),
            failure_config=FailureConfig(max_failures=2),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
        ),
    )
    try:
        with session.own_interrupt():
            result = trainer.fit()
    except ray.train.TrainingFailedError as error:
        raise TrainingError(f"training failed: {_root_cause(error)}") from error
    if result.checkpoint is None:
        raise TrainingError("training ended without a model")
    return Path(result.checkpoint.path)


def _train_loop(given: dict[str, Any]) -> None:
    """Runs in the Ray Train worker; goes on from the last checkpoint after a crash."""
    import ray
    import ray.train
    from ray.train.torch import get_device

    from ray_pipeline.config import check

    collection, config = ray.get(given["collection"][0]), check(given["config"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if last := ray.train.get_checkpoint():
            last.to_directory(str(folder))

        def report(metrics: dict[str, float]) -> None:
            first = ray.train.get_context().get_world_rank() == 0
            ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(str(folder)) if first else None)

        _fit_all(collection, config, given["missing"], folder, str(get_device()), report)


def _check_workers(ctx: Context, use_gpu: bool) -> None:
    """Refuse at once what Ray would wait for without a word."""
    wanted = ctx.config.training.num_workers
    there = session.gpus(ctx) if use_gpu else int(session.cpus(ctx) / CPUS_PER_WORKER)
    if wanted > there:
        unit = "GPUs" if use_gpu else "CPUs"
        raise ResourceError(
            f"training.num_workers is {wanted}, and this Ray has {unit} for {there}",
            hint=f"set training.num_workers to {there} or less, or add nodes",
        )


def _fit_all(
    collection: Collection, config: Config, missing: dict[int, str], folder: Path, device: str, report: Any = None
) -> None:
    """Fit the models `missing` {seed: id} into `folder`; `report` is called now and then, and at the end."""
    from ray_pipeline import ranks

    reported = time.monotonic()
    for seed, name in missing.items():
        if (folder / name / "card.json").is_file():
            continue
        progress = folder / f"{name}-progress"

        def on_epoch(epoch: Any) -> None:
            nonlocal reported
            if report and ranks.agreed(time.monotonic() - reported > REPORT_EVERY_S, device):
                report({"epoch": epoch.epoch, "loss": epoch.loss})
                reported = time.monotonic()

        with session.one_thread():
            fitted = experiment.fit(collection, config, seed, device=device, checkpoint=progress, on_epoch=on_epoch)
        model_files.save(folder / name, fitted.model, fitted.fusion, fitted.card)
        shutil.rmtree(progress, ignore_errors=True)
    if report:
        report({"models": len(missing)})


def _use_gpu(ctx: Context) -> bool:
    wanted = ctx.config.training.use_gpu
    if wanted is False:
        return False
    here = ctx.config.training.num_workers == 0
    there = _gpu_here() if here else session.gpus(ctx) > 0
    if wanted is True and not there:
        where = "this machine" if here else "this Ray"
        raise ResourceError(f"training.use_gpu is true, and {where} has no GPU", hint="set training.use_gpu: auto")
    return there


def _gpu_here() -> bool:
    import torch

    return torch.cuda.is_available()


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
    table.create(schemas.latents(latents.mu.shape[1]), {"stage": "train", "model_id": name})
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
    """Loss parts by epoch, and the KL of each latent dimension at the end, under ``tensorboard/<model_id>/``."""
    from torch.utils.tensorboard import SummaryWriter

    card = load_card(ctx, name)
    with SummaryWriter(str(ctx.store.folder("tensorboard", name))) as writer:
        for epoch in card["history"]:
            for part in ("loss", "reconstruction", "kl"):
                writer.add_scalar(f"train/{part}", epoch[part], epoch["epoch"])
        for dimension, kl in enumerate(card["kl_per_dim"]):
            writer.add_scalar("kl_per_dim", kl, dimension)


def _root_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
