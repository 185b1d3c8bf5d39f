"""`tracks` → `features`: one decode a track and one set of spectra a sample rate, for all features that are wanted.

Each feature is a dataset of its own, keyed like all tables, so that one more feature is filled block by block like the first,
and changing one leaves the others alone. `export` shows them as one table.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline import audio, schemas, shelf
from ray_pipeline.audio import BadAudio, Clip
from ray_pipeline.config import Audio
from ray_pipeline.features.spectra import Spectra
from ray_pipeline.schemas import RETRIED, Status
from ray_pipeline.sources.base import to_path
from ray_pipeline.stages.blocks import Job, Row, run_job
from ray_pipeline.stages.border import track_by_track
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.ingest import read_tracks
from ray_pipeline.stages.job import Begin
from ray_pipeline.stages.plan import Plan, copy_rows, make_plan, mended, prepare, rows_of, stand_ins
from ray_pipeline.store import Table, name_by

VERSION = 1
WORTH = 16  # tracks; each takes a quarter of a second or so
NO_AUDIO = "no audio file: the track is known by its metadata alone"


def feature_table(ctx: Context, name: str) -> Table:
    """Where the feature `name` of this config lies."""
    return ctx.table("features", name_by(_recipe(ctx, name)))


def featurize(ctx: Context) -> int:
    """Fill every feature of the config; how many tracks were decoded."""
    with ctx.timed("featurize"), ctx.store.lease("features"):
        tracks = read_tracks(ctx)
        plans = {name: _planned(ctx, name, tracks) for name in ctx.config.features}
        decoded = _extract_all(ctx, plans)
        for name, plan in plans.items():
            plan.todo = stand_ins(plan, feature_table(ctx, name))
        decoded += _extract_all(ctx, plans)
        for name, plan in plans.items():
            copy_rows(plan, feature_table(ctx, name))
        ctx.run.done["featurize"] = decoded
        ctx.count("features", worst_statuses(ctx, ctx.config.features, tracks))
    return decoded


def _extract_all(ctx: Context, plans: dict[str, Plan]) -> int:
    """Do what the plans have to do; how many tracks that was."""
    groups = _groups(plans)
    for names, todo in groups.items():
        tables = [feature_table(ctx, name) for name in names]
        run_job(Job("featurize", ExtractFeatures(names, ctx.config.audio), tables, worth=WORTH), todo, ctx)
    return sum(map(len, groups.values()))


class ExtractFeatures:
    """Decodes a track and computes `names` on it."""

    def __init__(self, names: tuple[str, ...], settings: Audio) -> None:
        self.names = names
        self.settings = settings

    def load(self) -> None:
        self._extractors: dict[str, Any] = {name: shelf.part("feature", name)() for name in self.names}
        # Imports and filterbanks now, not on the first track's account.
        silence = np.zeros(self.settings.sample_rate, np.float32)
        for extract in self._extractors.values():
            extract(Spectra(silence, self.settings.sample_rate))

    def process(self, rows: list[Row], begin: Begin) -> list[Row]:
        return track_by_track(rows, begin, self._extract, self._failed)

    def failed(self, row: Row, status: Status, error: str) -> list[Row]:
        return [self._failed(row, status, error)]

    def _failed(self, row: Row, status: Status, error: str) -> Row:
        return _keyed(row) | {"status": str(status), "error": error}

    def _extract(self, row: Row) -> Row:
        path = path_of(row)
        clip = path if isinstance(path, BadAudio) else audio.decode(path, self.settings)
        if isinstance(clip, BadAudio):
            return self._failed(row, clip.status, clip.error) | {"decoded_ratio": clip.decoded_ratio}
        arrays = self._arrays(clip)
        odd = [name for name, array in arrays.items() if not np.isfinite(array).all()]
        if odd:
            return self._failed(row, Status.NON_FINITE, f"{', '.join(odd)} came out as NaN or infinite")
        seen = {"decoded_ratio": clip.decoded_ratio, "peak": clip.peak, "rms_db": clip.rms_db}
        # Arrow takes arrays of one axis; of two, a list of them.
        columns = {name: list(array) if array.ndim > 1 else array for name, array in arrays.items()}
        return _keyed(row) | {"status": str(Status.OK), "error": ""} | seen | columns

    def _arrays(self, clip: Clip) -> dict[str, NDArray[Any]]:
        """Every feature of `clip`, with one `Spectra` a sample rate."""
        common = self.settings.sample_rate
        rates = {name: common if one.rate == "common" else clip.sample_rate for name, one in self._extractors.items()}
        spectra = {rate: Spectra(clip.at(rate), rate) for rate in set(rates.values())}
        return {name: extract(spectra[rates[name]]) for name, extract in self._extractors.items()}


def to_decode(track: Row) -> Row:
    """What a worker needs of a tracks row to open the file."""
    return {key: track[key] for key in ("track_id", "content_hash", "uri", "size", "mtime_ns")}


def path_of(row: Row) -> str | BadAudio:
    """Where the file of a tracks row lies, if it is still the file that was ingested."""
    if not row["uri"]:
        return BadAudio(Status.MISSING, NO_AUDIO)
    path = to_path(row["uri"])
    seen = audio.look(path)
    if isinstance(seen, BadAudio):
        return seen
    if (seen.size, seen.mtime_ns) != (row["size"], row["mtime_ns"]):
        return BadAudio(Status.CHANGED, "the file was changed since it was ingested; ingest again")
    return path


def to_feature(tracks: list[Row], table: Table) -> list[Row]:
    """`tracks` as `table` is to be planned for: what has neither a file nor a row that stands is missing, and not opened."""
    if all(track["uri"] for track in tracks) or not table.exists():
        rows = []
    else:
        rows = table.read(["content_hash", "status"]).to_pylist()
    there = {row["content_hash"] for row in rows if row["status"] not in RETRIED}
    return [track if track["content_hash"] in there else _as_missing(track) for track in tracks]


def _as_missing(track: Row) -> Row:
    """`track`; without a file it is missing, unless its source refused it already."""
    if track["uri"] or track["status"] != Status.OK:
        return track
    return track | {"status": str(Status.MISSING), "error": NO_AUDIO}


def upstream_of_lyrics(ctx: Context, tracks: list[Row]) -> list[Row]:
    """`tracks` with what decoding made of them, where features were computed: a bad track is not decoded twice."""
    tracks = [_as_missing(track) for track in tracks]
    table = feature_table(ctx, ctx.config.features[0])
    if not table.exists():
        return tracks
    rows = table.read(["track_id", "content_hash", "status", "error"]).to_pylist()
    known = {(row["track_id"], row["content_hash"]): row for row in rows}
    out = []
    for track in tracks:
        seen = known.get((track["track_id"], track["content_hash"])) if track["uri"] else None
        out.append(track | {"status": seen["status"], "error": seen["error"]} if seen else track)
    return out


def _recipe(ctx: Context, name: str) -> dict[str, Any]:
    part = shelf.part("feature", name)
    settings = ctx.config.audio.model_dump(mode="json", exclude={"sample_rate"} if part.rate == "native" else None)
    return {
        "stage": "featurize",
        "version": VERSION,
        "feature": name,
        "feature_version": part.version,
        "audio": settings,
    }


def opened_table(ctx: Context, name: str) -> Table:
    """The dataset of the feature `name`, made if it is not there, without what is damaged."""
    table = feature_table(ctx, name)
    mended(table, ctx)
    part = shelf.part("feature", name)
    table.create(schemas.feature(name, part.shape, pa.from_numpy_dtype(part.dtype)), _recipe(ctx, name))
    return table


def _planned(ctx: Context, name: str, tracks: list[Row]) -> Plan:
    table = opened_table(ctx, name)
    plan = make_plan(to_feature(tracks, table), table)
    prepare(plan, table)
    return plan


def _groups(plans: dict[str, Plan]) -> dict[tuple[str, ...], list[Row]]:
    """Tracks by the set of features they lack, so that each is decoded once."""
    wanted: dict[str, list[str]] = defaultdict(list)
    rows: dict[str, Row] = {}
    for name, plan in plans.items():
        for track in plan.todo:
            wanted[track["track_id"]].append(name)
            rows[track["track_id"]] = to_decode(track)
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for track_id, names in wanted.items():
        groups[tuple(names)].append(rows[track_id])
    return dict(groups)


def _keyed(row: Row) -> Row:
    return {"track_id": row["track_id"], "content_hash": row["content_hash"]}


def worst_statuses(ctx: Context, names: Iterable[str], tracks: list[Row]) -> Counter[str]:
    """Statuses over the features `names`: a track that is bad in one is bad."""
    worst: dict[str, str] = {}
    for name in names:
        rows = rows_of(feature_table(ctx, name), tracks, ["track_id", "content_hash", "status"])
        for track_id, status in zip(rows["track_id"].to_pylist(), rows["status"].to_pylist(), strict=True):
            if worst.get(track_id, Status.OK) == Status.OK:
                worst[track_id] = status
    return Counter(worst.values())
