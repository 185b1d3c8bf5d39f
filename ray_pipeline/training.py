"""One plain torch loop for every model.

    history = fit(model, views, masks, config.training, seed=0, on_epoch=print)

All tracks lie on the device; an epoch is a permutation of them drawn by (seed, epoch), so a resumed run goes on exactly
as an uninterrupted one. Nothing here knows which variant it trains, and nothing here sets the number of threads.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from ray_pipeline import checkpoints, ranks
from ray_pipeline.config import Training
from ray_pipeline.errors import TrainingError
from ray_pipeline.model_files import load, save
from ray_pipeline.models.base import BaseVae
from ray_pipeline.models.contract import ClosedForm, Masks, Model, Views, check_view

__all__ = ["Epoch", "History", "fit", "load", "save"]

Precision = Literal["fp32", "bf16", "fp16"]
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Epoch:
    """Means over the epoch's tracks; `epoch` counts from 1, `kl` is in nats, `seconds` is wall time."""

    epoch: int
    loss: float
    reconstruction: float
    kl: float
    seconds: float


@dataclass
class History:
    """What a fit did; `diverged` at epoch e means that the weights are those after epoch e - 1."""

    epochs: list[Epoch] = field(default_factory=list)
    kl_per_dim: list[float] = field(default_factory=list)
    status: Literal["ok", "diverged"] = "ok"
    diverged_at: int | None = None
    precision: Precision = "fp32"


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
    checkpoint: Path | None = None,
    checkpoint_every: int = 10,
) -> History:
    """Train `model` in place on `views` {name: [n_tracks, …]}; missing values are those False in `masks`.

    `precision` overrides `training.precision`. With `checkpoint`, a folder, training goes on from what is there, and
    leaves its state there every `checkpoint_every` epochs and at the end; whoever owns the folder removes it. A loss or
    weight that is no longer finite ends the fit with `status` "diverged" and the last finite weights.

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
    if checkpoint:
        run.data_crc32 = _crc32({**run.views, **{f"{name}.mask": mask for name, mask in run.masks.items()}})
        _resume(run, checkpoint)
    # Seeds are set epoch by epoch below; the caller's own random state comes back afterwards.
    with torch.random.fork_rng(devices=[run.device] if run.device.type == "cuda" else []):
        for epoch in _epochs(run):
            if on_epoch:
                on_epoch(epoch)
            if checkpoint and (epoch.epoch % checkpoint_every == 0 or epoch.epoch == training.epochs):
                checkpoints.write(checkpoint, epoch.epoch, run.model, run.optimizer, _about(run))
    run.model.eval()
    return run.history


def resolve_precision(precision: str, device: torch.device) -> Precision:
    """`auto` is fp32 on a CPU, bf16 on a GPU that has it in hardware, fp16 on one that does not."""
    if precision != "auto":
        return cast(Precision, precision)
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


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
        optimizer=torch.optim.Adam(model.parameters(), lr=training.learning_rate, fused=True),
        scaler=torch.amp.GradScaler(on.type, enabled=history.precision == "fp16"),
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
    if not (np.isfinite(means).all() and _finite(run.model)):
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
    seen = torch.zeros((), device=run.device)
    for batch in batches(run.n, min(run.training.batch_size, run.n), shuffle):
        rows = ranks.share(batch)
        on = rows.to(run.device)
        views = {name: x[on] for name, x in run.views.items()}
        masks = {name: m[on] for name, m in run.masks.items()}
        run.optimizer.zero_grad(set_to_none=True)
        with _autocast(run):
            out = run.step(views, masks)
        run.scaler.scale(out.loss).backward()
        run.scaler.step(run.optimizer)
        run.scaler.update()
        parts = torch.cat([torch.stack([out.loss, out.reconstruction, out.kl]), out.kl_per_dim]).detach()
        total = total + parts * len(rows)
        seen += len(rows)
    return ranks.summed(total).double() / ranks.summed(seen)


def _drawn(seeds: list[int]) -> int:
    return int(np.random.SeedSequence(seeds).generate_state(1)[0])


def _autocast(run: _Run) -> AbstractContextManager[Any]:
    if run.history.precision == "fp32":
        return nullcontext()
    return torch.autocast(run.device.type, dtype={"bf16": torch.bfloat16, "fp16": torch.float16}[run.history.precision])


def _set_learning_rate(run: _Run, number: int) -> None:
    """StepLR, as a function of the epoch, so that it has no state to save."""
    training = run.training
    for group in run.optimizer.param_groups:
        group["lr"] = training.learning_rate * training.lr_gamma ** ((number - 1) // training.lr_step)


def _finite(model: nn.Module) -> bool:
    return bool(torch.stack([torch.isfinite(tensor).all() for tensor in model.state_dict().values()]).all())


def _about(run: _Run) -> dict[str, Any]:
    """What a checkpoint says beside its tensors; what is under `run` must match, only the number of epochs may grow."""
    identity = {
        "seed": run.seed,
        "data_crc32": run.data_crc32,
        "precision": run.history.precision,
        "training": run.training.model_dump(exclude={"epochs", "num_workers", "use_gpu", "precision"}),
        "model": run.model.params.model_dump(mode="json"),
    }
    return {"run": identity, "history": asdict(run.history), "scaler": run.scaler.state_dict()}


def _crc32(tensors: Tensors) -> int:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].cpu().numpy().tobytes(), zlib.crc32(name.encode(), total))
    return total


def _resume(run: _Run, folder: Path) -> None:
    about = checkpoints.read(folder, run.model, run.optimizer, _about(run)["run"])
    if about is None:
        return
    run.scaler.load_state_dict(about["scaler"])
    run.history.epochs = [Epoch(**epoch) for epoch in about["history"]["epochs"]]
    run.history.kl_per_dim = about["history"]["kl_per_dim"]
