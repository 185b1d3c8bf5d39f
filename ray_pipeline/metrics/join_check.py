"""Were labels joined to the right tracks, and would a score notice if not?

Dealing the classes to other tracks must take every external score down to chance. A score that stays up does not depend on
which track has which class: it was joined by position, or to the wrong table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.metrics.calibration import generator, permutation_p, permutation_tables
from ray_pipeline.metrics.external import contingency
from ray_pipeline.metrics.score import of_family

Scorer = Callable[[NDArray[Any], Sequence[str | None]], Mapping[str, float]]
"""(labels int [n], classes [n]) → metric → value."""

SHUFFLES, PERMUTATIONS = 100, 1000
WIDTH = 4.0  # standard errors within which a mean of shuffles is at chance
ALPHA = 0.05
_SHUFFLE = 51


@dataclass(frozen=True)
class JoinFinding:
    """What became of one external score when its classes were dealt to other tracks."""

    metric: str
    joined: float
    """The score as labels were joined."""
    shuffled: float
    """Its mean over shuffles."""
    chance: float
    """Its mean over random tables of the same cluster and class sizes, which know of no track."""
    p: float
    """Share of shuffles that are at least as good as the join, (1 + their number) / (1 + shuffles)."""
    falls_to_chance: bool
    verdict: str


def scored(labels: NDArray[Any], classes: Sequence[str | None]) -> dict[str, float]:
    """Every external metric of the shelf."""
    return {metric.name: metric(labels, classes).value for metric in of_family("external")}


def join_check(
    labels: NDArray[Any],
    classes: Sequence[str | None],
    *,
    score: Scorer = scored,
    shuffles: int = SHUFFLES,
    seed: int = 0,
) -> list[JoinFinding]:
    """What `score` makes of clusters `labels` int [n] and `classes` [n] as joined, and with the classes dealt anew.

    `score` may be a path of one's own, from labels and classes to the values of external metrics. Chance is worked out apart
    from it, from the sizes of clusters and classes alone. Empty where no track has a class.

    Raises
    ------
    ImpossibleScore
        Purity below the largest class's share.
    ValueError
        `score` names what is no external metric.
    """
    table, _ = contingency(labels, classes)
    if not table.size:
        return []
    joined = dict(score(labels, classes))
    known = {metric.name: metric for metric in of_family("external")}
    if strange := sorted(set(joined) - set(known)):
        raise ValueError(f"{', '.join(strange)}: not among the external metrics {', '.join(known)}")
    dealt = [score(labels, _dealt(classes, generator(seed, _SHUFFLE, i))) for i in range(shuffles)]
    tables = list(permutation_tables(table, PERMUTATIONS, seed))
    return [
        _finding(
            name,
            value,
            np.array([one[name] for one in dealt]),
            np.concatenate([known[name].formula(batch) for batch in tables]),
        )
        for name, value in joined.items()
    ]


def _dealt(classes: Sequence[str | None], rng: np.random.Generator) -> list[str | None]:
    """`classes` dealt anew among the tracks that have one: which those are is the same in what chance is worked out from."""
    known = [row for row, one in enumerate(classes) if one]
    out = list(classes)
    for row, other in zip(known, rng.permutation(known), strict=True):
        out[row] = classes[int(other)]
    return out


def _finding(metric: str, joined: float, shuffled: NDArray[np.float64], chance: NDArray[np.float64]) -> JoinFinding:
    error = float(np.sqrt(chance.var() / len(shuffled) + chance.var() / len(chance)))
    mean, level = float(shuffled.mean()), float(chance.mean())
    falls = abs(mean - level) <= WIDTH * error + 1e-9
    p = permutation_p(joined, shuffled)
    return JoinFinding(metric, joined, mean, level, p, falls, _verdict(falls, p))


def _verdict(falls: bool, p: float) -> str:
    if not falls:
        return "it does not fall to chance when classes are dealt to other tracks: it does not depend on the join"
    if p > ALPHA:
        return "no better than dealt at random: the clusters do not know of these labels, or those are of other tracks"
    return "the join holds: better than dealt at random, and at chance without it"
