"""What chance would have scored: structureless data, permuted labels, resampled tracks.

Every draw has its own generator, seeded by (seed, what it is for, its number): the same seed gives the same draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.metrics.score import NAN, Metric, Score, notes

Cluster = Callable[[NDArray[np.float32], int], NDArray[Any]]
"""The clusterer with its settings: (x float32 [n, d], seed) → labels int [n], −1 = noise."""

Draw = Callable[[np.random.Generator], NDArray[np.float32]]

GAUSSIAN, PERMUTED, SHUFFLED, PERMUTATION, BOOTSTRAP, ROWS = range(1, 7)
TABLE_CELLS = 4_000_000
MEASURED_TIES = 1e-12


def generator(seed: int, purpose: int, draw: int = 0) -> np.random.Generator:
    """The generator of one draw."""
    # The purpose, never 0, comes last: [0, 0, 0] is the stream of a plain seed 0, which may have made the data.
    return np.random.default_rng([seed, draw, purpose])


def gaussian_like(x: NDArray[Any]) -> Draw:
    """Draws of a Gaussian of the size, mean and covariance of `x` [n, d], n ≥ 2: no structure beyond its axes.

    Each draw has exactly the mean and covariance of `x`. Drawn freely it would have more uneven axes than `x`, and in 32
    dimensions a structureless `x` would score 4 to 6 deviations below its own null. Given both, Gaussian data is one draw
    more of the same law, so `p` is exact. By singular values of the centred data, so that constant columns, rank below d
    and n < d need no inverse.
    """
    n, d = x.shape
    mean = x.mean(axis=0, dtype=np.float64)
    centred = x - mean
    if n > d:
        _, squares, axes = np.linalg.svd(centred.T @ centred, hermitian=True)
        scale = np.sqrt(squares)
    else:
        _, scale, axes = np.linalg.svd(centred, full_matrices=False)
    varies = scale > 1e-9 * scale.max(initial=0.0)
    spread = (scale[:, None] * axes)[varies][: n - 1]

    def draw(rng: np.random.Generator) -> NDArray[np.float32]:
        free = rng.standard_normal((n, len(spread)))
        orthonormal, triangle = np.linalg.qr(free - free.mean(axis=0))
        return (orthonormal * np.sign(np.diag(triangle)) @ spread + mean).astype(np.float32)

    return draw


def permuted_columns(x: NDArray[Any]) -> Draw:
    """Draws of `x` [n, d] with each column shuffled by itself: the columns keep their shapes, and lose what ties them."""

    def draw(rng: np.random.Generator) -> NDArray[np.float32]:
        return rng.permuted(x, axis=0).astype(np.float32)

    return draw


def structureless(draw: Draw, cluster: Cluster, n_draws: int, seed: int, purpose: int) -> Iterator[tuple[Any, Any]]:
    """(x, labels) of each draw, clustered as the data was."""
    for number in range(n_draws):
        rng = generator(seed, purpose, number)
        x = draw(rng)
        yield x, np.asarray(cluster(x, int(rng.integers(2**31))))


def against_null(score: Score, metric: Metric, null: NDArray[np.float64], what: str) -> Score:
    """`score` with the mean and spread of `null`, its values on structureless data.

    Draws on which the clusterer found nothing that can be scored are left out of mean and spread, which would else flatter
    the lift; for `p` they are what they are, worse than anything.
    """
    usable = null[null != metric.worst]
    empty = len(null) - len(usable)
    mean = float(usable.mean()) if len(usable) else NAN
    sd = float(usable.std(ddof=1)) if len(usable) > 1 else NAN
    lift = metric.direction * (score.value - mean)
    note = f"on {empty} of {len(null)} draws of {what} no clusters that can be scored were found" if empty else ""
    return replace(
        score,
        null_mean=mean,
        null_sd=sd,
        n_null=len(usable),
        lift=lift,
        z=_in_units(lift, sd),
        p=permutation_p(score.value, null, metric.direction),
        note=notes(score.note, f"null: {what}", note),
    )


def against_chance(score: Score, metric: Metric, dealt: NDArray[np.float64]) -> Score:
    """`score` with its chance level: `dealt` are the values under random assignment."""
    chance = float(dealt.mean())
    lift = metric.direction * (score.value - chance)
    sd = float(dealt.std(ddof=1))
    p = permutation_p(score.value, dealt, metric.direction)
    return replace(score, chance=chance, lift=lift, z=_in_units(lift, sd), p=p, n_null=len(dealt))


def permutation_p(value: float, draws: NDArray[np.float64], direction: int = 1) -> float:
    """(1 + number of draws at least as good) / (1 + draws), Phipson and Smyth 2010: never 0."""
    slack = MEASURED_TIES * max(1.0, abs(value))
    return float(1 + np.sum(direction * (draws - value) >= -slack)) / (1 + len(draws))


def interval(value: float, resampled: NDArray[np.float64]) -> tuple[float, float]:
    """95 % percentile interval of `resampled`, moved so that its mean is `value`.

    Tracks drawn twice agree with themselves, so a resample shows more association than the data holds, the more the
    fewer tracks; unmoved, the interval of two unrelated labellings lies above 0.
    """
    low, high = np.quantile(resampled, [0.025, 0.975]) - (resampled.mean() - value)
    return float(low), float(high)


def permutation_tables(table: NDArray[np.int64], n_tables: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Contingency tables [b, k, c] of permuted labels: random tables of the margins of `table`, without touching tracks."""
    from scipy.stats import random_table

    if 1 in table.shape:
        # One cluster or one class leaves a single table, for which scipy's generator returns unset memory.
        yield np.repeat(table[None], n_tables, axis=0)
        return
    law = random_table(table.sum(axis=1), table.sum(axis=0))
    rng = generator(seed, PERMUTATION)
    for size in _batches(n_tables, table.size):
        yield law.rvs(size, random_state=rng).reshape(size, *table.shape)


def bootstrap_tables(table: NDArray[np.int64], n_tables: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Contingency tables [b, k, c] of tracks drawn with replacement: multinomial over the cells that hold any."""
    rng = generator(seed, BOOTSTRAP)
    cells = np.flatnonzero(table)
    share = table.ravel()[cells] / table.sum()
    for size in _batches(n_tables, table.size):
        drawn = np.zeros((size, table.size), dtype=np.int64)
        drawn[:, cells] = rng.multinomial(int(table.sum()), share, size=size)
        yield drawn.reshape(size, *table.shape)


def _batches(n_tables: int, cells: int) -> Iterator[int]:
    step = max(1, TABLE_CELLS // cells)
    for start in range(0, n_tables, step):
        yield min(step, n_tables - start)


def _in_units(lift: float, sd: float) -> float:
    return lift / sd if sd > 0 else NAN
