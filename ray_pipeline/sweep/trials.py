"""The trials of a config: each a point of its space, and the ordinary config that this point makes of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ray_pipeline.config import FACTORS, Config, check, with_keys
from ray_pipeline.errors import ConfigError
from ray_pipeline.experiment import views_needed
from ray_pipeline.fusion import LYRICS
from ray_pipeline.space import SEARCHED, Tune
from ray_pipeline.store import digest

VERSION = 2
# What names a trial: all that decides its result, but for the data, which all trials of a sweep share.
_DECISIVE = ("seed", "features", "scoring", *SEARCHED)
_TRAINED_WHERE = {"num_workers", "use_gpu"}
# What names a sweep beside that: not how long it goes on, nor on how many CPUs.
_SEARCH = {"space", "together", "search", "scheduler", "objective", "gates"}
_MOST_COMBINATIONS = 2_000


@dataclass(frozen=True)
class Trial:
    """`point` holds dotted keys and their values; `name` is the same whenever the same experiment is meant."""

    name: str
    point: Mapping[str, Any]


def trials(config: Config) -> list[Trial]:
    """The seeded list of trials, made again the same by the same config; two points that come to the same are one.

    Raises
    ------
    ConfigError
        No ``tune:`` block, or a point that is no config.
    """
    made = (trial_of(config, point) for point in tune_of(config).points(config.seed))
    return list({trial.name: trial for trial in made}.values())


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
    return Trial(digest(_decisive(config_of(config, point))), dict(point))


def config_of(config: Config, point: Mapping[str, Any]) -> Config:
    """`config` with the keys of `point` set, and without its ``tune:`` block.

    Set on what was written, not on the defaults: another kind of model has others.

    Raises
    ------
    ConfigError
        The values do not go together.
    """
    written = config.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"tune"})
    return check(with_keys(written, point))


def sweep_id(config: Config, data: str, known: str) -> str:
    """Names a sweep: of data with this `Collection.digest`, held against labels with the digest `known`.

    A sweep that is made longer, or runs on more CPUs, is the same sweep.
    """
    tune = tune_of(config).model_dump(mode="json", include=_SEARCH)
    return digest({"version": VERSION, "data": data, "known": known, "tune": tune, **_decisive(config)})


def on_one_yardstick(config: Config) -> Config:
    """`config`; where its trials read different features, ``scoring.yardstick`` is set to all that any of them reads.

    Clusters in other features can be compared only in one space. All features that some trial reads, each with the same
    share of the variance, leave none of them out. Lyrics are, as of every yardstick.
    """
    read = {views_of(one) - {LYRICS} for one in combinations(config)}
    if config.scoring.yardstick or len(read) == 1:
        return config
    union = tuple(name for name in config.features if any(name in views for views in read))
    return config.model_copy(update={"scoring": config.scoring.model_copy(update={"yardstick": union})})


def views_of(config: Config) -> frozenset[str]:
    """The views that an experiment of `config` is given.

    Raises
    ------
    ConfigError
        It needs one that is not there.
    """
    held_back = {FACTORS.get(name) for name in config.scoring.factors}
    return frozenset(name for name in views_needed(config) if name not in held_back)


def combinations(config: Config) -> Iterator[Config]:
    """Configs that together have every fusion and model of the space; those that do not go together are left out.

    Raises
    ------
    ConfigError
        None of them goes together.
    """
    tune, first = tune_of(config), None
    listed = {
        key: one.examples
        for key, one in tune.space.items()
        if one.kind in {"grid", "choice"} and key.startswith(("fusion", "model"))
    }
    others = {key: one.examples[0] for key, one in tune.space.items() if key not in listed}
    axes = itertools.product(*([(key, value) for value in values] for key, values in listed.items()))
    some = 0
    for shared, point in itertools.islice(itertools.product(tune.together or ({},), axes), _MOST_COMBINATIONS):
        try:
            made = config_of(config, {**others, **dict(point), **shared})
            views_needed(made)
        except ConfigError as error:
            first = first or error
            continue
        some += 1
        yield made
    if not some and first is not None:
        raise first


def _decisive(config: Config) -> dict[str, Any]:
    plain = config.plain()
    decisive = {key: plain[key] for key in _DECISIVE}
    decisive["training"] = {key: value for key, value in plain["training"].items() if key not in _TRAINED_WHERE}
    return decisive
