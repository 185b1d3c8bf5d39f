"""What nothing in a store refers to any more: found, listed, and taken away when asked to.

A run refers to the datasets it read or wrote, to the models whose latents it has and to its experiments. What no run in
``runs/`` refers to, what killed runs left in ``scratch/``, former versions of datasets, and files that belong to none are
rubbish. To let go of a run, remove its file in ``runs/`` first.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import lance

from ray_pipeline.errors import Damaged
from ray_pipeline.store.lease import Lease
from ray_pipeline.store.place import Store
from ray_pipeline.store.runs import Run, all_runs
from ray_pipeline.store.table import SUMS, Table

MANY_FRAGMENTS = 16
WRITERS = ("tracks", "features", "lyrics", "text_vectors", "models", "scores", "audit")


@dataclass(frozen=True)
class Rubbish:
    """`path`, a file or a folder of `size` bytes, and why nothing needs it."""

    path: Path
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
    return sorted(found, key=lambda one: (-one.size, str(one.path)))


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
        before = _size(store.root)
        kept = [
            store.at(address) for address in sorted(_addresses(list(all_runs(store)))) if store.at(address).exists()
        ]
        for table in kept:
            if problems := table.damage():
                raise Damaged(problems[0], hint="`ray-pipeline run CONFIG` makes it again; prune afterwards")
        for one in rubbish(store):
            _remove(one.path)
        for table in kept:
            _compact(table)
        return before - _size(store.root)


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Every writer's lease, so that nothing is taken from under a run."""
    names = {*WRITERS, *(path.stem for path in (store.root / "leases").glob("*.json"))}
    with ExitStack() as held:
        for name in sorted(names):
            held.enter_context(Lease(store.folder("leases"), name))
        yield


def _addresses(runs: list[Run]) -> set[str]:
    return {address for run in runs for addresses in run.tables.values() for address in addresses}


def _datasets(store: Store, runs: list[Run]) -> Iterator[Rubbish]:
    known = _addresses(runs)
    for table in store.datasets():
        if store.address(table) not in known:
            yield _of(Path(table.uri), "no run refers to it")


def _folders(store: Store, runs: list[Run]) -> Iterator[Rubbish]:
    """Models, their loss curves and experiments."""
    models = {Path(address).stem for run in runs for address in run.tables.get("latents", [])}
    experiments = {name for run in runs for name in run.experiments}
    for folder, known in (("models", models), ("tensorboard", models), ("experiments", experiments)):
        for path in sorted((store.root / folder).glob("*")):
            if path.name not in known:
                yield _of(path, "no run refers to it")


def _scratch(store: Store) -> Iterator[Rubbish]:
    for path in sorted((store.root / "scratch").glob("*")):
        yield _of(path, "left by a run that was killed")


def _files(store: Store, runs: list[Run]) -> Iterator[Rubbish]:
    """Data files that the last version of a dataset does not hold, their checksums, and what was set aside as damaged."""
    for address in sorted(_addresses(runs)):
        table = store.at(address)
        if not table.exists():
            continue
        root, names = Path(table.uri), table.files()
        for path in sorted((root / "data").glob("*")):
            if path.name not in names:
                yield _of(path, "in no version that a run sees")
        for path in sorted((root / SUMS).glob("*.blake2b")):
            if path.name.removesuffix(".blake2b") not in names:
                yield _of(path, "the checksum of no file")
        for path in sorted((root / "_versions").glob("*.damaged")):
            yield _of(path, "a version that could not be read")


def _remove(path: Path) -> None:
    """A link goes, what it leads to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _compact(table: Table) -> None:
    """Small fragments become one; former versions go."""
    dataset = lance.dataset(table.uri)
    if len(dataset.get_fragments()) > MANY_FRAGMENTS:
        dataset.optimize.compact_files()
        table.note_checksums()
    lance.dataset(table.uri).cleanup_old_versions(timedelta(0), delete_unverified=True)
    for path in (Path(table.uri) / SUMS).glob("*.blake2b"):
        if path.name.removesuffix(".blake2b") not in table.files():
            path.unlink()


def _of(path: Path, why: str) -> Rubbish:
    return Rubbish(path, _size(path), why)


def _size(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        return sum(one.stat().st_size for one in path.rglob("*") if one.is_file() and not one.is_symlink())
    return path.lstat().st_size
