"""The page of bench/beyond.py: what was tried, what was confirmed, and the answer in a sentence that is worked out."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from paired import difference

from ray_pipeline.metrics import Score


@dataclass(frozen=True)
class Tried:
    """A candidate and its AMI with genre, one a seed, on the tracks that choose."""

    candidate: Any
    sees: str
    name: str
    baseline: bool
    leak: bool
    amis: list[float]

    @property
    def mean(self) -> float:
        return statistics.mean(self.amis)

    @property
    def honest(self) -> bool:
        """Neither a baseline nor told the genre."""
        return not (self.baseline or self.leak)


@dataclass(frozen=True)
class Confirmed:
    """The best of both kinds again, on the other tracks: AMI and clusters, one a seed."""

    best: Tried
    baseline: Tried
    ours: list[Score]
    theirs: list[Score]
    clusters: list[list[np.ndarray]]
    classes: list[str | None]

    @property
    def apart(self) -> bool:
        """Whether the lower end of ours, over all seeds, lies above the upper end of theirs."""
        return min(score.ci_low for score in self.ours) > max(score.ci_high for score in self.theirs)


def page(
    tried: Sequence[Tried],
    confirmed: dict[str, Confirmed],
    epochs: int,
    halves: Sequence[int],
    impossible: Sequence[str],
) -> str:
    """The page as Markdown."""
    lines = [*_intro(epochs, halves, tried), "", _answer(tried, confirmed, impossible)]
    for sees, one in confirmed.items():
        lines += ["", f"## {sees}", "", *_measured(one), "", *_table([each for each in tried if each.sees == sees])]
    return "\n".join(lines) + "\n"


def _intro(epochs: int, halves: Sequence[int], tried: Sequence[Tried]) -> list[str]:
    n_seeds = len(tried[0].amis)
    return [
        "# Is any model better than PCA and k-means?",
        "",
        f"Made by `python bench/beyond.py`: {sum(halves):,} FMA rows (Rock and Hip-Hop), k-means with k = 8 on each model's",
        f"latents, {epochs} epochs. Each configuration is fitted on {halves[0]:,} of the tracks with {n_seeds} seeds; the best",
        "model and the best baseline (`raw` or `pca`) are chosen there by AMI with genre, and both are fitted again on the",
        f"other {halves[1]:,} tracks, with other seeds. Intervals are the outermost of 95 % intervals over tracks. Models that",
        "are told the genre are shown, and never chosen. Models of both features are held against the baselines of the 140",
        "statistics, which the 20 means are among.",
    ]


def _answer(tried: Sequence[Tried], confirmed: dict[str, Confirmed], impossible: Sequence[str]) -> str:
    """The configuration that the choosing half prefers over all, and what became of it."""
    one = max(confirmed.values(), key=lambda each: each.best.mean)
    if one.apart:
        said = "is ahead of it, intervals apart"
    else:
        gap = difference(*one.clusters, [one.classes] * len(one.ours))
        worth = {"yes": "ahead by the same tracks", "no": "behind it", "not told": "not told apart from it"}[
            gap.verdict
        ]
        said = f"is not ahead of it with intervals apart: that is the result (paired, {worth})"
    kinds = sorted({each.candidate.model["kind"] for each in tried})
    return (
        f"**The best honest configuration, {one.best.name} on {one.best.sees}, has AMI {_mean(one.ours):.3f}; "
        f"{one.baseline.name} and k-means on {one.baseline.sees} has {_mean(one.theirs):.3f}. It {said}.** "
        f"Tried: {_range(tried, 'beta')}, {_range(tried, 'latent_dim')}, {len(tried)} configurations of "
        f"{', '.join(kinds)} on {', '.join(confirmed)}. "
        f"Not possible here, since these rows have no log-mel: {', '.join(impossible)}."
    )


def _range(tried: Sequence[Tried], key: str) -> str:
    values = [each.candidate.model[key] for each in tried if key in each.candidate.model]
    return f"{key} {min(values):g} to {max(values):g}"


def _measured(one: Confirmed) -> list[str]:
    gap = difference(*one.clusters, [one.classes] * len(one.ours))
    return [
        "On the other half:",
        "",
        f"- {one.best.name}: {_spread(one.ours)}",
        f"- {one.baseline.name}, {one.baseline.sees}: {_spread(one.theirs)}",
        f"- difference on the same tracks: {gap.mean:+.3f}, {gap.low:+.3f} to {gap.high:+.3f}; ahead: {gap.verdict}; "
        f"intervals {'apart' if one.apart else 'not apart'}",
    ]


def _table(tried: Sequence[Tried]) -> list[str]:
    head = ["| configuration | AMI with genre on the choosing half |", "| --- | --- |"]
    return head + [
        f"| {one.name}{' (label leak)' if one.leak else ''} | {one.mean:.3f}{_sd(one.amis)} |"
        for one in sorted(tried, key=lambda one: -one.mean)
    ]


def _spread(scores: Sequence[Score]) -> str:
    low, high = min(score.ci_low for score in scores), max(score.ci_high for score in scores)
    values = [score.value for score in scores]
    return f"{_mean(scores):.3f}{_sd(values)} over {len(values)} seeds, interval {low:.3f} to {high:.3f}"


def _sd(values: Sequence[float]) -> str:
    return f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""


def _mean(scores: Sequence[Score]) -> float:
    return statistics.mean(score.value for score in scores)
