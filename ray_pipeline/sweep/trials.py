"""The trials of a config: each a point of its space, and the ordinary config that this point makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray_pipeline.config import Config, check, with_keys
from ray_pipeline.errors import ConfigError
from ray_pipeline.space import Tune
from ray_pipeline.store import digest


@dataclass(frozen=True)
class Trial:
    """`point` holds dotted keys and their values; `name` is the same whenever the same experiment is meant."""

    name: str
    point: Mapping[str, Any]


def trials(config: Config) -> list[Trial]:
    """The seeded list of trials, made again the same by the same config.

    Raises
    ------
    ConfigError
        No ``tune:`` block, or a point that is no config.
    """
    tune = tune_of(config)
    return [trial_of(config, point) for point in tune.points(config.seed)]


def tune_of(config: Config) -> Tune:
    """The ``tune:`` block.

    Raises
    ------
    ConfigError
        There is none.
    """
    if config.tune is None:
        raise ConfigError("tune: a sweep needs this block; for example  tune: {model.beta: {grid: [1, 4]}}")
    return config.tune


def trial_of(config: Config, point: Mapping[str, Any]) -> Trial:
    """The trial at `point`, named by all that decides its result."""
    plain = config_of(config, point).plain()
    decisive = {key: value for key, value in plain.items() if key not in {"resources", "store", "tune"}}
    return Trial(digest(decisive), dict(point))


def config_of(config: Config, point: Mapping[str, Any]) -> Config:
    """`config` with the keys of `point` set, and without its ``tune:`` block.

    Raises
    ------
    ConfigError
        The values do not go together.
    """
    return check(with_keys({key: value for key, value in config.plain().items() if key != "tune"}, point))
