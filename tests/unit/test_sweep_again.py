"""A trial trained again: on the tracks that it was made on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fma_tables import MFCC, write_features

from ray_pipeline import schemas
from ray_pipeline.stages import sweep as stage
from ray_pipeline.stages import sweep_again
from ray_pipeline.stages.collection import read_collection
from ray_pipeline.stages.import_features import import_features
from ray_pipeline.stages.ingest import ingest
from ray_pipeline.stages.sweep_data import collection_of, read_shared
from ray_pipeline.stages.sweep_log import Log
from ray_pipeline.sweep import config_of, trials

MEANS = [column[1] == "mean" for column in MFCC]


def test_it_reads_no_track_that_is_of_no_use_in_what_another_trial_reads(
    context: Callable[..., Any], tmp_path: Path
) -> None:
    numbers = np.random.default_rng(0).normal(size=(9, len(MFCC)))
    numbers[4, MEANS.index(False)] = np.nan  # a statistic that is no mean
    write_features(tmp_path / "fma", dict(enumerate(numbers.tolist(), start=1)))
    settings = {
        "source": {"kind": "fma", "root": str(tmp_path / "fma")},
        "features": ["mfcc_native", "fma_mfcc"],
        "scoring": {"yardstick": ["mfcc_native"], "seeds": 1},
        "fusion": {"kind": "audio", "view": "mfcc_native"},
    }
    for make in (ingest, import_features):
        make(context(**settings))
    ctx = context("sweep", tune={"fusion.view": {"grid": ["mfcc_native", "fma_mfcc"]}}, **settings)
    shared = read_shared(ctx)
    (means, _) = trials(shared.config)
    made_on = collection_of(shared, config_of(shared.config, means.point))
    table = ctx.table("trials", shared.name)
    table.create(schemas.TRIALS, stage._about(shared))
    log = Log(ctx, shared, table, [], 2, [])
    log.begin(means.name, dict(means.point))
    log.end(means.name, {"status": "ok", "reason": "", "objective": [0.1], "trained": {"data": made_on.digest()}})
    again, row = sweep_again.context_of(ctx.store, means.name)
    found = read_collection(again)
    assert set(found.views) == {"mfcc_native"} and len(found) == 8
    assert found.track_ids == made_on.track_ids and "5" not in found.track_ids
    assert not sweep_again.is_of_other_data(again, row)
    assert len(read_collection(context(**settings))) == 9, "a config alone reads all that is sound in its own views"
