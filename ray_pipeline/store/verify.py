"""Whether a store is what was written: data files by their checksums, datasets by their recipes, one row a track in each."""

from __future__ import annotations

import re
from collections import Counter

from ray_pipeline.errors import StoreError
from ray_pipeline.store.complete import lacking
from ray_pipeline.store.place import Store
from ray_pipeline.store.recipe import name_by
from ray_pipeline.store.table import Table

NAMED_BY_RECIPE = {"tracks", "files", "features", "lyrics", "text_vectors", "latents", "scores"}
_NAME = re.compile(r"(.+-)?[0-9a-f]{16}")


def verify(store: Store) -> list[str]:
    """What is wrong, one line each; empty if nothing is."""
    found = {store.address(table): _problems(table) for table in store.datasets()}
    problems = [problem for some in found.values() for problem in some]
    try:
        return problems + lacking(store, but=[address for address, some in found.items() if some])
    except StoreError as error:
        return [*problems, str(error)]


def _problems(table: Table) -> list[str]:
    try:
        return table.damage() or [*_doubled(table), *_misnamed(table)]
    except StoreError as error:
        return [str(error)]


def _doubled(table: Table) -> list[str]:
    key = next((name for name in ("track_id", "uri") if name in table.schema().names), None)
    if key is None:
        return []
    counts = Counter(table.read([key])[key].to_pylist())
    return [f"{table.name}: {key} {value!r} stands there {n} times" for value, n in counts.items() if n > 1]


def _misnamed(table: Table) -> list[str]:
    """A dataset under the name of another recipe would be taken for what it is not."""
    kind, _, name = table.name.partition("/")
    if kind not in NAMED_BY_RECIPE or not _NAME.fullmatch(name):
        return []
    try:
        recipe = table.recipe()
    except ValueError as error:
        return [f"{table.name}: its recipe cannot be read: {error}"]
    # Earlier versions wrote no recipe into some datasets, and none with a seed into tracks.
    if not recipe or (kind == "tracks" and "seed" not in recipe):
        return []
    made = name_by(recipe)
    return [] if made == name else [f"{table.name}: it holds what its recipe names {made}; take it out of the store"]
