"""What experiments are made on: arrays by view, masks of what is missing, labels; no tables and no Ray."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.fusion import LYRICS
from ray_pipeline.fusion.base import Masks, Views


@dataclass(frozen=True)
class Collection:
    """What experiments are made on: one row a distinct, sound track.

    `views` {name: float32 [n, …]}; `masks` {name: bool [n]}, True = present; `labels` are the classes that clusters are held
    against, None where a track has none, and `label` is their name. `condition` holds the classes that a conditional model
    is given, None where a track has none; without such a model it is empty. `artists` [n] are who plays, None where that is
    not known. `factors` {name: [n]} are what latents are held against, numbers or class names, None or NaN where a track
    has none. `measured_in` are the views of the yardstick where it is not those in `views`. Labels, artists, factors and
    `measured_in` are for scores only: no fusion and no model ever sees them.
    """

    track_ids: list[str]
    contents: list[str]
    views: Views
    masks: Masks
    labels: list[str | None] = field(default_factory=list)
    label: str | None = None
    condition: list[str | None] = field(default_factory=list)
    artists: list[str | None] = field(default_factory=list)
    factors: dict[str, list[Any]] = field(default_factory=dict)
    measured_in: Views = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.contents)

    def digest(self) -> str:
        """Changes with any number a model could see, and with nothing else: a renamed track is the same track."""
        seen = hashlib.blake2b(digest_size=8)
        for name in sorted(self.views):
            seen.update(name.encode())
            seen.update(np.ascontiguousarray(self.views[name]).tobytes())
            seen.update(np.ascontiguousarray(self.masks[name]).tobytes())
        if self.condition:
            seen.update(json.dumps(self.condition).encode())
        return seen.hexdigest()


def yardstick(collection: Collection) -> NDArray[np.float32]:
    """Standardised audio features [n, D]: the space in which clusters of any model can be compared.

    Of several views each has the same share of the variance, whatever its number of columns: a log-mel's thousands would
    else drown the others.
    Lyrics are left out: most tracks lack them, and distances to a filled gap would reward clusters that follow the gap.
    Where a fusion reads nothing else, they are the yardstick: its tracks all have them. For the same reason features that
    some tracks lack are left out; where there are none but those, a gap lies at the mean. Where experiments read different
    features and are to be compared, `measured_in` has the same for all.
    """
    views, masks = collection.measured_in or collection.views, collection.masks
    audio = [name for name in sorted(views) if name != LYRICS] or [LYRICS]
    names = [name for name in audio if name not in masks or masks[name].all()] or audio
    blocks = [_standardised(views[name].reshape(len(collection), -1), masks.get(name)) for name in names]
    varying = [int(block.any(axis=0).sum()) for block in blocks]
    share = sum(varying) / max(sum(map(bool, varying)), 1)
    weighed = [block * np.sqrt(share / max(n, 1)) for block, n in zip(blocks, varying, strict=True)]
    return np.concatenate(weighed, axis=1).astype(np.float32)


def _standardised(x: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """`x` [n, D], each column with mean 0 and deviation 1 over what `mask` [n] or [n, D] has; 0 elsewhere, as a constant is."""
    wide = x.astype(np.float64)
    if mask is None or mask.all():
        spread = wide.std(axis=0)
        return np.asarray((wide - wide.mean(axis=0)) / np.where(spread > 0, spread, 1.0))
    seen = np.ma.array(wide, mask=np.broadcast_to(~mask.reshape(len(x), -1), wide.shape))
    spread = np.ma.filled(seen.std(axis=0), 0.0)
    centred = np.ma.filled(seen - seen.mean(axis=0), 0.0)
    return np.asarray(centred / np.where(spread > 0, spread, 1.0))
