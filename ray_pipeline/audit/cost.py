"""What an experiment will cost, by fitting a little of it, and what the controls of every audit will."""

from __future__ import annotations

import time

from ray_pipeline import experiment
from ray_pipeline.audit.controls import DIMS, DRAWS, gaussian_draw, random_draw
from ray_pipeline.collection import Collection
from ray_pipeline.config import Config

FEW, MORE = 1, 3  # epochs


def fitting_seconds(collection: Collection, config: Config) -> float:
    """Seconds that one fit of `config` takes here: what it takes to begin, and its epochs at the rate of the first ones.

    Raises
    ------
    TrainingError
        It cannot be fitted.
    """
    # The first of all loads what later ones find loaded.
    _seconds(collection, config, FEW)
    began = _seconds(collection, config, FEW)
    epochs = config.training.epochs
    if epochs <= FEW:
        return began
    an_epoch = max(0.0, _seconds(collection, config, MORE) - began) / (MORE - FEW)
    return began + (epochs - FEW) * an_epoch


def scoring_seconds(collection: Collection, config: Config) -> float:
    """Seconds that clustering and scoring one experiment of `config` takes here; its model is fitted for one epoch only."""
    few = _with_epochs(config, FEW)
    fitted = experiment.fit(collection, few, config.seed)
    start = time.monotonic()
    experiment.evaluate(collection, fitted, experiment.encode(collection, fitted), config, config.seed)
    return time.monotonic() - start


def controls_seconds() -> float:
    """Seconds that all draws of the controls take here, by one of each."""
    # The first of all loads what later ones find loaded.
    gaussian_draw(DIMS[0], 0)
    start = time.monotonic()
    for dim in DIMS:
        gaussian_draw(dim, 0)
    random_draw(0)
    return DRAWS * (time.monotonic() - start)


def _seconds(collection: Collection, config: Config, epochs: int) -> float:
    from ray_pipeline import training  # noqa: F401  # torch is loaded before the clock starts

    few = _with_epochs(config, epochs)
    start = time.monotonic()
    experiment.fit(collection, few, config.seed)
    return time.monotonic() - start


def _with_epochs(config: Config, epochs: int) -> Config:
    return config.model_copy(update={"training": config.training.model_copy(update={"epochs": epochs})})
