"""The poison guard's notes, by which a test finds a worker that is at work."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType


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


class Watched:
    """While it is open: which keys workers note, each with the notes that it stood in; one note is one worker's."""

    def __init__(self, find: Callable[[], list[Path]]) -> None:
        self._find = find
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.seen: dict[str, set[str]] = {}

    @property
    def begun_twice(self) -> list[str]:
        """Keys that more than one worker was seen at."""
        return [key for key, workers in self.seen.items() if len(workers) > 1]

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.002):
            for note in self._find():
                with suppress(FileNotFoundError, ValueError):  # it came to rest, or is being written
                    key = json.loads(note.read_text(encoding="utf-8").partition("\n")[0])
                    self.seen.setdefault(key, set()).add(note.name)
