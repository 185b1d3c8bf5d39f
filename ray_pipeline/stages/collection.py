"""Tables → `Collection`: what experiments are made on, joined by track_id and content, never by position."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ray_pipeline.config import FACTORS
from ray_pipeline.errors import TooManyBadTracks, TrainingError
from ray_pipeline.experiment import Collection, views_needed, views_required
from ray_pipeline.fusion import LYRICS
from ray_pipeline.fusion.base import Masks, Views
from ray_pipeline.models.condition import condition_of
from ray_pipeline.schemas import Status
from ray_pipeline.stages.blocks import Row
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.embed import vectors_table
from ray_pipeline.stages.factors import read_factors
from ray_pipeline.stages.featurize import feature_table
from ray_pipeline.stages.ingest import read_tracks
from ray_pipeline.stages.plan import rows_of
from ray_pipeline.stages.transcribe import has_lyrics
from ray_pipeline.store import Table


def read_collection(ctx: Context) -> Collection:
    """The sound, distinct tracks of this config with the views that its fusion reads; see `Context.sound_in` too.

    A feature that a factor is read from is no view, also to a fusion that takes whatever there is.

    Raises
    ------
    TooManyBadTracks
        Not one is left.
    TrainingError
        The model is to be given a label that no track has.
    StoreError
        A table that is needed was never made.
    """
    needed = views_needed(ctx.config)
    held_back = {FACTORS.get(name) for name in ctx.config.scoring.factors}
    read = [name for name in needed if name not in held_back]
    yardstick = ctx.config.scoring.yardstick
    features = list(dict.fromkeys(name for name in (*read, *yardstick) if name != LYRICS))
    tracks = [track for track in read_tracks(ctx) if track["status"] == Status.OK and not track["duplicate_of"]]
    tables = {name: _sound(ctx, feature_table(ctx, name), tracks) for name in dict.fromkeys([*features, *ctx.sound_in])}
    for table in tables.values():
        sound = set(table["track_id"].to_pylist())
        tracks = [track for track in tracks if track["track_id"] in sound]
    tracks.sort(key=lambda track: track["content_hash"])
    if not tracks:
        raise TooManyBadTracks("not one track has features", hint=f"see `ray-pipeline status {ctx.store.root}`")
    views = {name: _stack(rows_of_kept(tables[name], tracks)[name]) for name in features}
    masks = {name: np.ones(len(tracks), np.bool_) for name in views}
    if LYRICS in needed and has_lyrics(ctx):
        views[LYRICS], masks[LYRICS] = _lyrics(ctx, tracks)
    tracks, views, masks = _placed(ctx, tracks, views, masks)
    labels = _labels(ctx, tracks)
    return Collection(
        [track["track_id"] for track in tracks],
        [track["content_hash"] for track in tracks],
        {name: view for name, view in views.items() if name in read},
        {name: mask for name, mask in masks.items() if name in read},
        labels,
        ctx.config.scoring.label,
        _condition(ctx, tracks),
        [track["artist"] or None for track in tracks],
        read_factors(ctx, tracks, labels),
        {name: views[name] for name in yardstick},
    )


def rows_of_kept(table: pa.Table, tracks: list[Row]) -> pa.Table:
    """The rows of `table` in the order of `tracks`, each of which is in it."""
    at = {track_id: i for i, track_id in enumerate(table["track_id"].to_pylist())}
    return table.take(pa.array([at[track["track_id"]] for track in tracks], pa.int64()))


def _sound(ctx: Context, table: Table, tracks: list[Row]) -> pa.Table:
    ctx.run.versions_read[ctx.store.address(table)] = table.version()
    rows = rows_of(table, tracks)
    return rows.filter(pa.compute.equal(rows["status"], str(Status.OK)))


def _stack(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """A column of fixed-size lists, nested or not, as one float32 array, whatever it is kept in."""
    array: Any = column.combine_chunks()
    shape = [len(array)]
    while pa.types.is_fixed_size_list(array.type):
        shape.append(array.type.list_size)
        array = array.flatten()
    return np.ascontiguousarray(array.to_numpy(zero_copy_only=False).reshape(shape), np.float32)


def _lyrics(ctx: Context, tracks: list[Row]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Text vectors [n, dim], zero where there are none, and which there are."""
    table = vectors_table(ctx)
    ctx.run.versions_read[ctx.store.address(table)] = table.version()
    dim = table.schema().field("vector").type.list_size
    rows = rows_of(table, tracks, ["track_id", "content_hash", "vector"])
    rows = rows.filter(pa.compute.is_valid(rows["vector"]))
    at = {track["track_id"]: i for i, track in enumerate(tracks)}
    where = [at[track_id] for track_id in rows["track_id"].to_pylist()]
    vectors, present = np.zeros((len(tracks), dim), np.float32), np.zeros(len(tracks), np.bool_)
    if where:
        vectors[where], present[where] = _stack(rows["vector"]), True
    return vectors, present


def _placed(ctx: Context, tracks: list[Row], views: Views, masks: Masks) -> tuple[list[Row], Views, Masks]:
    """The tracks that have every view without which the fusion knows nothing of them; says how many those are."""
    required = views_required(ctx.config)
    keep = np.logical_and.reduce([masks[name] for name in required], axis=0) & np.ones(len(tracks), np.bool_)
    if keep.all():
        return tracks, views, masks
    what = f"fusion '{ctx.config.fusion.kind}' needs {' and '.join(required)}"
    if not keep.any():
        raise TooManyBadTracks(f"{what}, and not one of {len(tracks):,} tracks has them")
    ctx.run.note(
        f"{what}: {keep.sum():,} of {len(tracks):,} tracks ({keep.mean():.1%}) have them, the others are left out"
    )
    return (
        [track for track, kept in zip(tracks, keep, strict=True) if kept],
        {name: view[keep] for name, view in views.items()},
        {name: mask[keep] for name, mask in masks.items()},
    )


def _condition(ctx: Context, tracks: list[Row]) -> list[str | None]:
    """The first class of each track by the label that the model is given; empty where it is given none."""
    wanted = condition_of(ctx.config.model)
    if wanted is None:
        return []
    found = [dict(track["labels"]).get(wanted.label) or [None] for track in tracks]
    if not any(classes[0] for classes in found):
        known = sorted({name for track in tracks for name, _ in track["labels"]})
        raise TrainingError(
            f"model.condition.label: no track has the label '{wanted.label}', so the model cannot be given it",
            hint=f"there are: {', '.join(known) or 'none'}",
        )
    if any(len(classes) > 1 for classes in found):
        ctx.run.note(f"of tracks with several classes of '{wanted.label}' the model is given the first")
    return [classes[0] for classes in found]


def _labels(ctx: Context, tracks: list[Row]) -> list[str | None]:
    """The first class of each track by the label that is asked for."""
    label = ctx.config.scoring.label
    if label is None:
        return []
    found = [dict(track["labels"]).get(label) or [None] for track in tracks]
    if not any(classes[0] for classes in found):
        known = sorted({name for track in tracks for name, _ in track["labels"]})
        ctx.run.note(
            f"no track has the label '{label}', so clusters are held against none; there are: {known or 'none'}"
        )
    elif any(len(classes) > 1 for classes in found):
        ctx.run.note(f"tracks with several classes of '{label}' are scored on their first")
    return [classes[0] for classes in found]
