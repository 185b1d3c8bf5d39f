"""A store: one folder, and the names of everything in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ray_pipeline.errors import StoreError
from ray_pipeline.store.table import Table


@dataclass(frozen=True)
class Store:
    """The folder `root`; nothing is made before something is written."""

    root: Path

    def table(self, name: str, recipe: str) -> Table:
        """The dataset ``<name>/<recipe>.lance``, whether it is there already or not."""
        return Table(str(self.root / name / f"{recipe}.lance"))

    def at(self, address: str) -> Table:
        """The dataset at an address that `Table.address` gave."""
        path = (self.root / address).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise StoreError(f"{address}: lies outside the store {self.root}")
        return Table(str(self.root / address))

    def address(self, table: Table) -> str:
        """Where `table` lies, relative to the store."""
        return Path(table.uri).relative_to(self.root).as_posix()

    def folder(self, *names: str) -> Path:
        """The folder ``<root>/<names…>``, made if need be.

        Raises
        ------
        StoreError
            It cannot be made.
        """
        path = self.root.joinpath(*names)
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

    def datasets(self) -> list[Table]:
        """Every dataset that lies in the store, by name."""
        return [Table(str(path)) for path in sorted(self.root.glob("*/*.lance"))]


def open_store(root: str | os.PathLike[str]) -> Store:
    """The store at `root`, which must be there.

    Raises
    ------
    StoreError
        No such folder, or one that holds no store.
    """
    path = Path(root).expanduser().absolute()
    if not path.is_dir():
        raise StoreError(f"{path}: there is no such store", hint="`ray-pipeline run CONFIG` makes one")
    if not (path / "runs").is_dir():
        raise StoreError(f"{path}: holds no store (no runs/ in it)", hint="`ray-pipeline run CONFIG` makes one")
    return Store(path)
