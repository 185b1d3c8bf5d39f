"""The study of objectives as a page of Markdown; every sentence that judges is made of the numbers beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from objectives_judged import (
    CANDIDATES,
    FOR_COMPARISON,
    Bools,
    Estimate,
    Floats,
    Judgement,
    by_chance,
    chosen,
    judged,
    values_of,
)

AMI = "ami"
ACROSS = ("silhouette_input", "davies_bouldin_input")
Found = Mapping[str, Judgement]


def page(datasets: Sequence[Any], across: Mapping[str, Any]) -> str:
    """`datasets` as `objectives.Dataset`, the first to choose on; `across` as `objectives._across` makes it."""
    found = [_judged(one) for one in datasets]
    best = chosen(found[0])
    lines = [*_intro(datasets), *_verdict(datasets, found, best)]
    for dataset, judgements in zip(datasets, found, strict=True):
        lines += ["", f"## {dataset.name}", "", *_facts(dataset), "", *_table(dataset, judgements, best)]
    lines += ["", "## Across fusions: one space", "", *_across(datasets, across)]
    return "\n".join(lines) + "\n"


def ami_of(dataset: Any) -> Floats:
    """[n_trials]"""
    return np.array([one["metrics"][AMI] for one in dataset.outcomes])


def passed_of(dataset: Any) -> Bools:
    """[n_trials], True where all gates were passed."""
    return np.array([not one["reason"] for one in dataset.outcomes])


def named(candidate: str) -> str:
    """A candidate in a table: ranks of `silhouette_input` + `−davies_bouldin_input`."""
    names = [f"`{name.replace('-', '−')}`" for name in candidate.split(" & ")]
    return names[0] if len(names) == 1 else f"ranks of {' + '.join(names)}"


def _judged(dataset: Any) -> dict[str, Judgement]:
    metrics, ami, passed = [one["metrics"] for one in dataset.outcomes], ami_of(dataset), passed_of(dataset)
    return {name: judged(values_of(name, metrics), ami, passed) for name in (*CANDIDATES, *FOR_COMPARISON)}


def _said(text: str) -> list[str]:
    return textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _head(*names: str) -> list[str]:
    return [_row(*names), _row(*["---"] * len(names))]


def _intro(datasets: Sequence[Any]) -> list[str]:
    config, points = datasets[0].config, [one["point"] for one in datasets[0].outcomes]
    betas, latents = (sorted({point[key] for point in points}) for key in ("model.beta", "model.latent_dim"))
    return [
        "# Which objective may a sweep trust without labels?",
        "",
        "Made by `python bench/objectives.py --data ../shared/data`; no number here is written by hand.",
        "",
        *_said(
            f"`tune_configs/beta.yaml` on three real collections: a Beta-VAE with β of {', '.join(f'{b:g}' for b in betas)} by "
            f"{', '.join(map(str, latents))} latent dimensions, {config.training.epochs} epochs, k-means with "
            f"k = {config.clusterer.n_clusters}, {config.scoring.seeds} seeds, {config.scoring.null_draws} draws a null. A "
            "trial's values are means over its seeds."
        ),
        "",
        *_said(
            "**ρ** is the rank correlation of a candidate with AMI over trials. **Regret** is the best AMI of all trials less "
            "that of the candidate's winner: what trusting it costs. In brackets the middle 95 % of 2,000 bootstrap resamples "
            "of the trials. The gates: reconstruction no worse than PCA with two components, smallest cluster at least 1 %, "
            "noise at most 20 %. With gates, ρ is over the trials that pass; regret is held against the best of all. Tables "
            "are sorted by the mean of the regret with gates over the resamples."
        ),
        "",
        "![Silhouette and AMI over β, and where each candidate lands](objective.svg)",
    ]


def _verdict(datasets: Sequence[Any], found: Sequence[Found], best: str) -> list[str]:
    lines = [
        *["", "## The choice", ""],
        *_said(
            f"Chosen on **{datasets[0].name}** alone, by the least expected regret with gates over the resamples (of those "
            f"within .001 of it, the best correlated): **{named(best)}**."
        ),
        "",
        *_head("collection", "regret of the choice, gates", "of a trial that passes, at random",
               "of raw `silhouette`, no gates", "ρ of the choice, no gates", "confirmed"),
    ]  # fmt: skip
    confirmed = []
    for at, (dataset, judgements) in enumerate(zip(datasets, found, strict=True)):
        it, random = judgements[best], by_chance(ami_of(dataset), passed_of(dataset))
        raw = judgements["silhouette"].regret
        holds = it.regret_gated.value < min(random.value, raw.value) and it.rho.value > 0
        confirmed += [holds] if at else []
        said = "chosen on it" if not at else "yes" if holds else "**no**"
        lines.append(_row(dataset.name, it.regret_gated, random, raw, it.rho, said))
    verdict = (
        "The choice is confirmed on both other collections."
        if all(confirmed)
        else f"**The choice is confirmed on {sum(confirmed)} of {len(confirmed)} other collections: a negative result.**"
    )
    told = "Confirmed: regret below that of a random trial that passes and of the raw silhouette, and ρ above 0. "
    return [*lines, "", *_said(told + verdict), "", *_sure(datasets, found, best), "", *_hindsight(found)]


def _sure(datasets: Sequence[Any], found: Sequence[Found], best: str) -> Iterator[str]:
    """What the intervals allow to be said."""
    for dataset, judgements in zip(datasets, found, strict=True):
        rho, raw = judgements[best].rho, judgements["silhouette"].rho
        yield f"- {dataset.name}: ρ of the choice {_sided(rho)}; of the raw silhouette {_sided(raw)}."


def _sided(rho: Estimate) -> str:
    if not np.isfinite(rho.value):
        return "cannot be told"
    side = "above 0" if rho.low > 0 else "below 0" if rho.high < 0 else "not told from 0"
    return f"{rho.value:+.2f}, {side}".replace("-", "−")


def _hindsight(found: Sequence[Found]) -> list[str]:
    """Which candidate does best on all, now that all are known: not the choice, and not to be read as one."""
    worst = {name: max(one[name].regret_gated.value for one in found) for name in CANDIDATES}
    least = min(worst, key=lambda name: worst[name])
    return _said(
        f"With hindsight, {named(least)} loses no more than {worst[least]:.3f} on any of the three with gates; that was not "
        "known when choosing."
    )


def _facts(dataset: Any) -> list[str]:
    ami, passed = ami_of(dataset), passed_of(dataset)
    spread = np.mean([one["spread"].get(AMI, np.nan) for one in dataset.outcomes])
    base = {one["point"]["model.kind"]: one["metrics"][AMI] for one in dataset.baselines}
    lead = ami.max() - max(base.values())
    return _said(
        f"{len(dataset.collection):,} tracks, label `{dataset.config.scoring.label}`. {len(ami)} trials, {int(passed.sum())} "
        f"pass the gates. AMI {ami.min():.3f} to {ami.max():.3f}, over seeds ± {spread:.3f} on average. Without a VAE: k-means "
        f"on the features themselves has AMI {base['raw']:.3f}, on their principal components {base['pca']:.3f}; the best of "
        f"all trials, picked by the labels, is {'ahead of' if lead > 0 else 'behind'} the better of them by {abs(lead):.3f}."
    )


def _table(dataset: Any, judgements: Found, best: str) -> Iterator[str]:
    yield from _head("candidate", "ρ", "ρ, gates", "regret", "regret, gates", "its winner, gates")
    for name, it in sorted(judgements.items(), key=lambda item: item[1].regret_gated.mean):
        shown = named(name) + (" (for comparison)" if name in FOR_COMPARISON else "")
        point = dataset.outcomes[it.winner]["point"]
        where = f"β {point['model.beta']:g}, {point['model.latent_dim']} latents"
        yield _row(f"**{shown}**" if name == best else shown, it.rho, it.rho_gated, it.regret, it.regret_gated, where)
    random = by_chance(ami_of(dataset), passed_of(dataset))
    anything = by_chance(ami_of(dataset), np.ones(len(dataset.outcomes), np.bool_))
    yield _row("a trial at random", "", "", anything, random, "")


def _across(datasets: Sequence[Any], across: Mapping[str, Any]) -> Iterator[str]:
    """Trials on the means and on the statistics, judged as one sweep."""
    ami = np.concatenate([ami_of(one) for one in datasets[:2]])
    passed = np.concatenate([passed_of(one) for one in datasets[:2]])
    yield from _said(
        f"A sweep over fusions compares clusters that were found in different features. Here the {len(ami)} trials on the "
        "means and on the statistics are one sweep, and its yardstick is each trial's own features, or one space for all:"
    )
    yield ""
    yield from _head("yardstick", "metric", "ρ", "ρ, gates", "regret, gates", "its winner saw")
    found: dict[tuple[str, str], Judgement] = {}
    names = [one.name for one in datasets[:2] for _ in one.outcomes]
    for space, metrics in across.items():
        for metric in ACROSS:
            sign = -1 if metric.startswith("davies") else 1
            it = found[space, metric] = judged(sign * np.array(metrics[metric]), ami, passed)
            shown = "each trial's own" if space == "own" else space
            yield _row(shown, f"`{metric}`", it.rho, it.rho_gated, it.regret_gated, names[it.winner])
    yield _row("a trial at random", "", "", "", by_chance(ami, passed), "")
    yield ""
    values = np.array(across["own"][ACROSS[0]]).reshape(2, -1).mean(axis=1)
    yield from _one_space(values, found["own", ACROSS[0]], found["both", ACROSS[0]])


def _one_space(values: Floats, own: Judgement, both: Judgement) -> list[str]:
    better = "higher" if both.rho.value > own.rho.value else "no higher"
    cost = "less" if both.regret_gated.value < own.regret_gated.value else "no less"
    return _said(
        f"In its own features a trial's silhouette depends on which those are: {values[0]:.3f} on average in the 20 means, "
        f"{values[1]:.3f} in the 140 statistics. So the yardstick of a sweep across fusions is one space: **all audio "
        "features that some trial reads, standardised, side by side** (`scoring.yardstick`, which the sweep sets by itself "
        "where fusions read different features). It is the only choice that leaves out no trial's features. Lyrics are left "
        "out: most tracks "
        "lack them, and distances to a filled gap would reward clusters that follow the gap. Measured here, against each "
        f"trial's own, ρ is {better} ({both.rho.value:.2f} against {own.rho.value:.2f}) and the regret {cost} "
        f"({both.regret_gated.value:.3f} against {own.regret_gated.value:.3f})."
    )
