"""This process's place among those that train one model; alone, rank 0 of 1.

Ray Train starts the processes and joins them (gloo on CPUs, NCCL on GPUs); only `torch.distributed` is asked here.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

FEWEST_ROWS = 2  # BatchNorm has no variance of one


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if world_size() > 1 else 0


def share(rows: Tensor) -> tuple[Tensor, float]:
    """This rank's part of a batch's row numbers, and how many rows it counts for: over ranks these add up to the batch.

    Where the parts would be too small for BatchNorm, every rank takes all rows.
    """
    ranks = world_size()
    if ranks == 1 or len(rows) < FEWEST_ROWS * ranks:
        return rows, len(rows) / ranks
    mine = rows[rank() :: ranks]
    return mine, float(len(mine))


def in_step(model: nn.Module, device: torch.device) -> nn.Module:
    """`model`, its gradients averaged over ranks at every backward pass."""
    if world_size() == 1:
        return model
    return nn.parallel.DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)


def summed(values: Tensor) -> Tensor:
    """The sum of `values` over ranks, on every rank."""
    if world_size() > 1:
        dist.all_reduce(values)
    return values


def of_first(number: int, device: torch.device | str = "cpu") -> int:
    """Rank 0's `number`, on every rank: what each sees of a folder, or of a clock, may differ."""
    if world_size() == 1:
        return number
    told = torch.tensor([number], device=device)
    dist.broadcast(told, src=0)
    return int(told.item())


def unanimous(decision: bool, device: torch.device | str = "cpu") -> bool:
    """Whether every rank decides so."""
    return int(summed(torch.tensor([int(decision)], device=device)).item()) == world_size()
