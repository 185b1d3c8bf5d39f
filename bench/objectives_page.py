"""The study of objectives as a page of Markdown; every sentence that judges is made of the numbers beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import comb
from typing import Any

import numpy as np
from objectives_beta import over_beta
from objectives_judged import EVERY, FOR_COMPARISON, RANK_SUMS, Floats, Judgement, by_chance, chosen, judged, values_of
from objectives_markdown import AMI, ami_of, head, metrics_of, named, paragraph, passed_of, row
from objectives_verdict import Found, verdict

ACROSS = ("silhouette_input", "davies_bouldin_input")


def page(datasets: Sequence[Any], across: Mapping[str, Any]) -> str:
    """`datasets` as `objectives.Dataset`, the first to choose on; `across` as `objectives._across` makes it."""
    found = [_judged(one) for one in datasets]
    best = chosen(found[0])
    lines = [*_intro(datasets), *verdict(datasets, found, best)]
    for dataset, judgements in zip(datasets, found, strict=True):
        lines += ["", f"## {dataset.name}", "", *_facts(dataset), "", *over_beta(dataset)]
        lines += ["", *_table(dataset, judgements, best)]
    lines += ["", "## Across fusions: one space", "", *_across(datasets, across)]
    return "\n".join(lines) + "\n"


def _judged(dataset: Any) -> dict[str, Judgement]:
    metrics, ami, passed = metrics_of(dataset), ami_of(dataset), passed_of(dataset)
    return {name: judged(values_of(name, metrics), ami, passed) for name in EVERY}


def _intro(datasets: Sequence[Any]) -> list[str]:
    config, points = datasets[0].config, [one["point"] for one in datasets[0].outcomes]
    betas, latents = (sorted({point[key] for point in points}) for key in ("model.beta", "model.latent_dim"))
    return [
        "# Which objective may a sweep trust without labels?",
        "",
        "Made by `python bench/objectives.py --data ../shared/data`; no number here is written by hand.",
        "",
        *paragraph(
            f"`tune_configs/beta.yaml` on three real collections: a Beta-VAE with β of {', '.join(f'{b:g}' for b in betas)} by "
            f"{', '.join(map(str, latents))} latent dimensions, {config.training.epochs} epochs, k-means with "
            f"k = {config.clusterer.n_clusters}, {config.scoring.seeds} seeds, {config.scoring.null_draws} draws a null. A "
            "trial's values are means over its seeds."
        ),
        "",
        *paragraph(
            f"So `z` divides by the spread of {config.scoring.null_draws} draws, and `stability` is the agreement of "
            f"{comb(config.scoring.seeds, 2)} pair(s) of models: more of either could serve those two better than is seen here."
        ),
        "",
        *paragraph(
            "**ρ** is the rank correlation of a candidate with AMI over trials. **Regret** is the best AMI of all trials less "
            "that of the candidate's winner: what trusting it costs. In brackets the middle 95 % of 2,000 bootstrap resamples "
            "of the trials. The gates: reconstruction no worse than PCA with two components, smallest cluster at least 1 %, "
            "noise at most 20 %. With gates, ρ is over the trials that pass; regret is held against the best of all. Tables "
            "are sorted by the mean of the regret with gates over the resamples. Sums of ranks are there for comparison: a "
            "rank is known only when the last trial has ended, so no sweep can search by them."
        ),
        "",
        "![Silhouette and AMI over β, and where each candidate lands](objective.svg)",
    ]


def _facts(dataset: Any) -> list[str]:
    ami, passed = ami_of(dataset), passed_of(dataset)
    spread = np.mean([one["spread"].get(AMI, np.nan) for one in dataset.outcomes])
    base = {one["point"]["model.kind"]: one["metrics"][AMI] for one in dataset.baselines}
    lead = ami.max() - max(base.values())
    return paragraph(
        f"{len(dataset.collection):,} tracks, label `{dataset.config.scoring.label}`. {len(ami)} trials, {int(passed.sum())} "
        f"pass the gates. AMI {ami.min():.3f} to {ami.max():.3f}, over seeds ± {spread:.3f} on average. Without a VAE: k-means "
        f"on the features themselves has AMI {base['raw']:.3f}, on their principal components {base['pca']:.3f}; the best of "
        f"all trials, picked by the labels, is {'ahead of' if lead > 0 else 'behind'} the better of them by {abs(lead):.3f}."
    )


def _table(dataset: Any, judgements: Found, best: str) -> Iterator[str]:
    yield from head("candidate", "ρ", "ρ, gates", "regret", "regret, gates", "its winner, gates")
    for name, it in sorted(judgements.items(), key=lambda item: item[1].regret_gated.mean):
        shown = named(name) + (" (for comparison)" if name in (*FOR_COMPARISON, *RANK_SUMS) else "")
        point = dataset.outcomes[it.winner]["point"]
        where = f"β {point['model.beta']:g}, {point['model.latent_dim']} latents"
        yield row(f"**{shown}**" if name == best else shown, it.rho, it.rho_gated, it.regret, it.regret_gated, where)
    random = by_chance(ami_of(dataset), passed_of(dataset))
    anything = by_chance(ami_of(dataset), np.ones(len(dataset.outcomes), np.bool_))
    yield row("a trial at random", "", "", anything, random, "")


def _across(datasets: Sequence[Any], across: Mapping[str, Any]) -> Iterator[str]:
    """Trials on the means and on the statistics, judged as one sweep."""
    ami = np.concatenate([ami_of(one) for one in datasets[:2]])
    passed = np.concatenate([passed_of(one) for one in datasets[:2]])
    yield from paragraph(
        f"A sweep over fusions compares clusters that were found in different features. Here the {len(ami)} trials on the "
        "means and on the statistics are one sweep, and its yardstick is each trial's own features, or one space for all:"
    )
    yield ""
    yield from head("yardstick", "metric", "ρ", "ρ, gates", "regret, gates", "its winner saw")
    found: dict[tuple[str, str], Judgement] = {}
    names = [one.name for one in datasets[:2] for _ in one.outcomes]
    for space, metrics in across.items():
        for metric in ACROSS:
            sign = -1 if metric.startswith("davies") else 1
            it = found[space, metric] = judged(sign * np.array(metrics[metric]), ami, passed)
            shown = "each trial's own" if space == "own" else space
            yield row(shown, f"`{metric}`", it.rho, it.rho_gated, it.regret_gated, names[it.winner])
    yield row("a trial at random", "", "", "", by_chance(ami, passed), "")
    yield ""
    values = np.array(across["own"][ACROSS[0]]).reshape(2, -1).mean(axis=1)
    yield from _one_space(values, found["own", ACROSS[0]], found["both", ACROSS[0]])


def _one_space(values: Floats, own: Judgement, both: Judgement) -> list[str]:
    better = "higher" if both.rho.value > own.rho.value else "no higher"
    cost = "less" if both.regret_gated.value < own.regret_gated.value else "no less"
    return paragraph(
        f"In its own features a trial's silhouette depends on which those are: {values[0]:.3f} on average in the 20 means, "
        f"{values[1]:.3f} in the 140 statistics. So the yardstick of a sweep across fusions is one space: **all audio "
        "features that some trial reads, standardised, each with the same share of the variance** (`scoring.yardstick`, which "
        "the sweep sets by itself where fusions read different features): it leaves out no trial's features, and the many "
        "columns of one do not drown the others. Lyrics are left out: most tracks lack them, and distances to a filled gap "
        f"would reward clusters that follow the gap. Measured here, against each trial's own, ρ is {better} "
        f"({both.rho.value:.2f} against {own.rho.value:.2f}) and the regret {cost} ({both.regret_gated.value:.3f} against "
        f"{own.regret_gated.value:.3f})."
    )
