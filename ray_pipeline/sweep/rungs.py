"""When trials are compared before their end: epochs at which each has its objective computed.

Successive halving (Li et al. 2020) lets a third go on at each rung; a population (Jaderberg et al. 2017) is mixed at each.
"""

from __future__ import annotations

from ray_pipeline.config import Config
from ray_pipeline.members import Params as LateParams
from ray_pipeline.space import EPOCHS
from ray_pipeline.sweep.trials import tune_of

REDUCTION = 3
_SHORTEST = 9  # the first rung is at this part of the longest training
_GENERATIONS = 5


def rungs(config: Config) -> list[int]:
    """Epochs of the rungs that all trials of a sweep share, in their order; none without a scheduler."""
    tune, longest = tune_of(config), most_epochs(config)
    if tune.scheduler == "asha":
        first = max(1, longest // _SHORTEST)
        # A rung so near to the end that little training is left to be saved costs more than it saves.
        return [epochs for epochs in (first, first * REDUCTION) if epochs <= longest // 2]
    if tune.scheduler == "pbt":
        return list(range(generation(config), longest, generation(config)))
    return []


def stops(sweep: Config, trial: Config) -> list[int]:
    """Epochs at which `trial` is scored: the rungs of its `sweep`, and its own end.

    Late fusion trains several models, one after another, each to its end: it is scored once.
    """
    end = trial.training.epochs
    shared = [] if isinstance(trial.model, LateParams) else rungs(sweep)
    return [*(epochs for epochs in shared if epochs < end), end]


def generation(config: Config) -> int:
    """Epochs between two mixings of a population."""
    return max(1, most_epochs(config) // _GENERATIONS)


def most_epochs(config: Config) -> int:
    """Epochs of the longest training of the sweep."""
    return max(int(point.get(EPOCHS, config.training.epochs)) for point in tune_of(config).examples())
