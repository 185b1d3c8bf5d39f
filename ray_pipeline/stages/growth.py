"""Nodes that an autoscaler may add to the cluster at an address, where Ray or the head's own file tells of them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray_pipeline.stages.context import Context

# What `ray up` leaves on the head of a cluster that grows: JSON, whatever its name says.
BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")
_BOOTSTRAP_BYTES = 2**20
MOST = 1000
"""Where a group of nodes has no limit."""
_GROUP_OF = "ray.io/node-group"


@dataclass(frozen=True)
class Group:
    """Up to `count` nodes that are alike, beside those that are there."""

    name: str
    cpus: float
    gpus: float
    count: int


def groups(ctx: Context) -> list[Group]:
    """What may be added; nothing to a Ray that was started here. Asks the Ray that is connected.

    A node counts for its group if it says which that is, as those do that KubeRay or a Ray of 2.50 or later starts.
    """
    told = _told(ctx)
    if not told:
        return []
    import ray

    there = Counter(node["Labels"].get(_GROUP_OF) for node in ray.nodes() if node["Alive"])
    left = [(name, has, MOST if most < 0 else most - there[name]) for name, has, most in told]
    return [Group(name, float(has.get("CPU", 0)), float(has.get("GPU", 0)), n) for name, has, n in left if n > 0]


def grows(ctx: Context) -> bool:
    """Whether somebody adds nodes, be it only for those that are lost because all are there."""
    return any(most for _, _, most in _told(ctx))


def _told(ctx: Context) -> list[tuple[str, dict[str, float], int]]:
    """Name of each group of nodes, what one of them has, and how many there may be; below 0, no limit."""
    if not ctx.address:
        return []
    from ray._private.state import state

    told = state.get_cluster_config()
    if told and told.node_group_configs:
        return [(group.name, dict(group.resources), group.max_count) for group in told.node_group_configs]
    kinds = _bootstrapped().get("available_node_types", {})
    return [(name, kind.get("resources", {}), kind.get("max_workers", 0)) for name, kind in kinds.items()]


def _bootstrapped() -> dict[str, Any]:
    path = BOOTSTRAP.expanduser()
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_BOOTSTRAP_BYTES))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
