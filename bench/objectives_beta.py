"""What β does to each collection's trials: the raw silhouette, its null and AMI, as a table and one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from objectives_judged import Estimate, Floats, judged, values_of
from objectives_markdown import AMI, ami_of, head, metrics_of, paragraph, row


def over_beta(dataset: Any) -> Iterator[str]:
    """What β does: a row a β, means over the latent sizes; and whether silhouette and AMI go opposite ways."""
    outcomes = dataset.outcomes
    by_beta: dict[float, list[Any]] = {}
    for one in sorted(outcomes, key=lambda one: one["point"]["model.beta"]):
        by_beta.setdefault(one["point"]["model.beta"], []).append(one)
    yield from head("β", "raw silhouette", "its null", "AMI", "collapsed", "refused by the gates")
    for beta, group in by_beta.items():
        silhouette, lift, ami, collapsed = (
            float(np.mean([one["metrics"].get(name, np.nan) for one in group]))
            for name in ("silhouette", "silhouette.lift", AMI, "collapsed")
        )
        refused = sum(bool(one["reason"]) for one in group)
        numbers = (f"{value:.3f}".replace("-", "−") for value in (silhouette, silhouette - lift, ami))
        yield row(f"{beta:g}", *numbers, f"{collapsed:.0%} of the models", f"{refused} of {len(group)} trials")
    yield ""
    betas = np.array([one["point"]["model.beta"] for one in outcomes])
    null = [one["metrics"]["silhouette"] - one["metrics"].get("silhouette.lift", np.nan) for one in outcomes]
    raw = values_of("silhouette", metrics_of(dataset))
    yield from paragraph(_opposite(*(_trend(betas, values) for values in (raw, null, ami_of(dataset)))))


def _trend(betas: Floats, values: Any) -> Estimate:
    """Rank correlation of `values` with β over trials."""
    return judged(np.asarray(values, float), betas, np.ones(len(betas), np.bool_)).rho


def _opposite(silhouette: Estimate, null: Estimate, ami: Estimate) -> str:
    verdict = (
        "As β rises, the raw silhouette rises while AMI falls"
        if silhouette.low > 0 and ami.high < 0
        else "**That the raw silhouette rises with β while AMI falls is not shown here**"
    )
    return (
        f"{verdict}: the rank correlation of β over all trials is {silhouette} with the silhouette, {null} with its null, "
        f"and {ami} with AMI."
    )
