"""Who says what is tried next: a list made in advance, or Optuna, told of what was tried before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ray_pipeline.space import Distribution, Tune

Point = dict[str, Any]
TOGETHER = "together"


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
        sampler = optuna.samplers.TPESampler(seed=seed)
        self._study = optuna.create_study(sampler=sampler, directions=["maximize"] * len(tune.objective))
        self._open: dict[str, Any] = {}
        told = list(known)
        for point, values in told:
            chosen = self._chosen(point)
            distributions = {key: _distribution(self._axes[key]) for key in chosen}
            self._study.add_trial(
                optuna.trial.create_trial(params=chosen, distributions=distributions, values=list(values))
            )
        self._left = tune.num_samples - len(told)

    def ask(self) -> Point | None:
        if self._left <= 0:
            return None
        self._left -= 1
        trial = self._study.ask({key: _distribution(one) for key, one in self._axes.items()})
        values = {key: _from_number(self._axes[key], value) for key, value in trial.params.items()}
        shared = values.pop(TOGETHER, {})
        point = {**values, **shared}
        self._open[repr(point)] = trial
        return point

    def tell(self, point: Mapping[str, Any], values: Sequence[float]) -> None:
        trial = self._open.pop(repr(dict(point)), None)
        if trial is not None:
            self._study.tell(trial, list(values))

    def _chosen(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """What Optuna would have chosen to give `point`."""
        values = dict(point)
        if TOGETHER in self._axes:
            shared = max((one for one in self._axes[TOGETHER].examples if one.items() <= values.items()), key=len)
            values = {key: value for key, value in values.items() if key not in shared} | {TOGETHER: shared}
        return {key: _to_number(self._axes[key], value) for key, value in values.items()}


def _axes(tune: Tune) -> dict[str, Distribution]:
    """What Optuna chooses: a value for each key, and one of the points that set several."""
    shared = {TOGETHER: Distribution(choice=tune.together)} if tune.together else {}
    return {**tune.space, **shared}


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
