"""Whether every track has the row that each table owes it: a stage that came to its end leaves one, whatever became of it.

Tables are held against tracks only as the stage left them: where a later run has ingested, or has begun the same table or the
one it is made from, rows may rightly be to come. `latents` and `clusters` hold fewer by their nature: the usable tracks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ray_pipeline.store.place import Store
from ray_pipeline.store.runs import Run, all_runs
from ray_pipeline.store.table import Table

MADE_BY = {"features": "featurize", "lyrics": "transcribe", "text_vectors": "embed"}
MADE_FROM = {"features": "tracks", "lyrics": "tracks", "text_vectors": "lyrics"}
SETS_TRACKS = {"run", "ingest"}
# Commands that begin tables which a stage of another name comes to the end of.
BEGIN_TOO = {"run", "import-features"}
SHOWN = 3  # track_ids


def lacking(store: Store, *, but: Iterable[str] = ()) -> list[str]:
    """A line for each table that lacks rows; the tables at the addresses `but` are left out.

    Raises
    ------
    StoreError
        A run's record cannot be read.
    """
    problems: list[str] = []
    touched = set(but)
    in_hand = {name for name in ("tracks", *MADE_BY) if store.lease(name).is_held()}
    for run in all_runs(store):
        touched |= {address for name in in_hand for address in run.tables.get(name, [])}
        for name, stage in MADE_BY.items():
            if stage in run.done:
                problems += _lacking(store, run, name, touched)
        touched |= _begun(run)
        if SETS_TRACKS & {run.command, *run.done}:
            break
    return problems


def _begun(run: Run) -> set[str]:
    """Addresses of the tables that `run` worked on, to their end or not."""
    names = [name for name, stage in MADE_BY.items() if stage in run.done or run.command in {stage, *BEGIN_TOO}]
    return {address for name in names for address in run.tables.get(name, [])}


def _lacking(store: Store, run: Run, name: str, touched: set[str]) -> Iterator[str]:
    """A line for each table `name` that `run` filled, that is as it was left, and that lacks rows."""
    # A command's own table comes after one that it knows from an earlier run.
    read = [address for one in ("tracks", MADE_FROM[name]) for address in run.tables.get(one, [])[-1:]]
    tables = [address for address in run.tables.get(name, []) if touched.isdisjoint({address, *read})]
    if not read or not tables:
        return
    owed, *others = (_keys(store.at(address)) for address in read)
    for other in others:
        owed = {key: None for key in owed if key in other}
    for address in tables:
        there = _keys(store.at(address))
        left = [track_id for track_id, content in owed if (track_id, content) not in there]
        if left:
            first = ", ".join(map(repr, left[:SHOWN]))
            table = store.at(address).name
            yield f"{table}: {len(left):,} of {len(owed):,} tracks have no row in it, the first {first}"


def _keys(table: Table) -> dict[tuple[str, str], None]:
    """track_id and content_hash of every row, in order; none where there is no such table."""
    if not table.exists():
        return {}
    rows = table.read(["track_id", "content_hash"])
    return dict.fromkeys(zip(rows["track_id"].to_pylist(), rows["content_hash"].to_pylist(), strict=True))
