"""A trial's config trained again under Ray Train, and its scores held against those of the trial's row."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from typing import Any

from ray_pipeline.errors import ConfigError
from ray_pipeline.stages import session
from ray_pipeline.stages.collection import read_collection
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.evaluate import evaluate
from ray_pipeline.stages.train import train
from ray_pipeline.store import Store
from ray_pipeline.sweep.objective import PARTS
from ray_pipeline.sweep.results import Row, config_of_row, find_trial

AGREED = 1e-6
"""Largest difference of a score on a CPU, with the same precision and threads."""

CHANGED = "the data is no longer what the trial was made on: other tracks or other features, and so other scores"

Compared = dict[str, tuple[float, float]]
"""Metric → the trial's mean over seeds, and that of the models trained again; NaN where there is none."""


def context_of(
    store: Store, trial: str, address: str | None = None, *, sweep: str | None = None
) -> tuple[Context, Row]:
    """A context in which `trial`, of `sweep` or of the last that has it, can be trained again, and its row.

    It reads the tracks that the sweep read: those that are sound in whatever feature any of its trials reads.

    Raises
    ------
    StoreError
        No such trial.
    ConfigError
        Its weights came of another trial's, under other settings than those it ended with.
    """
    found, row = find_trial(store, trial, sweep)
    if found.about["scheduler"] == "pbt":
        raise ConfigError(
            f"trial {row['trial_id']}: its settings changed while it trained (pbt): there is no going back"
        )
    ctx = Context.of(config_of_row(row, store), "train", address)
    return replace(ctx, sound_in=tuple(found.about.get("views", ()))), row


def train_again(ctx: Context, row: Row) -> Compared:
    """Train and evaluate the config of `ctx`, and compare what comes of it with `row`."""
    if is_of_other_data(ctx, row):
        ctx.run.note(CHANGED)
    train(ctx)
    # Loaded before threads are bound: what is loaded later has threads of its own.
    import sklearn.cluster  # noqa: F401

    with session.one_thread():
        evaluate(ctx)
    again = _means(ctx)
    return {name: (value, again.get(name, math.nan)) for name, value in row["scores"].items()}


def is_of_other_data(ctx: Context, row: Row) -> bool:
    """Whether the config of `ctx` reads now what the trial of `row` did not see."""
    seen = row["versions"].get("data")
    return seen is not None and seen != read_collection(ctx).digest()


def largest_difference(compared: Compared) -> float:
    """Of all scores; infinite where one is missing."""
    return max((_difference(*pair) for pair in compared.values()), default=0.0)


def _difference(trial: float, again: float) -> float:
    return abs(trial - again) if math.isfinite(again) else math.inf


def _means(ctx: Context) -> dict[str, float]:
    """Means over seeds of every score of the run, its lift and its z, named as in `trials`."""
    found: dict[str, list[float]] = defaultdict(list)
    rows: list[dict[str, Any]] = [
        row for address in ctx.run.tables["scores"] for row in ctx.store.at(address).read().to_pylist()
    ]
    for row in rows:
        named = {row["metric"]: row["value"]} | {f"{row['metric']}.{part}": row[part] for part in PARTS}
        for name, value in named.items():
            if value is not None:
                found[name].append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}
