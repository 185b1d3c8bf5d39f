"""Whether single latents stand for known factors: MIG, SAP and DCI, each beside two chance levels.

- **Shuffled**: the factors of the tracks dealt out anew, whole rows at a time. It shows what a small sample alone brings:
  mutual information of few tracks is never 0, and the largest of 32 latents is always a little ahead of the second.
- **Rotated** (rows marked `@rotated`): the same latents in axes drawn at random. All distances stay, and so do clusters; what
  is gone is that axes mean something. Latents that know much of a factor beat shuffling in any axes; only these beat rotation.

Neither asks whether the latents hold *more* than what is scored: factors that nobody named count for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.metrics import dci
from ray_pipeline.metrics.calibration import against_chance, generator
from ray_pipeline.metrics.factors import Factor, binned, fault, n_bins, read_factors
from ray_pipeline.metrics.information import entropy, mutual_information
from ray_pipeline.metrics.score import Metric, Score, notes, of_family

GAP_ROWS, FOREST_ROWS = 2_000, 500
ROTATED = "@rotated"
_ROWS, _SHUFFLE, _ROTATE = 21, 22, 23

Found = Mapping[str, "NDArray[np.float64] | float"]
"""Metric → its value for each factor [K], of which the score is the mean, or one value for all."""


@dataclass(frozen=True)
class Space:
    """Latents `mu` [n, L], and the bins of each [n, L]: of equal numbers of tracks, 2 to 20 by how many tracks there are."""

    mu: NDArray[np.float64]

    @cached_property
    def bins(self) -> NDArray[np.int64]:
        return np.stack([binned(column, n_bins(len(self.mu))) for column in self.mu.T], axis=1)


Measure = Callable[[Space, list[Factor], int], Found]


@dataclass(frozen=True)
class Disentanglement(Metric):
    """A metric of (latents [n, L], factors) → Score, or None where it asks for more latents or factors than there are."""

    measure: Measure
    most_rows: int
    """Tracks looked at; of more, so many are drawn."""
    of_axes: bool
    """Whether single axes count, so that turning the latents changes it."""

    def __call__(self, mu: NDArray[Any], factors: Mapping[str, Sequence[Any]], *, seed: int = 0) -> Score | None:
        """`factors` {name: one value a track}: text is a class, None and NaN are unknown."""
        space, usable, note = _looked_at(mu, factors, self.most_rows, seed)
        return _score(self, self.measure(space, usable, seed)[self.name], usable, note) if usable else None


def disentanglement_scores(
    mu: NDArray[Any],
    factors: Mapping[str, Sequence[Any]],
    *,
    permutations: int = 1000,
    null_draws: int = 20,
    seed: int = 0,
) -> list[Score]:
    """Every disentanglement score of latents `mu` [n, L] against `factors` {name: one value a track}.

    MIG and SAP have `permutations` shuffles and look at 2,000 tracks at most, DCI, which grows a forest a factor, has
    `null_draws` and looks at 500; rotations are `null_draws` for all. Empty where no factor is known of enough tracks, or
    where the latents are not finite.
    """
    scores: list[Score] = []
    for measure, n_shuffles in ((gaps, permutations), (forests, null_draws)):
        metrics = [metric for metric in of_family("disentanglement") if metric.measure is measure]
        space, usable, note = _looked_at(mu, factors, metrics[0].most_rows, seed)
        if not usable:
            return []
        found = measure(space, usable, seed)
        shuffled = [measure(space, _shuffled(usable, seed, i), seed) for i in range(n_shuffles)]
        rotated = [measure(_rotated(space, seed, i), usable, seed) for i in range(null_draws)]
        for metric in metrics:
            score = _score(metric, found[metric.name], usable, note)
            if score is None:
                continue
            scores.append(_beside(score, metric, shuffled, "factors shuffled"))
            if metric.of_axes:
                turned = Score(f"{metric.name}{ROTATED}", score.value, n=score.n)
                scores.append(_beside(turned, metric, rotated, "latents turned at random"))
    return scores


def gaps(space: Space, factors: list[Factor], seed: int) -> Found:
    """MIG and SAP of each factor: how far the latent that tells most of it is ahead of the second. NaN for one latent.

    MIG (Chen et al. 2018, equation 6) is the gap in mutual information, of bins, as a share of the factor's entropy. SAP
    (Kumar et al. 2018, section 3) is the gap in R² for a number; for a class, in balanced accuracy, where thresholds on a
    single latent are the edges of its bins, and each bin answers with the class that serves best.
    """
    mig, sap = [], []
    for factor in factors:
        tables = _tables(space.bins[factor.known], factor)
        mig.append(_ahead(mutual_information(tables) / entropy(tables[0].sum(axis=0)[None])))
        sap.append(_ahead(_balanced(tables) if factor.categorical else _explained(space.mu, factor)))
    return {"mig": np.array(mig), "sap": np.array(sap)}


def forests(space: Space, factors: list[Factor], seed: int) -> Found:
    """DCI (Eastwood and Williams 2018, section 2), with a random forest for each factor."""
    r, told = dci.importances(space.mu, factors, seed)
    return {
        "dci_disentanglement": dci.disentanglement(r),
        "dci_completeness": dci.completeness(r),
        "dci_informativeness": told,
    }


def _tables(codes: NDArray[np.int64], factor: Factor) -> NDArray[np.int64]:
    """Contingency tables [L, bins, classes] of each latent's bins `codes` [m, L] with the factor's known values."""
    n_latents, width = codes.shape[1], int(codes.max()) + 1
    cells = (np.arange(n_latents) * width + codes) * factor.n_codes + factor.codes[factor.known][:, None]
    counts = np.bincount(cells.ravel(), minlength=n_latents * width * factor.n_codes)
    return counts.reshape(n_latents, width, factor.n_codes)


def _balanced(tables: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean recall over classes [L] where each bin answers with the class that is commonest there for its size."""
    sizes = tables.sum(axis=1, keepdims=True)
    recall = np.divide(tables, sizes, out=np.zeros(tables.shape), where=sizes > 0)
    return np.asarray(recall.max(axis=2).sum(axis=1) / (sizes[0, 0] > 0).sum())


