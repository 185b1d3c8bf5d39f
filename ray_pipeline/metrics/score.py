"""What a metric is, and what a score is: a value that stands beside what chance would have scored."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ray_pipeline.shelf import part, shelf

NAN = float("nan")
MARKS = "@:"
LEAK = "label leak"
"""How the note of a score begins whose label the model was given: its value says nothing of what the model found."""


@dataclass(frozen=True)
class Score:
    """One metric of one clustering; one row of the table `scores`. NaN means: not measured.

    A name may carry marks: `silhouette@permuted` is the silhouette against another null, `ami@artists` the AMI on one
    track an artist, `ami:genre` the AMI with the label "genre". `shelf_name` takes them off.
    """

    metric: str
    value: float
    null_mean: float = NAN
    """Mean over `n_null` clusterings of structureless data."""
    null_sd: float = NAN
    n_null: int = 0
    """Draws behind `null_mean`, or behind `chance` and `p`."""
    lift: float = NAN
    """Distance to `null_mean` or, where there is none, to `chance`; signed so that more is better."""
    z: float = NAN
    """`lift` in standard deviations of those draws."""
    chance: float = NAN
    """Mean over random assignments: the same clusters and classes, dealt to the tracks at random."""
    p: float = NAN
    """Share of draws at least as good, (1 + their number) / (1 + draws)."""
    ci_low: float = NAN
    ci_high: float = NAN
    """95 % interval over tracks."""
    n: int = 0
    """Tracks scored."""
    note: str = ""

    @property
    def leaked(self) -> bool:
        """Whether the model was given the label that this is held against."""
        return self.note.startswith(LEAK)

    def as_row(self, experiment_id: str, seed: int) -> dict[str, Any]:
        """A row of `ray_pipeline.schemas.SCORES`; what is not a finite number becomes null."""
        row = {"experiment_id": experiment_id, **asdict(self), "seed": seed}
        return {key: _or_null(value) for key, value in row.items()}


@dataclass(frozen=True)
class Metric:
    """A part of the shelf: what a metric is called, which way is up, and what it scores where nothing can be scored.

    Each family is called in its own way, see the class of the family: `internal.Internal`, `external.External`,
    `latent.Latent`, `stability.Stability`, `disentanglement.Disentanglement`.
    """

    name: str
    family: str
    """`internal` (the space the clusters were found in), `input` (the standardised features), `coverage` (the share that
    is no noise), `external` (labels), `missing` (which tracks lack a view), `artists` (who plays), `stability` (other seeds,
    other tracks), `disentanglement` (known factors) or `latent`."""
    greater_is_better: bool
    worst: float
    """Finite, so that it can be stored and sorted."""

    @property
    def direction(self) -> int:
        """1 where more is better, −1 where less is."""
        return 1 if self.greater_is_better else -1


def unscored(rows: Sequence[Mapping[str, Any]]) -> int:
    """Of `rows`, one metric with each seed: how many were not compared with chance, where others were.

    There were no clusters to score with those seeds: what the others come to is no answer for all.
    """
    without = sum(row.get("p") is None for row in rows)
    return without if without < len(rows) else 0


def shelf_name(metric: str) -> str:
    """`silhouette` for `silhouette@permuted`, `ami` for `ami:genre`."""
    for mark in MARKS:
        metric = metric.split(mark, 1)[0]
    return metric


def of_family(family: str) -> list[Any]:
    """The metrics of a family, in the shelf's order."""
    found = [part("metric", name) for name in shelf("metric")]
    return [metric for metric in found if metric.family == family]


def notes(*parts: str) -> str:
    """The parts that say something, in one line."""
    return "; ".join(part for part in parts if part)


def _or_null(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
