"""Models fitted one after another, in the driver or under Ray Train; what a kill leaves is gone on from.

Ray Train starts the workers, joins them, and starts them again when one is lost. Its own checkpoints are not used: a report
waits until the controller has taken the one before, copies all that is finished, and leaves a snapshot that is written in
place, of which a kill may leave half. Here the first worker writes its state to the store, which every node sees, whole or
not at all, every second (`training.CHECKPOINT_EVERY_S`) and for at most 5 % of the time; finished models lie beside it. So a
killed worker, node or driver costs a second of training, the epoch that was going on, and a start of Ray's; a model that trains
in less than that is not held up.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from ray_pipeline import errors, experiment, model_files
from ray_pipeline.config import Config, check
from ray_pipeline.errors import RayPipelineError, ResourceError, StoreError, TrainingError
from ray_pipeline.experiment import Collection
from ray_pipeline.stages import session
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.epochs import LOG, followed, noting
from ray_pipeline.stages.growth import groups
from ray_pipeline.store import Folder, folder_at

RAYS_OWN = "fit"
CPUS_PER_WORKER = 0.9
MAX_FAILURES = 2
# Minutes in which no node has room for the workers: an autoscaler takes its time, and nothing waits for ever.
MAX_WAITS = 30
# s that one worker waits for the others, who may be writing a model.
PATIENCE_S = 600


def fit_models(ctx: Context, collection: Collection, wanted: dict[int, str], folder: Folder) -> None:
    """Fit the models `wanted` {seed: id} into `folder`/id; what an earlier call left there is gone on from.

    Raises
    ------
    ResourceError
        There are fewer GPUs or CPUs than `training` asks for.
    TrainingError
        A worker was lost more often than it is started again, or a model cannot be fitted to this collection.
    """
    use_gpu = _use_gpu(ctx)
    log = ctx.store.folder("logs") / LOG
    with followed(log, ctx.config.training.epochs * len(wanted), partial(ctx.progress, "train")):
        if ctx.config.training.num_workers == 0:
            fit_here(collection, ctx.config, wanted, folder, log, "cuda" if use_gpu else "cpu")
        else:
            _fit_on_ray(ctx, collection, wanted, folder, log, use_gpu)


def fit_here(
    collection: Collection,
    config: Config,
    wanted: dict[int, str],
    folder: Path | Folder,
    log: Path,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Fit `wanted` in this process, one rank of several maybe: how each ended, with the means of its last epoch.

    Every epoch is a line of `log`: what was run, and in which process.
    """
    import torch

    from ray_pipeline import precision, ranks

    place, ended = folder_at(folder), []
    for seed, name in wanted.items():
        if ranks.of_first(place.is_file(f"{name}/card.json"), device):
            continue
        # A GPU that is gone when the command is given again leaves a state that a CPU cannot go on from.
        state = place / f"{name}-{precision.resolve_precision(config.training.precision, torch.device(device))}"
        with session.one_thread():
            fitted = experiment.fit(
                collection, config, seed, device=device, checkpoint=state, on_epoch=noting(log, seed, name)
            )
        if ranks.rank() == 0:
            model_files.save(place / name, fitted.model, fitted.fusion, fitted.card)
            with suppress(StoreError):
                state.remove()
        ended.append({"seed": seed, "status": fitted.card["status"], **(fitted.card["history"] or [{}])[-1]})
    return ended


def _fit_on_ray(
    ctx: Context, collection: Collection, wanted: dict[int, str], folder: Folder, log: Path, use_gpu: bool
) -> None:
    ray = session.connect(ctx)
    from ray import train
    from ray.train import torch  # noqa: F401 — an attribute of `train` only once it is imported

    v2: Any = train  # what it shows to a type checker is its former self
    _check_workers(ctx, use_gpu)
    # No checkpoint of Ray Train's goes there, so that it need not be seen from every node.
    scratch = ctx.store.folder("scratch", PurePosixPath(folder.address).name)
    # Through the object store: a config is pickled into every message, arrays are not.
    given = {"collection": [ray.put(collection)], "config": ctx.config.plain()}
    trainer = v2.torch.TorchTrainer(
        _train_loop,
        train_loop_config=given | {"wanted": wanted, "folder": folder, "log": log},
        torch_config=_joined(ctx.config.training.num_workers),
        scaling_config=v2.ScalingConfig(
            num_workers=ctx.config.training.num_workers,
            use_gpu=use_gpu,
            resources_per_worker={"CPU": CPUS_PER_WORKER, **({"GPU": 1} if use_gpu else {})},
        ),
        run_config=v2.RunConfig(
            name=RAYS_OWN,
            storage_path=str(scratch),
            failure_config=v2.FailureConfig(max_failures=MAX_FAILURES, controller_failure_limit=MAX_WAITS),
        ),
    )
    try:
        with session.own_interrupt():
            refusal = trainer.fit().return_value
    except v2.TrainingFailedError as error:
        raise TrainingError(
            f"training failed: {_why(error)}",
            hint="what was trained so far is kept, and the same command goes on from there",
        ) from error
    finally:
        shutil.rmtree(scratch / RAYS_OWN, ignore_errors=True)
    if refusal:
        raise getattr(errors, refusal["raised"])(refusal["error"], hint=refusal["hint"])


def _joined(num_workers: int) -> Any:
    """How workers find each other. One alone is not joined to anybody: the first would listen on every network for the rest."""
    from ray.train.backend import Backend
    from ray.train.torch import TorchConfig

    class Alone(TorchConfig):
        @property
        def backend_cls(self) -> type[Backend]:
            return Backend

    return TorchConfig(timeout_s=PATIENCE_S) if num_workers > 1 else Alone()


def _train_loop(given: dict[str, Any]) -> dict[str, str] | None:
    """Runs in each Ray Train worker; what cannot be done is told, for what is raised would be tried again."""
    import ray
    import ray.train
    from ray.train.torch import get_device

    collection, config = ray.get(given["collection"][0]), check(given["config"])
    try:
        ended = fit_here(collection, config, given["wanted"], given["folder"], given["log"], str(get_device()))
    except RayPipelineError as error:
        return {"raised": type(error).__name__, "error": str(error), "hint": error.hint}
    ray.train.report(
        {"models": ended}
    )  # once: the next would wait for the controller's next look, as long as half a second
    return None


def _check_workers(ctx: Context, use_gpu: bool) -> None:
    """Refuse at once what Ray would wait for without a word."""
    wanted = ctx.config.training.num_workers
    there = session.gpus(ctx) if use_gpu else _room(ctx)
    if wanted > there:
        unit = "GPUs" if use_gpu else "CPUs"
        raise ResourceError(
            f"training.num_workers is {wanted}, and this Ray has {unit} for {there}",
            hint=f"set training.num_workers to {there} or less, or add nodes",
        )


def _room(ctx: Context) -> int:
    """How many workers fit on the nodes that there are and that may be added; each lies on one."""
    there = [(node["Resources"].get("CPU", 0), 1) for node in session.nodes(ctx)]
    more = [(group.cpus, group.count) for group in groups(ctx)]
    return sum(count * int(cpus / CPUS_PER_WORKER) for cpus, count in there + more)


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


def _why(error: BaseException) -> str:
    """What ended a training, in one line; Ray's own words go into the log."""
    from ray.exceptions import RayActorError

    while error.__cause__ is not None:
        error = error.__cause__
    # Which of the two it is depends on when the worker went.
    if isinstance(error, RayActorError) or "its worker process has died" in str(error):
        return f"a worker was lost {MAX_FAILURES + 1} times: killed, out of memory, or with its node"
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
