"""Who says what is tried next: a list made in advance, or Optuna, told of what was tried before."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ray_pipeline.space import MOST_IN_TIME, Distribution, Tune

Point = dict[str, Any]
TOGETHER = "together"
MOST_REPEATS = 200


class Proposer(Protocol):
    """Gives points until there are no more, and is told what became of each."""

    def ask(self) -> Point | None:
        """The next point; None at the end."""
        ...

    def tell(self, point: Mapping[str, Any], values: Sequence[float]) -> None:
        """`values`, more is better, of a point that was asked for."""
        ...


class Listed:
    """The points of a list, in their order."""

    def __init__(self, points: Iterable[Point]) -> None:
        self._points = iter(points)

    def ask(self) -> Point | None:
        return next(self._points, None)

    def tell(self, point: Mapping[str, Any], values: Sequence[float]) -> None:
        return None


class Optuna:
    """Tree-structured Parzen estimator (Bergstra et al. 2011) of the optuna library, seeded.

    `known` are points of an interrupted sweep with their values: Optuna is told of them, and they count.
    """

    def __init__(self, tune: Tune, seed: int, known: Iterable[tuple[Point, Sequence[float]]] = ()) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._axes = _axes(tune)
        past = list(known)
        # Seeded by how far it is too: it would draw again what it drew first.
        sampler = optuna.samplers.TPESampler(seed=seed + len(past))
        self._study = optuna.create_study(sampler=sampler, directions=["maximize"] * len(tune.objective))
        self._open: dict[str, list[Any]] = {}
        self._told: dict[str, Sequence[float]] = {}
        for point, values in past:
            self._told[_key(point)] = values
            self._study.add_trial(self._past(point, values))
        self._left = n_points(tune) - len(self._told)

    def ask(self) -> Point | None:
        """The next point that was not asked for before; None also where Optuna does no more than repeat itself."""
        for _ in range(MOST_REPEATS if self._left > 0 else 0):
            trial = self._study.ask({key: _distribution(one) for key, one in self._axes.items()})
            values = {key: _from_number(self._axes[key], value) for key, value in trial.params.items()}
            shared = values.pop(TOGETHER, {})
            point = {**values, **shared}
            key = _key(point)
            if key in self._told:
                self._study.tell(trial, list(self._told[key]))
            elif key in self._open:
                self._open[key].append(trial)
            else:
                self._open[key] = [trial]
                self._left -= 1
                return point
        return None

    def tell(self, point: Mapping[str, Any], values: Sequence[float]) -> None:
        key = _key(point)
        self._told[key] = values
        for trial in self._open.pop(key, []):
            self._study.tell(trial, list(values))

    def _past(self, point: Mapping[str, Any], values: Sequence[float]) -> Any:
        import optuna

        chosen = self._chosen(point)
        distributions = {key: _distribution(self._axes[key]) for key in chosen}
        return optuna.trial.create_trial(params=chosen, distributions=distributions, values=list(values))

    def _chosen(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """What Optuna would have chosen to give `point`."""
        values = dict(point)
        if TOGETHER in self._axes:
            shared = max((one for one in self._axes[TOGETHER].examples if one.items() <= values.items()), key=len)
            values = {key: value for key, value in values.items() if key not in shared} | {TOGETHER: shared}
        return {key: _to_number(self._axes[key], value) for key, value in values.items()}


def n_points(tune: Tune) -> int:
    """Points that Optuna is asked for: of a small space no more than there are, and all where nothing else is said."""
    most = tune.num_samples or (MOST_IN_TIME if tune.time_budget_s else math.inf)
    return int(min(most, tune.n_points))


def _axes(tune: Tune) -> dict[str, Distribution]:
    """What Optuna chooses: a value for each key, and one of the points that set several."""
    shared = {TOGETHER: Distribution(choice=tune.together)} if tune.together else {}
    return {**tune.space, **shared}


def _key(point: Mapping[str, Any]) -> str:
    return json.dumps(point, sort_keys=True)


def _distribution(one: Distribution) -> Any:
    import optuna

    if one.kind in {"grid", "choice"}:
        # By number: Optuna's categories are plain values, ours may be whole sections.
        return optuna.distributions.CategoricalDistribution(range(len(one.examples)))
    low, high = one.bounds
    if one.kind == "randint":
        return optuna.distributions.IntDistribution(int(low), int(high))
    return optuna.distributions.FloatDistribution(low, high, log=one.kind == "loguniform")


def _from_number(one: Distribution, value: Any) -> Any:
    return one.examples[value] if one.kind in {"grid", "choice"} else value


def _to_number(one: Distribution, value: Any) -> Any:
    return list(one.examples).index(value) if one.kind in {"grid", "choice"} else value