def _explained(mu: NDArray[np.float64], factor: Factor) -> NDArray[np.float64]:
    """R² [L] of the straight line from each latent to the factor; 0 for a latent that does not vary."""
    x, y = mu[factor.known], factor.values[factor.known]
    x, y = x - x.mean(axis=0), y - y.mean()
    room = (x**2).sum(axis=0) * (y @ y)
    return np.divide((y @ x) ** 2, room, out=np.zeros(x.shape[1]), where=room > 0)


def _ahead(told: NDArray[np.float64]) -> float:
    """The largest of `told` [L] less the second; NaN for one latent."""
    if len(told) < 2:
        return float("nan")
    second, first = np.partition(told, -2)[-2:]
    return float(first - second)


def _score(
    metric: Disentanglement, value: NDArray[np.float64] | float, factors: list[Factor], note: str
) -> Score | None:
    mean = float(np.mean(value))
    if not np.isfinite(mean):
        return None
    parts = zip(factors, np.atleast_1d(value), strict=False) if np.ndim(value) else ()
    each = ", ".join(f"{factor.name} {one:.2f}" for factor, one in parts)
    n = int(np.logical_or.reduce([factor.known for factor in factors]).sum())
    return Score(metric.name, mean, n=n, note=notes(each, note))


def _beside(score: Score, metric: Disentanglement, draws: list[Found], what: str) -> Score:
    """`score` beside `draws`; which those were goes first in its note."""
    dealt = np.array([np.mean(draw[metric.name]) for draw in draws])
    named = Score(score.metric, score.value, n=score.n, note=notes(f"chance: {what}", score.note))
    return against_chance(named, metric, dealt)


def _looked_at(
    mu: NDArray[Any], given: Mapping[str, Sequence[Any]], most: int, seed: int
) -> tuple[Space, list[Factor], str]:
    """At most `most` tracks of which some factor is known, their factors, and a note on what is left out."""
    x = np.asarray(mu, np.float64)
    factors, faults = read_factors(given)
    if not factors or not np.isfinite(x).all():
        return Space(x), [], notes(*faults)
    rows = np.flatnonzero(np.logical_or.reduce([factor.known for factor in factors]))
    if len(rows) > most:
        faults.append(f"on {most:,} of {len(rows):,} tracks drawn at random")
        rows = np.sort(generator(seed, _ROWS).choice(rows, most, replace=False))
    drawn = [factor.at(rows) for factor in factors]
    faults += [why for factor in drawn if (why := fault(factor))]
    return Space(x[rows]), [factor for factor in drawn if not fault(factor)], notes(*faults)


def _shuffled(factors: list[Factor], seed: int, number: int) -> list[Factor]:
    """All factors dealt to other tracks alike, so that what ties factors to each other stays."""
    order = generator(seed, _SHUFFLE, number).permutation(len(factors[0].codes))
    return [factor.at(order) for factor in factors]


def _rotated(space: Space, seed: int, number: int) -> Space:
    """The latents in an orthonormal basis drawn at random (Haar measure, Mezzadri 2007)."""
    n_latents = space.mu.shape[1]
    basis, triangle = np.linalg.qr(generator(seed, _ROTATE, number).standard_normal((n_latents, n_latents)))
    return Space((space.mu - space.mu.mean(axis=0)) @ (basis * np.sign(np.diag(triangle))))


mig = Disentanglement("mig", "disentanglement", True, 0.0, gaps, GAP_ROWS, True)
sap = Disentanglement("sap", "disentanglement", True, 0.0, gaps, GAP_ROWS, True)
dci_disentanglement = Disentanglement("dci_disentanglement", "disentanglement", True, 0.0, forests, FOREST_ROWS, True)
dci_completeness = Disentanglement("dci_completeness", "disentanglement", True, 0.0, forests, FOREST_ROWS, True)
dci_informativeness = Disentanglement("dci_informativeness", "disentanglement", True, 0.0, forests, FOREST_ROWS, False)
