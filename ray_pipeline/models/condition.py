"""What a conditional model is told of each track: its class of one label, as a view that goes in and is not rebuilt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from ray_pipeline.errors import TrainingError
from ray_pipeline.shelf import Params

CONDITION = "condition"
"""The view's name; float32 [n_tracks, width]."""

MOST_CLASSES = 1000

Encoding = Literal["one_hot", "number"]


class Condition(BaseModel):
    """Which label the model is given, and how."""

    model_config = Params.model_config

    label: str = Field(min_length=1, description="label whose class the model is given")
    encoding: Encoding = Field(
        "one_hot", description="one_hot: a column a class; number: one for all, which puts classes into an order"
    )


def condition_of(params: Params) -> Condition | None:
    """The condition that a model of these settings is given; None for most."""
    found = getattr(params, "condition", None)
    return found if isinstance(found, Condition) else None


def label_share_of(params: Params) -> float:
    """The share of the labels there are that a model of these settings is shown in its training; 1 for most."""
    return float(getattr(params, "label_share", 1.0))


def shown(labels: Sequence[str | None], share: float, seed: int) -> list[str | None]:
    """`labels` of which only a `share`, drawn by `seed`, are left; one at least, where there is one."""
    there = [i for i, name in enumerate(labels) if name]
    n_shown = min(len(there), max(1, round(share * len(there))))
    kept = set(np.random.default_rng(seed).choice(np.array(there, np.int64), n_shown, replace=False).tolist())
    return [name if i in kept else None for i, name in enumerate(labels)]


def classes_of(labels: Sequence[str | None], label: str) -> list[str]:
    """The classes that occur, sorted.

    Raises
    ------
    TrainingError
        No track has the label, or nearly every track has a class of its own, as with names.
    """
    found = sorted({name for name in labels if name})
    if not found:
        raise TrainingError(
            f"model.condition.label: no track has the label '{label}', so the model cannot be given it",
            hint="name a label that the tracks have, or take a model without a condition",
        )
    if len(found) > MOST_CLASSES:
        raise TrainingError(
            f"model.condition.label: '{label}' has {len(found):,} classes, more than {MOST_CLASSES:,}",
            hint="name a label of fewer classes",
        )
    return found


def encoded(labels: Sequence[str | None], classes: Sequence[str], encoding: Encoding) -> NDArray[np.float32]:
    """float32 [n_tracks, 1 + len(classes)], or [n_tracks, 1] in 0…1 as `number`.

    Tracks without the label are a category of their own, the first; so are those of a class that is not in `classes`,
    since a fitted model knows nothing of it.
    """
    place = {name: i for i, name in enumerate(classes, start=1)}
    at = np.array([place.get(name or "", 0) for name in labels], np.int64)
    if encoding == "number":
        return (at[:, None] / len(classes)).astype(np.float32)
    return np.eye(len(classes) + 1, dtype=np.float32)[at]
