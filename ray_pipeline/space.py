"""A search space: the ``tune:`` block of a config. Dotted keys to distributions, and how they are searched.

    tune:
      model.beta: {loguniform: [0.05, 8]}
      model.latent_dim: {grid: [2, 8, 32]}
      num_samples: 20

`grid` tries every value, with every other grid; the others are drawn, `num_samples` times for each point of the grids.
`together` is a grid whose points set several keys at once. No heavy library is imported here.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

DRAWN = ("choice", "uniform", "loguniform", "randint")
KINDS = ("grid", *DRAWN)
MOST_TRIALS = 100_000
MOST_IN_TIME = 1_000
"""Draws where a sweep is ended by its time budget alone."""
SEARCHED = ("fusion", "model", "training", "clusterer")
"""Sections that a sweep may search; all its trials share the data, the seeds and what they are scored by."""
NO_MATTER = ("training.num_workers", "training.use_gpu")
"""Keys in them that change no result."""
EPOCHS = "training.epochs"

Values = Mapping[str, Any]
"""Dotted key → value: one point of the space."""


class Distribution(BaseModel):
    """What one key may be: exactly one of ``grid``, ``choice``, ``uniform``, ``loguniform``, ``randint``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    grid: tuple[Any, ...] | None = Field(None, min_length=1, description="every one of these")
    choice: tuple[Any, ...] | None = Field(None, min_length=1, description="one of these, drawn")
    uniform: tuple[float, float] | None = Field(None, description="a number from low to high")
    loguniform: tuple[float, float] | None = Field(
        None, description="a number from low to high, its logarithm drawn evenly"
    )
    randint: tuple[int, int] | None = Field(None, description="a whole number from low to high, both among them")

    @model_validator(mode="after")
    def _one_and_sound(self) -> Self:
        given = [name for name in KINDS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(KINDS)} is needed")
        if self.kind in {"uniform", "loguniform", "randint"}:
            low, high = self.bounds
            if low >= high:
                raise ValueError(f"{self.kind}: [low, high] with low < high is needed, not [{low:g}, {high:g}]")
            if self.kind == "loguniform" and low <= 0:
                raise ValueError("loguniform: low must be above 0")
        return self

    @property
    def kind(self) -> str:
        """Its name among `KINDS`."""
        return next(name for name in KINDS if getattr(self, name) is not None)

    @property
    def bounds(self) -> tuple[float, float]:
        """Low and high of a range."""
        low, high = getattr(self, self.kind)
        return low, high

    @property
    def examples(self) -> tuple[Any, ...]:
        """Values that stand for all: each that is listed, or the ends of the range."""
        listed: tuple[Any, ...] = getattr(self, self.kind)
        return listed

    @property
    def n_values(self) -> float:
        """How many values there are; infinite for a range."""
        if self.kind in {"grid", "choice"}:
            return len(self.examples)
        low, high = self.bounds
        return high - low + 1 if self.kind == "randint" else math.inf

    def draw(self, rng: random.Random) -> Any:
        """One value."""
        if self.kind in {"grid", "choice"}:
            return rng.choice(self.examples)
        low, high = self.bounds
        if self.kind == "randint":
            return rng.randint(int(low), int(high))
        if self.kind == "loguniform":
            return min(max(math.exp(rng.uniform(math.log(low), math.log(high))), low), high)
        return rng.uniform(low, high)


class Gates(BaseModel):
    """What a trial must pass to be scored at all; without them a sweep selects collapse."""

    model_config = Distribution.model_config

    reconstruction: bool = Field(True, description="no worse than PCA with two components on the same matrix")
    smallest_cluster: float = Field(0.01, ge=0, le=1, description="share of the tracks; less is refused")
    largest_noise: float = Field(0.2, ge=0, le=1, description="share of the tracks; more is refused")
    fewest_tracks: float = Field(
        0.8,
        ge=0,
        le=1,
        description="tracks that a trial places, as a share of the most that any does; fewer is refused",
    )


