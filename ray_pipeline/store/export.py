"""The tables of a run as everyone else reads them: one Parquet file each."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ray_pipeline.errors import StoreError
from ray_pipeline.store.place import Store
from ray_pipeline.store.runs import Run

PER_TRACK = ("features", "lyrics", "text_vectors", "latents", "clusters")


def export(store: Store, run: Run, folder: Path) -> list[Path]:
    """Write ``<table>.parquet`` (zstd) of each table of `run` into `folder`; per-track tables hold the run's tracks only.

    Raises
    ------
    StoreError
        `folder` cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for name in ("tracks", *PER_TRACK, "scores"):
            rows = read_run(store, run, name)
            if rows is not None:
                pq.write_table(rows.replace_schema_metadata(None), folder / f"{name}.parquet", compression="zstd")
                written.append(folder / f"{name}.parquet")
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror or error}", hint="name another folder with --to DIR") from None
    return written


def read_run(store: Store, run: Run, name: str) -> pa.Table | None:
    """Table `name` as `run` left it, None where it made none; `features` has a column a feature, `latents` the first seed's."""
    tables = [store.at(address) for address in run.tables.get(name, [])]
    tables = [table for table in tables if table.exists()]
    if not tables:
        return None
    if name not in PER_TRACK:
        return pa.concat_tables([table.read() for table in tables])
    keys = _keys(store, run)
    read = [table.read() for table in (tables if name == "features" else tables[:1])]
    # A later run of other features may have gone further in one table than in another.
    common = set.intersection(*(set(_keys_of(rows)) for rows in read))
    first, *others = [_in_order(rows, [key for key in keys if key in common]) for rows in read]
    for other in others:
        array = other.schema.names[-1]
        first = first.append_column(other.schema.field(array), other[array])
    return first


def _keys(store: Store, run: Run) -> list[tuple[str, str]]:
    rows = read_run(store, run, "tracks")
    if rows is None:
        raise StoreError(f"{store.root}: the run has no tracks")
    return _keys_of(rows)


def _keys_of(rows: pa.Table) -> list[tuple[str, str]]:
    return list(zip(rows["track_id"].to_pylist(), rows["content_hash"].to_pylist(), strict=True))


def _in_order(rows: pa.Table, keys: list[tuple[str, str]]) -> pa.Table:
    """The rows of `keys`, in their order."""
    at = {key: i for i, key in enumerate(_keys_of(rows))}
    return rows.take(pa.array([at[key] for key in keys], pa.int64()))
