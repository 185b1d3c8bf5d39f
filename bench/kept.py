"""Experiments of a bench, run by a few processes and kept on disk, so that the same command goes on where it was stopped."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ray_pipeline.audit.cost import fitting_seconds
from ray_pipeline.collection import Collection
from ray_pipeline.config import Config, check
from ray_pipeline.stages.session import WORKER_ENV
from ray_pipeline.store import digest

Outcome = dict[str, Any]
Run = Callable[[Collection, Config, int], Outcome]
"""(collection, config, seed) → what is kept, ready for JSON; a module's own function, since other processes call it."""


@dataclass(frozen=True)
class Job:
    """One experiment: a config as a plain mapping, on a collection, with a seed."""

    name: str
    collection: Collection
    config: dict[str, Any]
    seed: int

    @property
    def key(self) -> str:
        parts = ("fusion", "model", "training", "clusterer", "scoring")
        told = {part: self.config[part] for part in parts}
        data, labels = self.collection.digest(), self.collection.labels
        return digest({"data": data, "labels": labels, "seed": self.seed, **told})


def outcomes(jobs: Sequence[Job], run: Run, folder: Path, workers: int) -> list[Outcome]:
    """What each job came to, in their order: read where it is kept, else run and kept. Jobs that are alike run once."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{job.key}.json" for job in jobs]
    missing = {path: job for path, job in zip(paths, jobs, strict=True) if not path.exists()}
    if missing:
        # One thread a worker: two processes on two cores would wait for each other's threads.
        os.environ.update(WORKER_ENV)
        _say_what_it_takes(list(missing.values()), len(jobs), workers)
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
            running = {
                pool.submit(_timed, run, job.collection, job.config, job.seed): path for path, job in missing.items()
            }
            for number, done in enumerate(as_completed(running), start=1):
                path, found = running[done], done.result()
                draft = path.with_suffix(".tmp")
                draft.write_text(json.dumps(found), encoding="utf-8")
                draft.replace(path)
                job = missing[path]
                print(f"{number}/{len(missing)} {job.name}, seed {job.seed}: {found['seconds']:.1f} s", flush=True)
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _say_what_it_takes(missing: list[Job], n: int, workers: int) -> None:
    """One of each kind is fitted for a few epochs; fits alone are counted, not what scores them."""
    _one_thread()
    start = time.monotonic()
    rates: dict[str, float] = {}
    for job in missing:
        if job.name not in rates:
            rates[job.name] = fitting_seconds(job.collection, check(job.config))
    seconds = sum(rates[job.name] for job in missing)
    print(
        f"{len(missing)} of {n} experiments to run, about {seconds / workers / 60:.0f} minutes "
        f"(tried out in {time.monotonic() - start:.0f} s)",
        flush=True,
    )


def _timed(run: Run, collection: Collection, config: dict[str, Any], seed: int) -> Outcome:
    start = time.monotonic()
    found = run(collection, check(config), seed)
    return found | {"seconds": time.monotonic() - start}


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
