"""The poison guard's notes, by which a test finds a worker that is at work."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def notes(stage: str, run: str = "*", temp: str | Path | None = None) -> list[Path]:
    """Notes of `stage` on the node whose temporary folder is `temp`, in the run of the time `run`."""
    return sorted(Path(temp or tempfile.gettempdir()).glob(f"ray_pipeline-{stage}-{run}-*/*-*"))


def pid_at_work(find: Callable[[], list[Path]], running: Callable[[], bool] = lambda: True) -> int:
    """A process that has begun a track."""
    until = time.monotonic() + 200
    while True:
        for note in find():
            try:
                if note.stat().st_size:
                    return int(note.name.partition("-")[0])
            except FileNotFoundError:
                continue  # it came to rest
        assert running() and time.monotonic() < until, "no worker began"
        time.sleep(0.002)
