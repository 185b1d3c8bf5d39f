"""FMA's published numbers → `features`, with no audio opened: `featurize` then has only the tracks that lack them.

Rows go into the very datasets that `featurize` of the same config fills. Columns of features.csv are found by their names. A
row that is no use is put down as bad, with its line, and taken anew once the file is mended; so is one whose numbers changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ray_pipeline.errors import ConfigError, SourceError
from ray_pipeline.features.mfcc_stats import STATISTICS
from ray_pipeline.features.spectra import N_MFCC
from ray_pipeline.schemas import Status
from ray_pipeline.sources.fma import features_csv
from ray_pipeline.sources.fma.features_csv import Column, Published
from ray_pipeline.sources.fma.source import Params, features_path
from ray_pipeline.stages.blocks import Row
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.featurize import opened_table, worst_statuses
from ray_pipeline.stages.ingest import read_tracks
from ray_pipeline.stages.plan import copy_rows, make_plan, prepare
from ray_pipeline.store import Table

STAGE = "import-features"
PUBLISHED = {"fma_mfcc": STATISTICS, "mfcc_native": ("mean",)}
"""Features that FMA publishes, and which statistics of its MFCCs they are, in their own order."""

FILE = "features.csv"


def import_features(ctx: Context) -> int:
    """Fill the features of the config that FMA publishes; how many rows of them were taken from features.csv.

    Raises
    ------
    ConfigError
        The source is not `fma`, or no feature of the config is published.
    SourceError
        There is no features.csv, or nothing can be made of it.
    StoreError
        Nothing was ingested yet.
    """
    names, source = _importable(ctx), ctx.config.source
    if not isinstance(source, Params):
        raise ConfigError(f"source.kind: only 'fma' has published features, not '{source.kind}'")
    path = features_path(source)
    if not path.is_file():
        raise SourceError(f"{path}: is not there, and nothing else has published features", hint="see source.root")
    with ctx.timed(STAGE), ctx.store.lease("features"):
        tracks = read_tracks(ctx)
        wanted = list(dict.fromkeys(column for name in names for column in columns_of(name)))
        published = features_csv.read(path, wanted)
        ctx.say(f"{STAGE}: {len(published.at):,} rows in {FILE}")
        _note_strangers(ctx, published, tracks)
        feature_rows = {name: _Rows(published, wanted, columns_of(name)) for name in names}
        taken = sum(_fill(ctx, name, rows, tracks) for name, rows in feature_rows.items())
        ctx.run.done[STAGE] = taken
        ctx.count("features", worst_statuses(ctx, names, tracks))
    return taken


def columns_of(name: str) -> list[Column]:
    """The columns of features.csv that make up the feature `name`, in its order."""
    return [("mfcc", statistic, number) for statistic in PUBLISHED[name] for number in range(1, N_MFCC + 1)]


@dataclass
class _Rows:
    """The published rows of one feature: which of the columns read are its own."""

    published: Published
    read: list[Column]
    columns: list[Column]

    @cached_property
    def _places(self) -> list[int]:
        return [self.read.index(column) for column in self.columns]

    @cached_property
    def _values(self) -> NDArray[np.float32]:
        return self.published.values[:, self._places]

    @cached_property
    def _finite(self) -> NDArray[np.bool_]:
        return np.asarray(np.isfinite(self._values).all(axis=1))

    def values(self, track_ids: Iterable[str]) -> NDArray[np.float32]:
        """[n_tracks, n_columns]"""
        return self._values[[self.published.at[track_id] for track_id in track_ids]]

    def judged(self, track: Row) -> Row | None:
        """`track` with what its published numbers make of it; None if only its audio can tell."""
        if track["status"] != Status.OK:
            return track
        row = self.published.at.get(track["track_id"])
        if row is None or self.published.is_empty(row, self._places):
            where = FILE if row is None else f"{FILE}:{self.published.line[row]}"
            lack = f"{where}: no numbers of it, and no audio file either"
            return None if track["uri"] else track | {"status": str(Status.MISSING), "error": lack}
        if self._finite[row]:
            return track
        return track | self._fault(row)

    def _fault(self, row: int) -> Row:
        """What is wrong with the first cell of a row that holds no finite number."""
        at = int(np.argmin(np.isfinite(self._values[row])))
        text = self.published.texts.get(row, {}).get(self._places[at], str(self._values[row, at]))
        status = Status.NON_FINITE if text.lower() in {"", "nan", "inf", "-inf"} else Status.CORRUPT
        feature, statistic, number = self.columns[at]
        where = f"{FILE}:{self.published.line[row]}: {feature} {statistic} {number:02d}"
        return {"status": str(status), "error": f"{where} is '{text[:80]}'"}


def _importable(ctx: Context) -> list[str]:
    names = [name for name in ctx.config.features if name in PUBLISHED]
    if not names:
        raise ConfigError(
            f"features: FMA publishes none of {', '.join(ctx.config.features)}",
            hint=f"what can be imported: {', '.join(PUBLISHED)}",
        )
    others = [name for name in ctx.config.features if name not in PUBLISHED]
    if others:
        ctx.run.note(f"{', '.join(others)}: not published by FMA; `featurize` computes it from audio")
    return names


def _note_strangers(ctx: Context, published: Published, tracks: list[Row]) -> None:
    strangers = published.at.keys() - {track["track_id"] for track in tracks}
    if strangers:
        first = min(strangers, key=int)
        ctx.run.note(f"{FILE}: {len(strangers):,} rows are of tracks that are not ingested, the first {first}")


def _fill(ctx: Context, name: str, rows: _Rows, tracks: list[Row]) -> int:
    """Bring the dataset of `name` up to what is published; how many rows were taken."""
    table = opened_table(ctx, name)
    judged = [rows.judged(track) for track in tracks]
    _note_lacks(ctx, name, tracks, judged)
    fates = {track["track_id"]: fate for track, fate in zip(tracks, judged, strict=True)}
    table.delete_keys("track_id", [*_mended(table, fates), *_changed(ctx, table, name, rows, fates)])
    plan = make_plan((fate for fate in judged if fate), table)
    prepare(plan, table)
    table.append(_to_arrow(table, name, plan.todo, rows.values(track["track_id"] for track in plan.todo)))
    copy_rows(plan, table)
    ctx.say(f"{STAGE}: {len(plan.todo):,} rows of {name}")
    return len(plan.todo)


def _note_lacks(ctx: Context, name: str, tracks: list[Row], judged: list[Row | None]) -> None:
    """Say how many tracks are left without numbers, and why."""
    left = sum(fate is None for fate in judged)
    if left:
        ctx.run.note(f"{name}: {left:,} tracks have audio, but no numbers in {FILE}: left for `featurize`")
    bad = [fate for fate, track in zip(judged, tracks, strict=True) if fate and fate["status"] != track["status"]]
    if bad:
        counted = ", ".join(f"{n:,} {status}" for status, n in Counter(fate["status"] for fate in bad).items())
        ctx.run.note(f"{name}: {len(bad):,} tracks go without numbers ({counted}), the first: {bad[0]['error']}")


def _mended(table: Table, fates: dict[str, Row | None]) -> list[str]:
    """Ids of rows that an earlier import put down as bad, and this one does not."""
    rows = table.read(["track_id", "status", "error"]).to_pylist()
    bad = (row["track_id"] for row in rows if row["status"] != Status.OK and row["error"].startswith(f"{FILE}:"))
    return [track_id for track_id in bad if (fate := fates.get(track_id)) is None or fate["status"] == Status.OK]


def _changed(ctx: Context, table: Table, name: str, rows: _Rows, fates: dict[str, Row | None]) -> list[str]:
    """Ids of rows that were taken from a file which has other numbers now; what `featurize` computed stays."""
    taken = table.read(["track_id", "content_hash", "status", "decoded_ratio", name])
    taken = taken.filter((pc.field("status") == str(Status.OK)) & pc.field("decoded_ratio").is_null())
    kept = taken[name].combine_chunks().flatten().to_numpy().reshape(len(taken), len(rows.columns))
    # By content: a copy has the numbers of the first track that it is a copy of.
    there = [fate for fate in fates.values() if fate and fate["status"] == Status.OK]
    first: dict[str, NDArray[np.float32]] = {}
    for fate, values in zip(there, rows.values(fate["track_id"] for fate in there), strict=True):
        first.setdefault(fate["content_hash"], values)
    keys = zip(taken["track_id"].to_pylist(), taken["content_hash"].to_pylist(), kept, strict=True)
    found = [
        track_id
        for track_id, content, values in keys
        if content in first and not np.array_equal(values, first[content])
    ]
    if found:
        ctx.run.note(f"{name}: {len(found):,} rows have other numbers in {FILE} than they were taken with: taken anew")
    return found


def _to_arrow(table: Table, name: str, tracks: list[Row], values: NDArray[np.float32]) -> pa.Table:
    """Rows of a feature's dataset; of the decoding there is nothing to say, since there was none."""
    schema, n = table.schema(), len(tracks)
    array = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    columns = {
        "track_id": [track["track_id"] for track in tracks],
        "content_hash": [track["content_hash"] for track in tracks],
        "status": [str(Status.OK)] * n,
        "error": [""] * n,
        **{column: pa.nulls(n, pa.float32()) for column in ("decoded_ratio", "peak", "rms_db")},
        name: array.cast(schema.field(name).type),
    }
    return pa.table(columns, schema=schema)
