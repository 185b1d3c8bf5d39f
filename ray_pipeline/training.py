"""One plain torch loop for every model.

    history = fit(model, views, masks, config.training, seed=0, on_epoch=print)

All tracks lie on the device; an epoch is a permutation of them drawn by (seed, epoch), so a resumed run goes on exactly
as an uninterrupted one. Nothing here knows which variant it trains, and nothing here sets the number of threads.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ray_pipeline import checkpoints, ranks
from ray_pipeline.config import Training
from ray_pipeline.errors import TrainingError
from ray_pipeline.history import Epoch, History
from ray_pipeline.model_files import load, save
from ray_pipeline.models.base import BaseVae
from ray_pipeline.models.contract import ClosedForm, Masks, Model, State, Views, check_view
from ray_pipeline.optimizer import Adam
from ray_pipeline.precision import LEAST_SCALE, autocast, load_scaler, resolve_precision, scaler_for, scaler_state
from ray_pipeline.store.files import Folder

__all__ = ["Epoch", "History", "fit", "load", "resolve_precision", "save"]

CHECKPOINT_EVERY_S = 1.0
Tensors = dict[str, Tensor]


@dataclass
class _Run:
    """Everything one fit holds on its device."""

    model: BaseVae
    step: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    views: Tensors
    masks: Tensors
    n: int
    device: torch.device
    training: Training
    seed: int
    history: History
    data_crc32: int = 0


def fit(
    model: Model,
    views: Views,
    masks: Masks,
    training: Training,
    *,
    seed: int,
    device: str = "cpu",
    precision: str | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    checkpoint: Path | Folder | None = None,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
) -> History:
    """Train `model` in place on `views` {name: [n_tracks, …]}; missing values are those False in `masks`.

    `precision` overrides `training.precision`. With `checkpoint`, a folder that all ranks see, training goes on from what
    is there, and leaves its state there after the first epoch that ends `checkpoint_every_s` after the last state was
    written (later where writing takes long: see `checkpoints.Pace`), and at the end; whoever owns the folder removes it.

    A loss or weight that is no longer finite ends the fit with `status` "diverged" and the last finite weights. In fp16 a
    gradient that overflows is no divergence: that step is skipped and the loss scale halved, until no scale is left.

    Raises
    ------
    TrainingError
        Fewer than two tracks, views of different lengths, or a checkpoint that belongs to another run.
    """
    n = _count(views)
    if isinstance(model, ClosedForm):
        model.fit(views, masks)
        return History()
    if n < 2:
        raise TrainingError(f"{n} tracks: a VAE needs at least 2", hint="Try model.kind: pca or raw, or add tracks.")
    run = _start(cast(BaseVae, model), (views, masks, n), training, seed, device=device, precision=precision)
    drawn = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    if checkpoint:
        run.data_crc32 = _crc32({**run.views, **{f"{name}.mask": mask for name, mask in run.masks.items()}})
        _resume(run, checkpoint)
    # Seeds are set epoch by epoch below; the caller's own random state comes back afterwards.
    with torch.random.fork_rng(devices=[run.device] if run.device.type == "cuda" else []):
        pace = checkpoints.Pace(checkpoint_every_s)
        for epoch in _epochs(run):
            if on_epoch:
                on_epoch(epoch)
            if checkpoint and ranks.rank() == 0 and (pace.due() or epoch.epoch == training.epochs):
                with pace:
                    checkpoints.write(checkpoint, epoch.epoch, run.model, run.optimizer, _course(run), _identity(run))
    if not _encodes(run.model, views, masks):
        run.model.load_state_dict(drawn)
        run.history.status, run.history.diverged_at = "diverged", run.history.diverged_at or len(run.history.epochs)
    run.model.eval()
    return run.history


def _encodes(model: BaseVae, views: Views, masks: Masks) -> bool:
    """Whether the weights are of use: finite ones may still be so large that what comes out of them is not."""
    latents = model.encode(views, masks)
    return bool(np.isfinite(latents.mu).all() and np.isfinite(latents.recon_error).all())


def batches(n: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Row numbers of each batch of a shuffled epoch; a last batch of one joins the one before, for BatchNorm's sake."""
    order = torch.randperm(n, generator=generator)
    starts = list(range(0, n, batch_size))
    if len(starts) > 1 and n - starts[-1] == 1:
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], n], strict=True):
        yield order[start:stop]


def _count(views: Views) -> int:
    sizes = {name: len(x) for name, x in views.items()}
    if len(set(sizes.values())) != 1:
        raise TrainingError(f"views need one and the same number of tracks: {sizes}")
    n = next(iter(sizes.values()))
    if n == 0:
        raise TrainingError("no tracks to train on")
    return n


