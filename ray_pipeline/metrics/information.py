"""Entropy and mutual information of many contingency tables int [b, k, c] at once, in nats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Tables = NDArray[np.int64]


def entropy(margins: NDArray[np.int64]) -> NDArray[np.float64]:
    """Entropy [b] of each row of counts [b, k]."""
    n = margins.sum(axis=1)
    return np.asarray(np.log(n) - _x_log_x(margins).sum(axis=1) / n)


def mutual_information(tables: Tables) -> NDArray[np.float64]:
    """Mutual information [b] of rows and columns."""
    n = tables.sum(axis=(1, 2))
    rows, columns = _x_log_x(tables.sum(axis=2)).sum(axis=1), _x_log_x(tables.sum(axis=1)).sum(axis=1)
    return np.maximum((_x_log_x(tables).sum(axis=(1, 2)) - rows - columns) / n + np.log(n), 0.0)


def expected_information(tables: Tables) -> NDArray[np.float64]:
    """Mutual information [b] expected of random tables of the same margins, computed once for each set of margins."""
    margins = np.concatenate([tables.sum(axis=2), tables.sum(axis=1)], axis=1)
    distinct, which = np.unique(margins, axis=0, return_inverse=True)
    k = tables.shape[1]
    log_factorial = _log_factorial(int(tables[0].sum()))
    expected = [_expected(margin[:k], margin[k:], log_factorial) for margin in distinct]
    return np.asarray(np.array(expected)[which.ravel()])


def adjusted(
    information: NDArray[np.float64], expected: NDArray[np.float64], ceiling: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(information − expected) / (ceiling − expected); 0 where there is no room, as with one class or all apart."""
    room = ceiling - expected
    open_ = room > 1e-12
    return np.divide(information - expected, room, out=np.zeros_like(room), where=open_)


def conditional(tables: Tables) -> NDArray[np.float64]:
    """Share [b] of the columns' entropy that the rows give away, above what random rows would."""
    return adjusted(mutual_information(tables), expected_information(tables), entropy(tables.sum(axis=1)))


def _expected(rows: NDArray[np.int64], columns: NDArray[np.int64], log_factorial: NDArray[np.float64]) -> float:
    """Vinh, Epps and Bailey 2010, equation 24: each cell is hypergeometric.

    Counts further than 8 standard deviations and 12 from a cell's mean are skipped; they weigh less than 1e-15.
    """
    n = len(log_factorial) - 1
    a, b = (m.ravel() for m in np.meshgrid(rows[rows > 0], columns[columns > 0], indexing="ij"))
    mean = a * (b / n)
    reach = 8 * np.sqrt(mean * (1 - a / n) * (1 - b / n) * n / max(n - 1, 1)) + 12
    low = np.maximum(np.maximum(1, a + b - n), np.floor(mean - reach).astype(np.int64))
    high = np.minimum(np.minimum(a, b), np.ceil(mean + reach).astype(np.int64))
    lengths = np.maximum(high - low + 1, 0)
    cell = np.repeat(np.arange(len(a)), lengths)
    count = np.arange(len(cell)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + low[cell]
    fixed = log_factorial[a] + log_factorial[b] + log_factorial[n - a] + log_factorial[n - b] - log_factorial[n]
    rest = a + b - n
    log_chance = fixed[cell] - (
        log_factorial[count]
        + log_factorial[a[cell] - count]
        + log_factorial[b[cell] - count]
        + log_factorial[count - rest[cell]]
    )
    gain = count / n * (np.log(count) - np.log(mean)[cell])
    return float(np.exp(log_chance) @ gain)


def _log_factorial(n: int) -> NDArray[np.float64]:
    """log(0!) … log(n!)."""
    from scipy.special import gammaln

    return np.asarray(gammaln(np.arange(n + 1) + 1.0))


def _x_log_x(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(counts * np.log(np.maximum(counts, 1)), dtype=np.float64)
