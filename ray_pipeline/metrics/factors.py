"""Known factors of the tracks, such as tempo or genre, as arrays that latents can be held against."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1
FEWEST = 20  # tracks of which a factor must be known
MOST_BINS = 20
CELL = 5  # tracks that a cell of two binned, unrelated numbers holds on average (Cochran 1954)


@dataclass(frozen=True)
class Factor:
    """One factor of n tracks: `values` float64 [n], NaN = unknown, the numbers of its classes if it is `categorical`;
    `codes` int [n] the same in classes or bins, −1 = unknown, of which there are `n_codes`.
    """

    name: str
    categorical: bool
    values: NDArray[np.float64]
    codes: NDArray[np.int64]
    n_codes: int

    @property
    def known(self) -> NDArray[np.bool_]:
        return self.codes != UNKNOWN

    def at(self, rows: NDArray[np.int64]) -> Factor:
        """The factor of the tracks `rows` [m], in their order."""
        return replace(self, values=self.values[rows], codes=self.codes[rows])


def read_factors(given: Mapping[str, Sequence[Any]]) -> tuple[list[Factor], list[str]]:
    """The factors of `given` {name: one value a track} that say something, and why the others do not.

    Text is a class and a number is a number, so a key goes in as "C major", not as 0. None, NaN and "" are unknown.

    Raises
    ------
    ValueError
        Not all factors are of the same number of tracks, or one mixes numbers and text.
    """
    if len({len(values) for values in given.values()}) > 1:
        raise ValueError(f"factors of {sorted({len(values) for values in given.values()})} tracks: one value a track")
    read = [_read(name, values) for name, values in given.items()]
    return [factor for factor in read if not fault(factor)], [why for factor in read if (why := fault(factor))]


def fault(factor: Factor) -> str:
    """Why nothing can be held against this factor, or nothing."""
    n = int(factor.known.sum())
    if n < FEWEST:
        return f"factor '{factor.name}' is known of {n} tracks, fewer than {FEWEST}, and left out"
    alone = len(np.unique(factor.codes[factor.known])) < 2
    return f"factor '{factor.name}' has one value only and is left out" if alone else ""


def binned(x: NDArray[Any], n_bins: int) -> NDArray[np.int64]:
    """Numbers [n] in at most `n_bins` bins of about as many tracks each; those that are the same share a bin.

    Bins of equal width would leave all tracks in one where a single one lies far out.
    """
    from scipy.stats import rankdata

    place = (rankdata(x) - 0.5) / len(x)
    return np.unique((place * n_bins).astype(np.int64), return_inverse=True)[1].reshape(-1)


def n_bins(n: int) -> int:
    """Bins for n tracks, 2 to 20: so many that a cell of two binned numbers holds 5 tracks on average."""
    return int(np.clip(math.isqrt(n // CELL), 2, MOST_BINS))


def _read(name: str, values: Sequence[Any]) -> Factor:
    known = np.array([not _unknown(value) for value in values], bool)
    kinds = {isinstance(value, str) for value, there in zip(values, known, strict=True) if there}
    if len(kinds) > 1:
        raise ValueError(f"factor '{name}' mixes numbers and text")
    numbers, codes = np.full(len(values), np.nan), np.full(len(values), UNKNOWN)
    categorical = kinds == {True}
    if known.any():
        there = np.array([value for value in values if not _unknown(value)])
        numbers[known] = np.unique(there, return_inverse=True)[1] if categorical else there.astype(np.float64)
        codes[known] = numbers[known] if categorical else binned(numbers[known], n_bins(len(there)))
    return Factor(name, categorical, numbers, codes, int(codes.max(initial=UNKNOWN)) + 1)


def _unknown(value: Any) -> bool:
    return value is None or value == "" or (not isinstance(value, str) and not math.isfinite(value))
