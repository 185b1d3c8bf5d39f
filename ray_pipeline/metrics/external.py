"""External scores: clusters against class names, beside what clusters dealt at random would have scored.

Everything here is arithmetic on contingency tables [k clusters, c classes], many at a time: a permutation of labels or a
resample of tracks is drawn as a table, so its cost does not grow with the number of tracks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.errors import ImpossibleScore
from ray_pipeline.metrics.calibration import (
    against_chance,
    bootstrap_tables,
    interval,
    permutation_p,
    permutation_tables,
)
from ray_pipeline.metrics.information import adjusted, conditional, entropy, expected_information, mutual_information
from ray_pipeline.metrics.score import Metric, Score, notes, of_family

Tables = NDArray[np.int64]
SPLIT_BY_VIEW = 0.5


@dataclass(frozen=True)
class External(Metric):
    """A metric of contingency tables int [b, k, c] → float [b], or of (labels [n], classes [n]) → Score."""

    formula: Callable[[Tables], NDArray[np.float64]]
    lowest: float

    def __call__(self, labels: NDArray[Any], classes: Sequence[str | None]) -> Score:
        """Score of the tracks that have a class; value `worst` where none has. Noise (−1) is a cluster of its own."""
        table, note = contingency(labels, classes)
        n = int(table.sum())
        return Score(self.name, float(self.formula(table[None])[0]) if n else self.worst, n=n, note=note)


def external_scores(
    labels: NDArray[Any],
    classes: Sequence[str | None],
    *,
    permutations: int = 1000,
    bootstrap: int = 1000,
    seed: int = 0,
    name: str = "",
) -> list[Score]:
    """Every external score of clusters `labels` int [n] against `classes` [n], one class name a track.

    Tracks without a class (None or "") are left out, and the note says how many are left; where no track has one the list
    is empty. `name`, of the label, marks the scores: `ami:genre`. Each score has its chance level and `p` over
    `permutations` of the labels, and a 95 % interval over `bootstrap` resamples of tracks.

    Raises
    ------
    ImpossibleScore
        Purity below the largest class's share.
    """
    table, note = contingency(labels, classes)
    n = int(table.sum())
    if not n:
        return []
    metrics: list[External] = of_family("external")
    dealt = _values(metrics, permutation_tables(table, permutations, seed))
    drawn = _values(metrics, bootstrap_tables(table, bootstrap, seed))
    note = notes(f"interval of {bootstrap:,} resamples, {permutations:,} permutations", note)
    mark = f":{name}" if name else ""
    blanks = [Score(f"{metric.name}{mark}", 0.0, n=n, note=note) for metric in metrics]
    return [_calibrated(*each) for each in zip(metrics, dealt, drawn, blanks, [table] * len(metrics), strict=True)]


def missingness_score(
    labels: NDArray[Any],
    present: NDArray[Any],
    *,
    view: str = "lyrics",
    permutations: int = 1000,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Score:
    """`ami_missing`: AMI of clusters `labels` int [n] with whether a track has the `view`, `present` bool [n].

    Clusters that merely split tracks by a gap in the data lie far apart, and so have a high silhouette that says nothing
    about music. A small `p` says that they do know of the gap. The note tells how much of "has it or not" the clusters
    give away, and warns past one half.
    """
    labels, present = np.asarray(labels), np.asarray(present, dtype=bool)
    if len(labels) < 2 or present.all() or not present.any():
        which = "every track has" if present.all() else "no track has"
        return Score(ami_missing.name, 0.0, n=len(labels), note=f"{which} {view}: nothing to split by")
    table, _ = contingency(labels, np.where(present, "present", "missing").tolist())
    dealt = _values([ami_missing], permutation_tables(table, permutations, seed))[0]
    drawn = _values([ami_missing], bootstrap_tables(table, bootstrap, seed))[0]
    score = _calibrated(ami_missing, dealt, drawn, Score(ami_missing.name, 0.0, n=len(labels)), table)
    score = replace(score, p=permutation_p(score.value, dealt))
    told = float(conditional(table[None])[0])
    share = f"{present.mean():.1%} of the tracks have {view}; the clusters give away {max(told, 0.0):.0%} of which"
    if told <= SPLIT_BY_VIEW:
        return replace(score, note=share)
    warning = f"these clusters largely split tracks by whether they have {view}: a high silhouette here is that gap, not music"
    return replace(score, note=notes(warning, share))


def contingency(labels: NDArray[Any], classes: Sequence[str | None]) -> tuple[NDArray[np.int64], str]:
    """Counts [k clusters, c classes] of the tracks that have a class, and a note on those left out and on noise."""
    labels = np.asarray(labels)
    if len(labels) != len(classes):
        raise ValueError(f"{len(labels)} labels and {len(classes)} classes: one of each a track")
    known = np.array([bool(name) for name in classes], dtype=bool)
    n = int(known.sum())
    if not n:
        return np.zeros((0, 0), dtype=np.int64), "no track has a class"
    kept = labels[known]
    clusters, row = np.unique(kept, return_inverse=True)
    names, column = np.unique(np.array([str(name) for name in classes if name]), return_inverse=True)
    counts = np.bincount(row * len(names) + column, minlength=len(clusters) * len(names))
    noise = int((kept < 0).sum())
    note = notes(
        f"{n:,} of {len(labels):,} tracks have a class ({n / len(labels):.1%})" if n < len(labels) else "",
        f"{noise:,} noise tracks count as a cluster of their own" if noise else "",
        "one class only: nothing to tell apart" if len(names) == 1 else "",
    )
    return counts.reshape(len(clusters), len(names)), note


def check_purity(purity: float, largest_share: float) -> None:
    """One cluster for all has purity `largest_share`, and splitting a cluster never lowers it.

    Raises
    ------
    ImpossibleScore
        A purity below that cannot be: labels and classes are not of the same tracks.
    """
    if purity < largest_share - 1e-9:
        raise ImpossibleScore(
            f"purity {purity:.4f} is below the largest class's share {largest_share:.4f}, which is impossible",
            hint="labels were joined to other tracks than the clusters: join them by track_id, and score one set of tracks",
        )


def _values(metrics: Iterable[External], batches: Iterator[Tables]) -> NDArray[np.float64]:
    """Each metric's values [n_metrics, n_tables]."""
    found = [[metric.formula(tables) for metric in metrics] for tables in batches]
    return np.concatenate(found, axis=1)


