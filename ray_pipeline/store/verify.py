"""Whether a store is what was written: checksums of data files, and no key twice."""

from __future__ import annotations

from collections import Counter

from ray_pipeline.errors import StoreError
from ray_pipeline.store.place import Store
from ray_pipeline.store.table import Table


def verify(store: Store) -> list[str]:
    """What is wrong, one line each; empty if nothing is."""
    return [problem for table in store.datasets() for problem in _problems(table)]


def _problems(table: Table) -> list[str]:
    try:
        found = table.damage()
        return found or _doubled(table)
    except StoreError as error:
        return [str(error)]


def _doubled(table: Table) -> list[str]:
    key = next((name for name in ("track_id", "uri") if name in table.schema().names), None)
    if key is None:
        return []
    counts = Counter(table.read([key])[key].to_pylist())
    return [f"{table.name}: {key} {value!r} stands there {n} times" for value, n in counts.items() if n > 1]