def _start(
    model: BaseVae,
    data: tuple[Views, Masks, int],
    training: Training,
    seed: int,
    *,
    device: str,
    precision: str | None,
) -> _Run:
    views, masks, n = data
    for name, shape in model.shapes.items():
        check_view(views, name, shape)
    on = torch.device(device)
    model.to(on)
    history = History(precision=resolve_precision(precision or training.precision, on))
    return _Run(
        model=model,
        step=ranks.in_step(model, on),
        optimizer=Adam(model.parameters(), lr=training.learning_rate, fused=True),
        scaler=scaler_for(history.precision, on),
        views={name: torch.from_numpy(np.array(views[name])).to(on) for name in model.shapes},
        masks={name: torch.from_numpy(np.array(mask)).to(on) for name, mask in masks.items() if name in model.shapes},
        n=n,
        device=on,
        training=training,
        seed=seed,
        history=history,
    )


def _epochs(run: _Run) -> Iterator[Epoch]:
    """Train what is left of the epochs, one at a time, until the end or until it diverges."""
    while len(run.history.epochs) < run.training.epochs:
        epoch = _epoch(run)
        if epoch is None:
            return
        yield epoch


def _epoch(run: _Run) -> Epoch | None:
    """Train one epoch; None, with the former weights back in place, if it diverged."""
    number = len(run.history.epochs) + 1
    began = time.perf_counter()
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    means = _steps(run, number).tolist()
    if not _healthy(run, means):
        run.model.load_state_dict(before)
        run.history.status, run.history.diverged_at = "diverged", number
        return None
    loss, reconstruction, kl, *run.history.kl_per_dim = means
    run.history.epochs.append(Epoch(number, loss, reconstruction, kl, time.perf_counter() - began))
    return run.history.epochs[-1]


def _steps(run: _Run, number: int) -> Tensor:
    """All steps of epoch `number`; mean over tracks of [loss, reconstruction, kl, *kl_per_dim], on the device."""
    run.model.train()
    _set_learning_rate(run, number)
    # Reparameterisation and dropout draw from torch's own state, which this makes a function of (seed, epoch) alone.
    # All ranks shuffle alike, and each draws noise of its own.
    shuffle = torch.Generator().manual_seed(_drawn([run.seed, number]))
    torch.manual_seed(_drawn([run.seed, number, ranks.rank()] if ranks.rank() else [run.seed, number]))
    total = torch.zeros((), device=run.device)
    for batch in batches(run.n, min(run.training.batch_size, run.n), shuffle):
        rows, weight = ranks.share(batch)
        on = rows.to(run.device)
        views = {name: x[on] for name, x in run.views.items()}
        masks = {name: m[on] for name, m in run.masks.items()}
        run.optimizer.zero_grad(set_to_none=True)
        with autocast(run.history.precision, run.device):
            out = run.step(views, masks)
        run.scaler.scale(out.loss * (weight * ranks.world_size() / len(batch))).backward()
        run.scaler.step(run.optimizer)
        run.scaler.update()
        parts = torch.cat([torch.stack([out.loss, out.reconstruction, out.kl]), out.kl_per_dim]).detach()
        total = total + parts * weight
    return ranks.summed(total).double() / run.n


def _drawn(seeds: list[int]) -> int:
    return int(np.random.SeedSequence(seeds).generate_state(1)[0])


def _set_learning_rate(run: _Run, number: int) -> None:
    """StepLR, as a function of the epoch, so that it has no state to save."""
    training = run.training
    for group in run.optimizer.param_groups:
        group["lr"] = training.learning_rate * training.lr_gamma ** ((number - 1) // training.lr_step)


def _healthy(run: _Run, means: list[float]) -> bool:
    """Whether losses and weights are finite and fp16 still has a scale to go on with, on every rank."""
    weights = torch.stack([torch.isfinite(tensor).all() for tensor in run.model.state_dict().values()])
    fine = np.isfinite(means).all() and bool(weights.all()) and run.scaler.get_scale() >= LEAST_SCALE
    return ranks.unanimous(bool(fine), run.device)


def _identity(run: _Run) -> dict[str, Any]:
    """What a checkpoint must have been written with to be gone on from; only the number of epochs may grow."""
    return {
        "seed": run.seed,
        "data_crc32": run.data_crc32,
        "precision": run.history.precision,
        "training": run.training.model_dump(exclude={"epochs", "num_workers", "use_gpu", "precision"}),
        "model": run.model.params.model_dump(mode="json"),
    }


def _crc32(tensors: Tensors) -> int:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].cpu().numpy().tobytes(), zlib.crc32(name.encode(), total))
    return total


def _course(run: _Run) -> dict[str, State]:
    """How far the run has come."""
    return {"history": run.history.state(), "scaler": scaler_state(run.scaler)}


def _resume(run: _Run, folder: Path | Folder) -> None:
    """Go on from the state that lies in `folder`; several ranks from the one that rank 0 sees."""
    epoch = ranks.of_first(checkpoints.newest(folder), run.device)
    if not epoch:
        return
    course = checkpoints.read(folder, epoch, run.model, run.optimizer, _identity(run))
    run.history.load_state(course.get("history", {}), epoch)
    load_scaler(run.scaler, course.get("scaler", {}))
