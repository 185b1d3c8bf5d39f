"""What each stage asks of Ray, held against what nodes have: what could never run is refused before a track is opened.

An actor, a trial and a training worker each lie on one node, so sums over a cluster say little: two nodes of 4 CPUs have no
place for a trial of 6. Nodes that an autoscaler may add count as there.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray_pipeline.errors import ResourceError
from ray_pipeline.stages import session
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.growth import groups
from ray_pipeline.stages.ray_train import CPUS_PER_WORKER

CPUS_PER_ACTOR = 0.9  # of the stages that work on rows, and of an audit's tasks


@dataclass(frozen=True)
class Node:
    """One node, or `count` alike that may be added."""

    name: str
    cpus: float
    gpus: float
    count: int = 1
    alive: bool = True


@dataclass(frozen=True)
class Ask:
    """What one worker of a stage takes of a node, and how many at least must have a place at once."""

    stage: str
    cpus: float
    gpus: float = 0.0
    least: int = 1
    what: str = "worker"


def places(ask: Ask, nodes: list[Node]) -> int:
    """How many workers of `ask` fit on `nodes` at once."""
    return sum(node.count * _fit(ask, node) for node in nodes)


def _fit(ask: Ask, node: Node) -> int:
    wanted = [(node.cpus, ask.cpus), (node.gpus, ask.gpus)]
    return int(min((there / each + 1e-9 for there, each in wanted if each), default=0))


def asks_of(ctx: Context, command: str, nodes: list[Node]) -> list[Ask]:
    """What `command` asks for, stage by stage. Evaluation, and training without workers, run in the driver."""
    config = ctx.config
    gpus = any(node.gpus >= 1 for node in nodes)
    row = (0.0, 1.0) if gpus else (CPUS_PER_ACTOR, 0.0)
    found = [Ask(name, CPUS_PER_ACTOR) for name in ("ingest", "featurize")]
    if config.lyrics.kind != "none":
        found += [Ask(name, *row) for name in ("transcribe", "embed")]
        # What a GPU hears is decoded at the same time, by workers that take no GPU.
        found += [Ask("transcribe", CPUS_PER_ACTOR, what="decoder")] if gpus else []
    training = config.training
    if training.num_workers:
        on_gpu = training.use_gpu is True or (training.use_gpu == "auto" and gpus)
        found.append(Ask("train", CPUS_PER_WORKER, float(on_gpu), training.num_workers))
    if config.tune is not None:
        found.append(Ask("sweep", config.tune.cpus_per_trial, config.tune.gpus_per_trial, what="trial"))
    found.append(Ask("audit", CPUS_PER_ACTOR, what="task"))
    whole = {"ingest", "featurize", "transcribe", "embed", "train"} if command == "run" else {command}
    return [ask for ask in found if ask.stage in whole]


# The others work in the driver, and no Ray is asked, or started, for them.
ON_WORKERS = {"run", "ingest", "featurize", "transcribe", "embed", "train", "sweep", "audit"}


def check_room(ctx: Context, command: str) -> None:
    """Raise ResourceError where `command` asks for what no node will ever have."""
    if command not in ON_WORKERS:
        return
    nodes = nodes_of(ctx)
    if command in {"run", "train"} and ctx.config.training.use_gpu is True:
        _check_gpus(ctx, nodes)
    for ask in asks_of(ctx, command, nodes):
        there = places(ask, nodes)
        if there < ask.least:
            raise _refusal(ask, there, nodes, where(ctx))


def _refusal(ask: Ask, there: int, nodes: list[Node], where: str) -> ResourceError:
    known = ", ".join(described(node) for node in nodes) or "no node"
    if ask.stage == "train":
        unit = "GPUs" if ask.gpus and places(Ask("train", ask.cpus), nodes) >= ask.least else "CPUs"
        hint = f"set training.num_workers to {there} or less, or add nodes"
        return ResourceError(f"training.num_workers is {ask.least}, and {where} has {unit} for {there}", hint=hint)
    told = f"{ask.stage}: a {ask.what} takes {_amount(ask.cpus, ask.gpus)}, and no node of {where} has that: {known}"
    if ask.stage == "sweep":
        return ResourceError(told, hint="set tune.cpus_per_trial and tune.gpus_per_trial; fractions are fine")
    return ResourceError(told, hint="add a node with CPUs: a head with none holds no work")


def _check_gpus(ctx: Context, nodes: list[Node]) -> None:
    """Training was told to use GPUs: hours of decoding come before it, so they are looked for now."""
    workers = ctx.config.training.num_workers
    there = places(Ask("train", 0.0, 1.0), nodes) if workers else _gpus_here()
    if there >= max(1, workers):
        return
    if there:
        raise ResourceError(
            f"training.use_gpu is true with training.num_workers {workers}, and {where(ctx)} has GPUs for {there}",
            hint=f"set training.num_workers to {there} or less, or add nodes",
        )
    place = where(ctx) if workers else "this machine"
    raise ResourceError(f"training.use_gpu is true, and {place} has no GPU", hint="set training.use_gpu: auto")


def there_is_a_ray(ctx: Context) -> bool:
    """Whether work goes to a Ray that is there, and not to one that is yet to be started here."""
    return bool(ctx.address) or connected()


def connected() -> bool:
    return "ray" in sys.modules and bool(sys.modules["ray"].is_initialized())


def where(ctx: Context) -> str:
    return "this Ray" if there_is_a_ray(ctx) else "this machine"


def nodes_of(ctx: Context) -> list[Node]:
    """Nodes that there are, and those that an autoscaler may add; this machine, where no Ray is to be asked."""
    if not there_is_a_ray(ctx):
        wanted = ctx.config.resources.num_cpus
        cpus = float(max(1, int(wanted)) if wanted else len(os.sched_getaffinity(0)))
        # No Ray is started to find out: one that is started here later has this machine's GPUs. torch takes a second.
        wanting = ctx.config.training.use_gpu is True
        return [Node("this machine", cpus, _gpus_here() if wanting else len(list(Path("/dev").glob("nvidia[0-9]*"))))]
    there = [_node(node["NodeManagerAddress"], node["Resources"]) for node in session.nodes(ctx)]
    return there + growth(ctx)


def _gpus_here() -> int:
    import torch

    return torch.cuda.device_count()


def _node(name: str, resources: dict[str, Any], **kwargs: Any) -> Node:
    return Node(name, float(resources.get("CPU", 0)), float(resources.get("GPU", 0)), **kwargs)


def growth(ctx: Context) -> list[Node]:
    """Nodes that an autoscaler may add."""
    return [Node(group.name, group.cpus, group.gpus, group.count, alive=False) for group in groups(ctx)]


def described(node: Node) -> str:
    """``10.0.0.7: 4 CPUs, 1 GPU``; of nodes that may be added, how many."""
    name = node.name if node.alive else f"up to {node.count:,} more '{node.name}'"
    return f"{name}: {_amount(node.cpus, node.gpus)}"


def _amount(cpus: float, gpus: float) -> str:
    parts = [f"{n:g} {unit}{'' if n == 1 else 's'}" for n, unit in ((cpus, "CPU"), (gpus, "GPU")) if n]
    return " and ".join(parts) or "nothing"


def told(ctx: Context, command: str) -> list[str]:
    """What there is, node by node, and what each stage asks of it."""
    nodes = nodes_of(ctx)
    lines = [f"there is  {described(node)}" for node in nodes]
    for ask in asks_of(ctx, command, nodes):
        least = f"{ask.least} {ask.what}s, each with " if ask.least > 1 else f"a {ask.what} with "
        lines.append(f"{ask.stage}: {least}{_amount(ask.cpus, ask.gpus)}; room for {places(ask, nodes):,}")
    return lines
