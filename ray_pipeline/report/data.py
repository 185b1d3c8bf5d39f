"""What a report is made of: plain Python data, so that anything can fill it in and nothing here reads a store.

from ray_pipeline.report.data import ReportData
from ray_pipeline.report.html import write

write(ReportData(title="Demo", made_at="2025-01-01T00:00:00Z", store="./store", experiment_id="e1"), "report.html")
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ray_pipeline.metrics.artists import known_artists

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """A judgement on the whole run, such as `collapsed`; one that is `bad` becomes a banner."""

    name: str
    bad: bool
    reason: str


@dataclass(frozen=True)
class ReportData:
    """Everything the page shows. Only the first four are needed; what is empty is said to be absent.

    Rows are mappings; a key that a row lacks counts as None, and None and NaN are shown as a dash.

    Attributes
    ----------
    statuses : ``{table: {status: number of tracks}}``
    bad_tracks : rows of track_id, title, uri, status, error; may be capped, then `bad_total` says how many there were
    scores : rows as in the SCORES schema; with several seeds, a row for each metric and seed
    label_name : the label the external scores were held against; None without labels
    coverage : share of the tracks that carry the label, 0 to 1
    tracks : one row a track: track_id, title, artist, label, cluster (−1 = noise, None = not clustered), x2d, y2d,
        distance (to the cluster's centre), has_lyrics, text (an excerpt of the words)
    losses : one row an epoch: epoch, loss, reconstruction, kl (nats)
    kl_per_dim : mean KL of each latent dimension, nats ``[latent_dim]``; None for models that have none
    curves : for each seed a row for each number of clusters tried: k, silhouette, null_mean, null_sd, lift, p, stability,
        chosen; empty where k was not chosen automatically
    seconds : ``{stage: s}``
    seed : draws the sample of a map that is too large to show whole
    """

    title: str
    made_at: str
    store: str
    experiment_id: str
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    statuses: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    bad_tracks: Sequence[Row] = ()
    bad_total: int | None = None
    scores: Sequence[Row] = ()
    label_name: str | None = None
    coverage: float | None = None
    tracks: Sequence[Row] = ()
    losses: Sequence[Row] = ()
    kl_per_dim: Sequence[float] | None = None
    curves: Sequence[Sequence[Row]] = ()
    notes: Sequence[str] = ()
    verdicts: Sequence[Verdict] = ()
    seed: int = 0


@dataclass(frozen=True)
class Cluster:
    """One cluster: its size, its commonest labels and artist, and the tracks nearest its centre."""

    number: int
    size: int
    with_words: int | None
    labels: list[tuple[str, int, float]]
    nearest: list[Row]
    artist: Artist | None = None


@dataclass(frozen=True)
class Artist:
    """The most frequent artist of a cluster: `n` of its tracks, of `n_known` whose artist is known."""

    name: str
    n: int
    n_known: int

    @property
    def share(self) -> float:
        """As `metrics.artists.shares` has it."""
        return self.n / self.n_known


def finite(value: Any) -> float | None:
    """`value` as a float, or None where it is missing, NaN or infinite."""
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def cluster_of(row: Row) -> int | None:
    """The track's cluster, −1 for noise, None where it was not clustered."""
    value = finite(row.get("cluster"))
    return None if value is None else int(value)


def label_of(row: Row) -> str | None:
    """The track's label, None where it has none (None, NaN or blank)."""
    value = row.get("label")
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return str(value).strip() or None


def assigned(tracks: Sequence[Row]) -> dict[int, list[Row]]:
    """Tracks by cluster, largest cluster first and noise (−1) last; tracks without a cluster are left out."""
    members: dict[int, list[Row]] = {}
    for row in tracks:
        number = cluster_of(row)
        if number is not None:
            members.setdefault(number, []).append(row)
    order = sorted(members, key=lambda number: (number == -1, -len(members[number]), number))
    return {number: members[number] for number in order}


def clusters(tracks: Sequence[Row], *, nearest: int = 5, labels: int = 3) -> list[Cluster]:
    """The clusters of `tracks`, largest first, without the noise. A label's share is of the cluster's labelled tracks."""
    groups = assigned(tracks)
    return [_cluster(number, rows, nearest, labels) for number, rows in groups.items() if number != -1]


def _cluster(number: int, rows: list[Row], nearest: int, labels: int) -> Cluster:
    named = Counter(label for row in rows if (label := label_of(row)) is not None)
    total = sum(named.values())
    words = [row["has_lyrics"] for row in rows if row.get("has_lyrics") is not None]
    ranked = sorted((row for row in rows if finite(row.get("distance")) is not None), key=lambda row: row["distance"])
    return Cluster(
        number=number,
        size=len(rows),
        with_words=sum(map(bool, words)) if words else None,
        labels=[(name, count, count / total) for name, count in named.most_common(labels)],
        nearest=(ranked or rows)[:nearest],
        artist=_artist(rows),
    )


def _artist(rows: list[Row]) -> Artist | None:
    """None where no artist is known. Names are compared as scores compare them, and written as they are found first."""
    written = [name if isinstance(name := row.get("artist"), str) else None for row in rows]
    plain = known_artists(written)
    counts = Counter(name for name in plain if name)
    if not counts:
        return None
    ((most, n),) = counts.most_common(1)
    return Artist(str(written[plain.index(most)]), n, counts.total())
