"""Which trials go on: successive halving, or a population whose members take over each other's weights.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning"; Jaderberg et al. 2017, "Population Based Training of
Neural Networks". Both compare `Judged.standing`, at the epochs that `sweep.rungs` names. Imports Ray as it is imported.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from ray import tune
from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining, TrialScheduler

from ray_pipeline.space import Distribution
from ray_pipeline.stages.sweep_data import Shared
from ray_pipeline.sweep.rungs import REDUCTION, generation, most_epochs, rungs


def scheduler_of(shared: Shared) -> TrialScheduler | None:
    """What stops trials early or mixes them; None lets each train to its end."""
    told = shared.tune
    if told.scheduler == "asha" and (at := rungs(shared.config)):
        return ASHAScheduler(
            time_attr="epoch",
            metric="standing",
            mode="max",
            grace_period=at[0],
            max_t=most_epochs(shared.config) + 1,
            reduction_factor=REDUCTION,
        )
    if told.scheduler == "pbt":
        random.seed(shared.config.seed)
        np.random.seed(shared.config.seed)
        return PopulationBasedTraining(
            time_attr="epoch",
            metric="standing",
            mode="max",
            perturbation_interval=generation(shared.config),
            hyperparam_mutations={"spec": {"point": {key: _domain(one) for key, one in told.mutable().items()}}},
            custom_explore_fn=lambda config: _within(config, told.mutable()),
            require_attrs=False,
            log_config=False,
        )
    return None


def _domain(one: Distribution) -> Any:
    low, high = one.bounds
    if one.kind == "randint":
        return tune.randint(int(low), int(high) + 1)
    return tune.loguniform(low, high) if one.kind == "loguniform" else tune.uniform(low, high)


def _within(config: dict[str, Any], ranges: dict[str, Distribution]) -> dict[str, Any]:
    """`config` with what was changed past its range put back to the range's end."""
    point = config["spec"]["point"]
    for key, one in ranges.items():
        low, high = one.bounds
        value = min(max(point[key], low), high)
        point[key] = int(value) if one.kind == "randint" else float(value)
    return config
