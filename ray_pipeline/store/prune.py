"""What nothing in a store refers to any more: found, listed, and taken away when asked to.

A run refers to the datasets it read or wrote, to the models whose latents it has, to its experiments and sweeps. What no run
in ``runs/`` refers to, what killed runs left in ``scratch/``, former versions of datasets, and files that belong to none are
rubbish. To let go of a run, remove its file in ``runs/`` first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath

from ray_pipeline.errors import Damaged
from ray_pipeline.store.fragments import ENDING, SUMS
from ray_pipeline.store.lease import PRUNE
from ray_pipeline.store.place import Store
from ray_pipeline.store.runs import Run, all_runs

PAGE = re.compile(r"sweep-(.+)\.html")
WRITERS = ("tracks", "features", "lyrics", "text_vectors", "models", "scores", "audit")


@dataclass(frozen=True)
class Rubbish:
    """What lies in the store at `name`, a file or a folder of `size` bytes, and why nothing needs it."""

    name: str
    size: int
    why: str


def rubbish(store: Store) -> list[Rubbish]:
    """What `prune` would take away, the largest first.

    Raises
    ------
    StoreError
        A run's record cannot be read, so that it is not known what it refers to.
    """
    runs = list(all_runs(store))
    found = [*_datasets(store, runs), *_folders(store, runs), *_scratch(store), *_files(store, runs)]
    return sorted(found, key=lambda one: (-one.size, one.name))


def prune(store: Store) -> int:
    """Take the rubbish away and put small fragments together; how many bytes that freed.

    Raises
    ------
    LeaseHeld
        Something is being written.
    Damaged
        A dataset's files are not what was written: to be mended first.
    """
    with _alone(store):
        before = store.files.size("")
        kept = [
            store.at(address) for address in sorted(_addresses(list(all_runs(store)))) if store.at(address).exists()
        ]
        for table in kept:
            if problems := table.damage():
                raise Damaged(problems[0], hint="`ray-pipeline run CONFIG` makes it again; prune afterwards")
        for one in rubbish(store):
            store.remove(one.name)
        for table in kept:
            table.compact()
        return before - store.files.size("")


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Every writer's lease, and that by which none begins, so that nothing is taken from under a run."""
    with ExitStack() as held:
        held.enter_context(store.lease(PRUNE))
        names = {*WRITERS, *(name.removesuffix(".json") for name in store.files.names("leases"))}
        for name in sorted(names - {PRUNE}):
            held.enter_context(store.lease(name))
        yield


def _addresses(runs: list[Run]) -> set[str]:
    return {address for run in runs for addresses in run.tables.values() for address in addresses}


def _datasets(store: Store, runs: list[Run]) -> Iterator[Rubbish]:
    known = _addresses(runs)
    for table in store.datasets():
        if store.address(table) not in known:
            yield _of(store, store.address(table), "no run refers to it")


def _folders(store: Store, runs: list[Run]) -> Iterator[Rubbish]:
    """Models, their loss curves and experiments; event files and pages of sweeps."""
    models, sweeps = _stems(runs, "latents"), _stems(runs, "trials")
    experiments = {name for run in runs for name in run.experiments}
    kept = {"models": models, "tensorboard": models, "experiments": experiments, "tune": sweeps}
    for folder, known in kept.items():
        for name in store.files.names(folder):
            if name not in known:
                yield _of(store, f"{folder}/{name}", "no run refers to it")
    for name in store.files.names("report"):
        page = PAGE.fullmatch(name)
        if page and page[1] not in sweeps:
            yield _of(store, f"report/{name}", "no run refers to its sweep")


def _stems(runs: list[Run], table: str) -> set[str]:
    """What the datasets of `table` that runs refer to are named by."""
    return {PurePosixPath(address).stem for run in runs for address in run.tables.get(table, [])}


def _scratch(store: Store) -> Iterator[Rubbish]:
    for name in store.files.names("scratch"):
        yield _of(store, f"scratch/{name}", "left by a run that was killed")


def _files(store: Store, runs: list[Run]) -> Iterator[Rubbish]:
    """Data files that the last version of a dataset does not hold, their checksums, and what was set aside as damaged."""
    for address in sorted(_addresses(runs)):
        table = store.at(address)
        if not table.exists():
            continue
        names, folder = table.files(), store.files / address
        for name in folder.names("data"):
            if name not in names:
                yield _of(store, f"{address}/data/{name}", "in no version that a run sees")
        for name in folder.names(SUMS):
            if name.removesuffix(ENDING) not in names:
                yield _of(store, f"{address}/{SUMS}/{name}", "the checksum of no file")
        for name in folder.names("_versions"):
            if name.endswith(".damaged"):
                yield _of(store, f"{address}/_versions/{name}", "a version that could not be read")


def _of(store: Store, name: str, why: str) -> Rubbish:
    return Rubbish(name, store.files.size(name), why)
