"""The poison guard's notes, gathered from the nodes they lie on."""

from __future__ import annotations

import shutil

from ray_pipeline.schemas import Status
from ray_pipeline.stages import session
from ray_pipeline.stages.guard import notes_folder, verdicts

GATHER_S = 60.0


def gather(name: str) -> dict[str, Status]:
    """Key → what ended its process, by the notes of the pass `name` on every node that is alive; they are removed.

    A node that is gone, or does not answer, has no verdicts: its tracks are then tried like any others.
    """
    import ray
    from ray.exceptions import RayError

    alive = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    asked = session.on_nodes(alive, take_here, name)
    answered, late = ray.wait(asked, num_returns=len(asked), timeout=GATHER_S)
    for one in late:
        ray.cancel(one, force=True)
    found: dict[str, Status] = {}
    for one in answered:
        try:
            found |= ray.get(one)
        except RayError:
            continue  # the node went away in the meantime
    return found


def take_here(name: str) -> dict[str, Status]:
    """The verdicts on this node, which are then removed."""
    folder = notes_folder(name)
    found = verdicts(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return found
