"""Epochs as they are trained: each a line that the worker writes, and the driver follows.

The log lies on the worker's node. Where that is not the driver's, the driver sees models finish, and no epochs.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ray_pipeline.training import Epoch

LOG = "train.jsonl"
LOOK_EVERY_S = 0.5


def noting(log: Path, seed: int, name: str) -> Callable[[Epoch], None]:
    """Writes an epoch of model `name` down as a line of `log`: its means, and the process that ran it."""
    from ray_pipeline import ranks

    who = {"model": name, "seed": seed, "pid": os.getpid()}

    def note(epoch: Epoch) -> None:
        if ranks.rank():
            return
        # Where the store is on S3 the log is on this node, which may refuse it: nothing but progress depends on it.
        with suppress(OSError):
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(who | asdict(epoch)) + "\n")

    return note


@contextmanager
def followed(log: Path, total: int, progress: Callable[[int, int], None]) -> Iterator[None]:
    """Tell `progress` of (epochs, `total`) as lines are added to `log`; at the end, of all."""
    ended = threading.Event()
    start = log.stat().st_size if log.is_file() else 0

    def follow() -> None:
        done, at = 0, start
        while not ended.wait(LOOK_EVERY_S):
            if not log.is_file():
                continue
            with log.open("rb") as file:
                file.seek(at)
                added = file.read()
            at += len(added)
            if added:
                done = min(total, done + added.count(b"\n"))
                progress(done, total)

    progress(0, total)
    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        ended.set()
        follower.join()
    progress(total, total)
