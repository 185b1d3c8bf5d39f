"""Two clusterings of the same tracks: by how much does one agree better with the labels?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ray_pipeline.metrics.calibration import bootstrap_tables, interval
from ray_pipeline.metrics.external import ami

DRAWS = 500


@dataclass(frozen=True)
class Difference:
    """AMI of ours less AMI of theirs: mean over seeds, and a 95 % interval over seeds and tracks."""

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether ours is ahead: yes, no (it is behind), or not told by these tracks."""
        return "yes" if self.low > 0 else "no" if self.high < 0 else "not told"


def difference(
    ours: Sequence[np.ndarray],
    theirs: Sequence[np.ndarray],
    classes: Sequence[Sequence[str | None]],
    draws: int = DRAWS,
) -> Difference:
    """`ours` and `theirs`: clusters int [n] of each seed; `classes` [n] of each seed, None where a track is not scored.

    Tracks are resampled alike for both, so what makes one sample easier than another does not count.
    """
    values, resampled = [], []
    for seed, (mine, other, names) in enumerate(zip(ours, theirs, classes, strict=True)):
        told = np.array([bool(name) for name in names])
        joint = _joint(mine[told], other[told], [name for name in names if name])
        drawn = np.concatenate(list(bootstrap_tables(joint.reshape(1, -1), draws, seed))).reshape(-1, *joint.shape)
        values.append(float(_lead(joint[None])[0]))
        resampled.append(_lead(drawn) - values[-1])
    mean = float(np.mean(values))
    spread = np.concatenate([value + moved for value, moved in zip(values, resampled, strict=True)])
    return Difference(mean, *interval(mean, spread))


def _joint(mine: np.ndarray, other: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Tracks by cluster of ours, cluster of theirs and class: int [a, b, c]."""
    places = [np.unique(of, return_inverse=True)[1] for of in (mine, other, np.array(names))]
    joint = np.zeros([place.max() + 1 for place in places], np.int64)
    np.add.at(joint, tuple(places), 1)
    return joint


def _lead(joint: np.ndarray) -> np.ndarray:
    """[draws, a, b, c] → [draws]."""
    return np.asarray(ami.formula(joint.sum(axis=2)) - ami.formula(joint.sum(axis=1)))
