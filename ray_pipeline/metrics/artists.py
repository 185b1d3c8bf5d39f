"""Artist leak: clusters may follow who plays, or whose studio it was, rather than what is played.

Tracks of one artist mostly share a class *and* a sound, so that a score against classes may be paid for by artists alone; hence
the artist filter of retrieval and classification (Pampalk, Flexer and Widmer 2005; Flexer and Schnitzer 2010). For clusters
there is no test set to filter. Here it is one track of each artist, drawn at random, many times over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.metrics.calibration import (
    TABLE_CELLS,
    against_chance,
    bootstrap_tables,
    generator,
    interval,
    permutation_p,
    permutation_tables,
)
from ray_pipeline.metrics.external import External, contingency, purity
from ray_pipeline.metrics.score import Score, notes, of_family

FILTERED = "@artists"
DRAWS = 30
NOT_ONE_ARTIST = frozenset({"unknown", "unknown artist", "various", "various artists", "va"})
_DRAW, _PERMUTE, _BOOTSTRAP = 41, 42, 43

Codes = NDArray[np.int64]


def known_artists(artists: Sequence[str | None]) -> list[str | None]:
    """Names as they are compared: case and spaces aside; None where a name tells of no one artist ("Various Artists")."""
    plain = [" ".join((name or "").split()).casefold() for name in artists]
    return [name if name and name not in NOT_ONE_ARTIST else None for name in plain]


def shares(labels: NDArray[Any], artists: Sequence[str | None]) -> dict[int, float]:
    """Cluster → the share of its tracks that are by its most frequent artist, of the tracks whose artist is known.

    Clusters without such a track are left out; noise is cluster −1.
    """
    names = known_artists(artists)
    table, _ = contingency(labels, names)
    clusters = np.unique(np.asarray(labels)[[name is not None for name in names]])
    return (
        dict(zip(clusters.tolist(), (table.max(axis=1) / table.sum(axis=1)).tolist(), strict=True))
        if len(table)
        else {}
    )


def artist_share_score(
    labels: NDArray[Any],
    artists: Sequence[str | None],
    *,
    permutations: int = 1000,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Score | None:
    """`artist_share`: share of tracks by the most frequent artist of their cluster, that is, purity with artists as classes.

    A small `p` says that clusters `labels` int [n] know of artists; less is better. None where no artist is known.
    """
    names = known_artists(artists)
    table, note = contingency(labels, names)
    if not table.size:
        return None
    n, value = int(table.sum()), float(purity.formula(table[None])[0])
    dealt = np.concatenate([purity.formula(tables) for tables in permutation_tables(table, permutations, seed)])
    drawn = np.concatenate([purity.formula(tables) for tables in bootstrap_tables(table, bootstrap, seed)])
    low, high = interval(value, drawn)
    score = against_chance(Score(artist_share.name, value, n=n), artist_share, dealt)
    cluster, largest = max(shares(labels, artists).items(), key=lambda one: one[1])
    by = f"{table.shape[1]:,} artists; at most {largest:.0%} of a cluster ({cluster}) is by one"
    alone = "no artist has two tracks" if table.sum(axis=0).max() == 1 else ""
    return replace(
        score,
        p=permutation_p(value, dealt),
        ci_low=max(low, float(table.sum(axis=0).max() / n)),
        ci_high=min(high, 1.0),
        note=notes(by, alone, note.replace("have a class", "have a known artist")),
    )


def filtered_scores(
    labels: NDArray[Any],
    classes: Sequence[str | None],
    artists: Sequence[str | None],
    *,
    draws: int = DRAWS,
    permutations: int = 1000,
    bootstrap: int = 1000,
    seed: int = 0,
    name: str = "",
) -> list[Score]:
    """Every external score with one track an artist: `ami@artists`, …, means over `draws` of those tracks.

    Of clusters `labels` int [n] against `classes` [n], on tracks whose class and artist are known. Chance and `p` are those of
    a *single* draw whose classes are dealt to other artists: artists can be exchanged, tracks of one artist cannot. A mean
    of draws varies no more than one of them, and as much where an artist's tracks are all alike; so `p` errs on the large
    side, whatever they share. The interval is over artists, drawn with replacement, with a track of each.

    Empty where no such artist has two tracks, since nothing is then left out. `name`, of the label, marks the scores.
    """
    chosen = _Choice.of(labels, classes, known_artists(artists))
    if chosen is None:
        return []
    metrics: list[External] = of_family("external")
    each = _over(chosen, metrics, draws, generator(seed, _DRAW), chosen.draw)
    dealt = _over(chosen, metrics, permutations, generator(seed, _PERMUTE), chosen.draw, deal=True)
    resampled = _over(chosen, metrics, bootstrap, generator(seed, _BOOTSTRAP), chosen.resample)
    mark = f":{name}{FILTERED}" if name else FILTERED
    scores = []
    for metric, values, null, drawn in zip(metrics, each, dealt, resampled, strict=True):
        value = float(values.mean())
        low, high = interval(value, drawn)
        note = f"one track of each of {len(chosen.sizes):,} artists, mean of {draws} draws, sd {values.std(ddof=1):.2g}"
        lowest, highest = max(low, metric.lowest), min(high, 1.0)
        score = Score(f"{metric.name}{mark}", value, ci_low=lowest, ci_high=highest, n=len(chosen.sizes), note=note)
        scores.append(against_chance(score, metric, null))
    return scores


@dataclass(frozen=True)
class _Choice:
    """Tracks sorted by artist: `clusters` and `classes` [n] in codes; of each artist [A] where its tracks start, how many."""

    clusters: Codes
    classes: Codes
    starts: Codes
    sizes: Codes

    @classmethod
    def of(cls, labels: NDArray[Any], classes: Sequence[str | None], artists: Sequence[str | None]) -> _Choice | None:
        """None where no artist has two tracks."""
        known = [bool(one) and bool(other) for one, other in zip(classes, artists, strict=True)]
        artist = _codes([name for name, there in zip(artists, known, strict=True) if there])
        sizes = np.bincount(artist)
        if not len(sizes) or sizes.max() == 1:
            return None
        order = np.argsort(artist, kind="stable")
        cluster = _codes(np.asarray(labels)[known])
        of_class = _codes([name for name, there in zip(classes, known, strict=True) if there])
        return cls(cluster[order], of_class[order], np.cumsum(sizes) - sizes, sizes)

    def draw(self, n: int, rng: np.random.Generator) -> Codes:
        """One track of each artist, `n` times: [n, A]."""
        return self.starts + (rng.random((n, len(self.sizes))) * self.sizes).astype(np.int64)

    def resample(self, n: int, rng: np.random.Generator) -> Codes:
        """As many artists drawn with replacement, a track of each, `n` times: [n, A]."""
        artists = rng.integers(len(self.sizes), size=(n, len(self.sizes)))
        return np.asarray(self.starts[artists] + (rng.random(artists.shape) * self.sizes[artists]).astype(np.int64))

    def tables(self, rows: Codes, of_class: Codes) -> NDArray[np.int64]:
        """Contingency tables [b, k, c] of the clusters of the tracks `rows` [b, A] and the classes of `of_class` [b, A]."""
        k, c = int(self.clusters.max()) + 1, int(self.classes.max()) + 1
        cells = self.clusters[rows] * c + self.classes[of_class]
        each = np.arange(len(cells))[:, None] * (k * c)
        return np.bincount((each + cells).ravel(), minlength=len(cells) * k * c).reshape(-1, k, c)


def _over(
    chosen: _Choice,
    metrics: list[External],
    n: int,
    rng: np.random.Generator,
    draw: Callable[[int, np.random.Generator], Codes],
    *,
    deal: bool = False,
) -> NDArray[np.float64]:
    """Each metric's values [n_metrics, n] over `n` draws, with the classes dealt to other artists if so asked."""
    found = []
    step = max(1, TABLE_CELLS // max(len(chosen.sizes), 1_000))
    for start in range(0, n, step):
        rows = draw(min(step, n - start), rng)
        tables = chosen.tables(rows, rng.permuted(rows, axis=1) if deal else rows)
        found.append([metric.formula(tables) for metric in metrics])
    return np.concatenate(found, axis=1)


def _codes(values: Any) -> Codes:
    """The distinct values by number, in their order."""
    return np.unique(np.asarray(values), return_inverse=True)[1].reshape(-1).astype(np.int64)


# Less is better: what clusters know of artists may be all that they know of classes.
artist_share = External("artist_share", "artists", False, 1.0, purity.formula, 0.0)