class Tune(BaseModel):
    """The ``tune:`` block; its other keys are the space's."""

    model_config = Distribution.model_config

    space: dict[str, Distribution] = Field(default_factory=dict)
    together: tuple[dict[str, Any], ...] = ()
    num_samples: int | None = Field(
        None,
        ge=1,
        le=MOST_TRIALS,
        description="draws for each point of the grids, or trials of Optuna; none: one draw, or every point that there is",
    )
    time_budget_s: float | None = Field(None, gt=0, description="s, after which no trial is started")
    search: Literal["random", "grid", "optuna"] = "random"
    scheduler: Literal["none", "asha", "pbt"] = "none"
    objective: tuple[str, ...] = Field(
        ("silhouette_input",), min_length=1, description="a metric, or several: a Pareto front"
    )
    gates: Gates = Gates()
    max_concurrent: int | None = Field(None, ge=1)
    cpus_per_trial: float = Field(1.0, gt=0)
    gpus_per_trial: float = Field(0.0, ge=0)
    retries: int = Field(1, ge=0, le=10, description="times that a failing trial is tried again")
    mlflow: str | None = Field(None, description="a tracking address; needs the extra [mlflow]")

    @model_validator(mode="before")
    @classmethod
    def _split(cls, raw: Any) -> Any:
        """Keys of the space stand beside the settings; a setting has no dot and is known by its name."""
        if not isinstance(raw, Mapping) or "space" in raw:
            return raw
        settings = {key: value for key, value in raw.items() if key in cls.model_fields}
        return settings | {"space": {key: value for key, value in raw.items() if key not in cls.model_fields}}

    @field_validator("mlflow")
    @classmethod
    def _without_password(cls, address: str | None) -> str | None:
        if address and "@" in address.partition("://")[2].partition("/")[0]:
            raise ValueError(
                "leave user and password out, which would be written down with the run: MLflow reads them from "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )
        return address

    @field_validator("objective", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _scheduler_can_compare(self) -> Self:
        if self.scheduler != "none" and len(self.objective) > 1:
            raise ValueError(
                f"scheduler {self.scheduler} compares by one number: name one objective, or set it to none"
            )
        if self.scheduler != "pbt":
            return self
        if self.search == "optuna":
            raise ValueError("scheduler pbt changes settings by itself: set search to random or grid")
        if EPOCHS in self.searched():
            raise ValueError(f"scheduler pbt has its trials train side by side: take {EPOCHS} out of the space")
        if self.max_concurrent or self.time_budget_s:
            raise ValueError("scheduler pbt needs all its trials: leave max_concurrent and time_budget_s out")
        if not self.mutable():
            raise ValueError("scheduler pbt has nothing to change: give a key of model or training a range")
        return self

    @model_validator(mode="after")
    def _something_to_search(self) -> Self:
        if not self.space and not self.together:
            raise ValueError("names nothing to search; for example  model.beta: {grid: [1, 4]}")
        drawn = [key for key, one in self.space.items() if one.kind in DRAWN]
        if self.search == "grid" and drawn:
            raise ValueError(f"search is grid, and {', '.join(drawn)} would have to be drawn: give it a grid")
        return self

    @model_validator(mode="after")
    def _optuna_ends(self) -> Self:
        if self.search == "optuna" and not self.num_samples and not self.time_budget_s and self.n_points == math.inf:
            raise ValueError("search optuna needs num_samples or time_budget_s: a range has no last point")
        return self

    @property
    def n_draws(self) -> int:
        """Draws for each point of the grids; where only time is to end them, so many that it does."""
        return self.num_samples or (MOST_IN_TIME if self.time_budget_s else 1)

    @property
    def n_points(self) -> float:
        """Points that the space has; infinite where a key is a number from a range."""
        return math.prod(one.n_values for one in self.space.values()) * (len(self.together) or 1)

    def searched(self) -> list[str]:
        """Every dotted key that is searched."""
        return [*self.space, *dict.fromkeys(key for shared in self.together for key in shared if key not in self.space)]

    def mutable(self) -> dict[str, Distribution]:
        """What may change while a model trains: ranges of numbers that decide no tensor's shape."""
        return {
            key: one
            for key, one in self.space.items()
            if (one.kind in {"uniform", "loguniform"} and key.startswith(("model.", "training.")))
            or (one.kind == "randint" and key.startswith("training."))
        }

    def grids(self) -> list[Values]:
        """Every point of the grids; one empty point where there is none."""
        axes = [[{key: value} for value in one.examples] for key, one in self.space.items() if one.kind == "grid"]
        points = itertools.product(*axes, list(self.together) or [{}])
        return [{key: value for part in point for key, value in part.items()} for point in points]

    def points(self, seed: int) -> Iterator[dict[str, Any]]:
        """The seeded list of trials: the same `seed` and block give the same points in the same order.

        A point that was drawn before (few choices, many samples) is not given again.
        """
        drawn = {key: one for key, one in self.space.items() if one.kind in DRAWN}
        seen: set[str] = set()
        for number in range(self.n_draws if drawn else 1):
            for at, grid in enumerate(self.grids()):
                rng = random.Random(f"{seed}/{number}/{at}")
                point = {**grid, **{key: one.draw(rng) for key, one in drawn.items()}}
                if (name := repr(sorted(point.items(), key=lambda item: item[0]))) not in seen:
                    seen.add(name)
                    yield point

    def examples(self) -> Iterator[dict[str, Any]]:
        """Points that together use every value that is listed and both ends of every range."""
        first = {key: one.examples[0] for key, one in self.space.items()}
        for shared in self.together or ({},):
            yield {**first, **shared}
        for key, one in self.space.items():
            for value in one.examples[1:]:
                yield {**first, **(self.together[0] if self.together else {}), key: value}
