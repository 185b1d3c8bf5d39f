"""Progress in MiB."""

from __future__ import annotations

from collections.abc import Callable

from ray_pipeline.fma_archive.archives import MIB

Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]


class Meter:
    """Tells `progress` how many MiB of `total` bytes are done, only when that figure changes: a log wants no line a packet."""

    def __init__(self, progress: Progress, label: str, total: int) -> None:
        self._progress = progress
        self._label = f"{label}, MiB"
        self._total = total
        self._told = -1

    def at(self, done: int) -> None:
        """`done` of the total bytes; a MiB begun counts as a whole one in the total, and in `done` only at the end."""
        total = -(-self._total // MIB)
        now = total if done >= self._total else done // MIB
        if now != self._told:
            self._told = now
            self._progress(self._label, now, total)
