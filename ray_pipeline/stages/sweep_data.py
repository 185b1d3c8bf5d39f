"""What all trials of a sweep share: the collection, read once with every view that some trial reads, and cut for each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.config import Config, check
from ray_pipeline.errors import TooManyBadTracks
from ray_pipeline.experiment import Collection, views_required
from ray_pipeline.fusion import LYRICS
from ray_pipeline.models.condition import condition_of
from ray_pipeline.space import Tune
from ray_pipeline.stages.collection import read_collection
from ray_pipeline.stages.context import Context
from ray_pipeline.sweep import sweep_id
from ray_pipeline.sweep.trials import combinations, on_one_yardstick, tune_of, views_of


@dataclass(frozen=True)
class Shared:
    """`conditions` holds, by label, the classes that conditional models are given; `device` is where trials train.

    `most_tracks` is what the trial that places most of them places.
    """

    name: str
    config: Config
    tune: Tune
    collection: Collection
    conditions: dict[str, list[str | None]]
    device: str
    most_tracks: int = 0

    @property
    def views(self) -> list[str]:
        """The features that some trial reads: a track that is of no use in one of them is left out of all trials."""
        return sorted(name for name in self.collection.views if name != LYRICS)


def read_shared(ctx: Context) -> Shared:
    """The sweep of `ctx` with its data.

    Raises
    ------
    ConfigError
        No ``tune:`` block, or a point of it that is no config or needs a view that is not there.
    TooManyBadTracks
        No track is sound in all features that trials read.
    """
    config = on_one_yardstick(ctx.config)
    tune = tune_of(config)
    made = list(combinations(config))
    views = sorted({*config.scoring.yardstick}.union(*(views_of(one) for one in made)))
    collection = read_collection(_reading(ctx, config, views, {"kind": "raw"}))
    given = {condition.label for one in made if (condition := condition_of(one.model))}
    conditions = {label: _classes(ctx, config, views, label) for label in sorted(given)}
    known = json.dumps([collection.labels, collection.artists, collection.factors, conditions], sort_keys=True)
    name = sweep_id(config, collection.digest(), hashlib.blake2b(known.encode(), digest_size=8).hexdigest())
    most = max(int(_placed(collection, views_required(one)).sum()) for one in made)
    return Shared(name, config, tune, collection, conditions, "cuda" if tune.gpus_per_trial else "cpu", most)


def collection_of(shared: Shared, config: Config) -> Collection:
    """What `read_collection` would read for `config`: its own views, and the tracks that its fusion can place.

    Raises
    ------
    TooManyBadTracks
        Not one track can be placed.
    """
    whole = shared.collection
    wanted = condition_of(config.model)
    names = [name for name in sorted(views_of(config)) if name in whole.views]
    cut = replace(
        whole,
        views={name: whole.views[name] for name in names},
        masks={name: whole.masks[name] for name in names},
        condition=shared.conditions[wanted.label] if wanted else [],
        measured_in={name: whole.views[name] for name in config.scoring.yardstick},
    )
    keep = _placed(cut, views_required(config))
    if not keep.any():
        raise TooManyBadTracks(
            f"fusion '{config.fusion.kind}': not one of {len(whole):,} tracks has the views it needs"
        )
    return cut if keep.all() else _rows(cut, keep)


def _placed(collection: Collection, required: Sequence[str]) -> NDArray[np.bool_]:
    """[n], True for the tracks that have all of the `required` views."""
    masks = [collection.masks[name] for name in required]
    return np.asarray(np.logical_and.reduce(masks, axis=0) & np.ones(len(collection), np.bool_))


def _reading(ctx: Context, config: Config, views: Sequence[str], model: dict[str, Any]) -> Context:
    """A context in which `views` are read, whatever trials make of them."""
    plain = config.plain() | {"fusion": {"kind": "none", "views": views}, "model": model, "tune": None}
    plain["scoring"] = plain["scoring"] | {"yardstick": []}
    return replace(ctx, config=check(plain))


def _classes(ctx: Context, config: Config, views: Sequence[str], label: str) -> list[str | None]:
    told = {"kind": "cvae", "condition": {"label": label}}
    return read_collection(_reading(ctx, config, views, told)).condition


def _rows(collection: Collection, keep: NDArray[np.bool_]) -> Collection:
    """The tracks of `collection` that `keep` [n] names."""

    def kept(values: list[Any]) -> list[Any]:
        return [value for value, here in zip(values, keep, strict=True) if here] if values else values

    return Collection(
        track_ids=kept(collection.track_ids),
        contents=kept(collection.contents),
        views={name: view[keep] for name, view in collection.views.items()},
        masks={name: mask[keep] for name, mask in collection.masks.items()},
        labels=kept(collection.labels),
        label=collection.label,
        condition=kept(collection.condition),
        artists=kept(collection.artists),
        factors={name: kept(values) for name, values in collection.factors.items()},
        measured_in={name: view[keep] for name, view in collection.measured_in.items()},
    )
