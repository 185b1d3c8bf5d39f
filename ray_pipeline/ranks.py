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


def share(rows: Tensor) -> Tensor:
    """This rank's part of a batch's row numbers; all of them where the parts would be too small for BatchNorm."""
    ranks = world_size()
    return rows if len(rows) < FEWEST_ROWS * ranks else rows[rank() :: ranks]


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


def agreed(decision: bool, device: torch.device | str = "cpu") -> bool:
    """Rank 0's decision, on every rank: clocks differ, and all must report the same number of times."""
    if world_size() == 1:
        return decision
    vote = torch.tensor([int(decision)], device=device)
    dist.broadcast(vote, src=0)
    return bool(vote.item())