def _calibrated(
    metric: External, dealt: NDArray[np.float64], drawn: NDArray[np.float64], blank: Score, table: Tables
) -> Score:
    value = float(metric.formula(table[None])[0])
    low, high = interval(value, drawn)
    lowest = float(table.sum(axis=0).max() / table.sum()) if metric is purity else metric.lowest
    score = replace(blank, value=value, ci_low=max(low, lowest), ci_high=min(high, 1.0))
    return against_chance(score, metric, dealt)


def _ari(tables: Tables) -> NDArray[np.float64]:
    """Adjusted Rand index, Hubert and Arabie 1985; 0 where there is only one class or only one cluster."""
    together = _pairs(tables).sum(axis=(1, 2))
    rows, columns = _pairs(tables.sum(axis=2)).sum(axis=1), _pairs(tables.sum(axis=1)).sum(axis=1)
    expected = rows * columns / np.maximum(_pairs(tables.sum(axis=(1, 2))), 1)
    room = (rows + columns) / 2 - expected
    return np.divide(together - expected, room, out=np.zeros_like(room), where=room > 0)


def _ami(tables: Tables) -> NDArray[np.float64]:
    """Mutual information above its expectation, over the mean entropy above it; Vinh, Epps and Bailey 2010."""
    ceiling = (entropy(tables.sum(axis=2)) + entropy(tables.sum(axis=1))) / 2
    return adjusted(mutual_information(tables), expected_information(tables), ceiling)


def _nmi(tables: Tables) -> NDArray[np.float64]:
    """Mutual information over the mean entropy; rises with the number of clusters by chance alone."""
    ceiling = (entropy(tables.sum(axis=2)) + entropy(tables.sum(axis=1))) / 2
    return adjusted(mutual_information(tables), np.zeros(len(tables)), ceiling)


def _purity(tables: Tables) -> NDArray[np.float64]:
    """Share of tracks in their cluster's most frequent class."""
    sizes = tables.sum(axis=(1, 2))
    values = tables.max(axis=2).sum(axis=1) / sizes
    largest = tables.sum(axis=1).max(axis=1) / sizes
    lowest = int(np.argmin(values - largest))
    check_purity(float(values[lowest]), float(largest[lowest]))
    return np.asarray(values)


def _pairs(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return counts * (counts - 1.0) / 2


ami = External("ami", "external", True, -1.0, _ami, -1.0)
ari = External("ari", "external", True, -0.5, _ari, -0.5)
nmi = External("nmi", "external", True, 0.0, _nmi, 0.0)
purity = External("purity", "external", True, 0.0, _purity, 0.0)
# Less is better: what clusters know of a gap in the data they cannot know of the music.
ami_missing = External("ami_missing", "missing", False, 1.0, _ami, -1.0)
