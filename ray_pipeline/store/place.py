"""A store: one folder, here or on S3, and the names of everything in it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pyarrow as pa

from ray_pipeline.errors import ConfigError, StoreError
from ray_pipeline.s3_address import S3, check_store, is_s3
from ray_pipeline.store.files import Folder, folder_at
from ray_pipeline.store.lease import Lease
from ray_pipeline.store.table import Table

SECOND_NS = 1_000_000_000


class Store:
    """What lies at `root`, a folder or ``s3://bucket/prefix``; nothing is made before something is written.

    Tables are read and written by Lance, all else through `files`.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = str(root) if is_s3(str(root)) else Path(root)
        self.files: Folder = folder_at(self.root)

    def table(self, name: str, recipe: str) -> Table:
        """The dataset ``<name>/<recipe>.lance``, whether it is there already or not."""
        return Table(self.files.at(f"{name}/{recipe}.lance"))

    def at(self, address: str) -> Table:
        """The dataset at an address that `Store.address` gave."""
        return Table(self.files.at(address))

    def address(self, table: Table) -> str:
        """Where `table` lies, relative to the store."""
        return table.uri.removeprefix(f"{self.files.address}/")

    def lease(self, name: str) -> Lease:
        """The right to write table `name`, for a ``with`` block."""
        return Lease(self.files / "leases", name)

    def folder(self, *names: str) -> Path:
        """The folder ``<root>/<names…>`` for what can only be written to a file system, made if need be.

        For a store on S3 it is one on this machine that stands for it; `keep` puts its files into the store.

        Raises
        ------
        StoreError
            It cannot be made.
        """
        path = self._here().joinpath(*names)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}", hint="choose another folder with --set store=DIR") from None
        return path

    def read(self, name: str) -> pa.Table:
        """Table `name` (tracks, features, lyrics, text_vectors, latents, clusters, scores) as the latest run left it.

        Raises
        ------
        StoreError
            No run has made it.
        """
        # A run knows which datasets are its own, and is itself read from a store.
        from ray_pipeline.store.export import read_run
        from ray_pipeline.store.runs import latest_run

        rows = read_run(self, latest_run(self, where=lambda run: name in run.tables), name)
        if rows is None:
            raise StoreError(f"{self.root}: no run made a table '{name}'")
        return rows

    def keep(self, *names: str) -> None:
        """Put the files of `folder` into a store on S3, those written since it has them; any other store has them already.

        One that is older than what lies there stays here: another machine has written that since.
        """
        if isinstance(self.root, Path):
            return
        from ray_pipeline.store import objects

        here, there = self._here().joinpath(*names), self.files / "/".join(names)
        known = {rest: (seen.mtime_ns // SECOND_NS, seen.size) for rest, seen in objects.below(f"{there.address}/")}
        for path in sorted(here.rglob("*")):
            name, stat = path.relative_to(here).as_posix(), path.stat()
            written, size = known.get(name, (0, -1))
            # S3 tells whole seconds: within one, another size tells.
            ahead = stat.st_mtime_ns // SECOND_NS - written
            if path.is_file() and (ahead > 0 or (ahead == 0 and size != stat.st_size)):
                there.write(name, path.read_bytes())

    def remove(self, name: str) -> None:
        """Take away a file or folder, and what stands for it here, which `keep` would put there again."""
        self.files.remove(name)
        if not isinstance(self.root, Path):
            folder_at(self._here()).remove(name)

    def datasets(self, table: str = "") -> list[Table]:
        """Every dataset that lies in the store, or those of one table, by name."""
        tables = [table] if table else self.files.names()
        return [
            self.at(f"{name}/{one}") for name in tables for one in (self.files / name).names() if one.endswith(".lance")
        ]

    def _here(self) -> Path:
        if isinstance(self.root, Path):
            return self.root
        state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
        name = self.root.removeprefix(S3).replace("/", "_")[-60:]
        return state / "ray_pipeline" / f"{name}-{hashlib.blake2b(self.root.encode(), digest_size=4).hexdigest()}"


def open_store(root: str | os.PathLike[str]) -> Store:
    """The store at `root`, which must be there.

    Raises
    ------
    StoreError
        No such folder, or one that holds no store.
    ConfigError
        An address that can be none.
    """
    store = Store(_address(root))
    if not store.files.names():
        there = isinstance(store.root, Path) and store.root.is_dir()
        if not there:
            raise StoreError(f"{store.root}: there is no such store", hint="`ray-pipeline run CONFIG` makes one")
    if not store.files.names("runs"):
        raise StoreError(f"{store.root}: holds no store (no runs/ in it)", hint="`ray-pipeline run CONFIG` makes one")
    return store


def _address(root: str | os.PathLike[str]) -> str | Path:
    if not is_s3(str(root)):
        return Path(root).expanduser().absolute()
    try:
        return check_store(str(root))
    except ValueError as error:
        raise ConfigError(f"store: {error}") from None
