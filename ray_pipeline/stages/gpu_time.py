"""How long GPUs waited: seconds in a model's calls against seconds since there was something to call it with."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType


class Stopwatch:
    """Seconds spent inside ``with stopwatch:``."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> Stopwatch:
        self._since = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds += time.monotonic() - self._since


@dataclass
class GpuTime:
    """Of each worker: s in its model's calls, and s from its first block's coming to its last block's end."""

    busy: dict[str, float] = field(default_factory=dict)
    wall: dict[str, float] = field(default_factory=dict)

    def note(self, worker: str, busy_s: float, wall_s: float) -> None:
        """What `worker` has come to; its last word counts, in whatever order they come."""
        self.busy[worker] = max(busy_s, self.busy.get(worker, 0.0))
        self.wall[worker] = max(wall_s, self.wall.get(worker, 0.0))

    @property
    def idle(self) -> float | None:
        """Share of the time that GPUs waited, 0 to 1; None where none was used."""
        wall = sum(self.wall.values())
        return max(0.0, 1.0 - sum(self.busy.values()) / wall) if wall else None
