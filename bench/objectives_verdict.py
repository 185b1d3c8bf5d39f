"""Which candidate is chosen on the first collection, and whether the others confirm it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from objectives_judged import CANDIDATES, EVERY, Estimate, Judgement, by_chance
from objectives_markdown import ami_of, head, named, paragraph, passed_of, row

from ray_pipeline.space import Tune

DEFAULT = Tune.model_fields["objective"].default[0]
"""What a sweep maximises where its file does not say."""
Found = Mapping[str, Judgement]


def verdict(datasets: Sequence[Any], found: Sequence[Found], best: str) -> list[str]:
    lines = [
        *["", "## The choice", ""],
        *paragraph(
            f"Chosen on **{datasets[0].name}** alone, by the least expected regret with gates over the resamples (of those "
            f"within .001 of it, the best correlated): **{named(best)}**. {as_default(found, best)}"
        ),
        "",
        *head("collection", "regret of the choice, gates", "of a trial that passes, at random", "of raw `silhouette`, gates",
               "of raw `silhouette`, no gates", "ρ of the choice, no gates", "confirmed"),
    ]  # fmt: skip
    confirmed = []
    for at, (dataset, judgements) in enumerate(zip(datasets, found, strict=True)):
        it, raw = judgements[best], judgements["silhouette"]
        random = by_chance(ami_of(dataset), passed_of(dataset))
        lacking = not_confirmed(it, raw, random)
        confirmed += [not lacking] if at else []
        said = "chosen on it" if not at else f"**no**: {lacking}" if lacking else "yes"
        lines.append(row(dataset.name, it.regret_gated, random, raw.regret_gated, raw.regret, it.rho, said))
    summary = (
        "The choice is confirmed on both other collections."
        if all(confirmed)
        else f"**The choice is confirmed on {sum(confirmed)} of {len(confirmed)} other collections: a negative result.**"
    )
    told = (
        "Confirmed: regret below that of a random trial that passes and of the raw silhouette, with the same gates and "
        "without, and ρ above 0. "
    )
    return [*lines, "", *paragraph(told + summary), "", *_sure(datasets, found, best), "", *_hindsight(found)]


def not_confirmed(it: Judgement, raw: Judgement, random: Estimate) -> str:
    """Why the choice is not confirmed; nothing where it is."""
    behind = [
        name
        for name, other in (
            ("a random trial", random),
            ("the raw silhouette with gates", raw.regret_gated),
            ("the raw silhouette without", raw.regret),
        )
        if not it.regret_gated.value < other.value
    ]
    reasons = [f"regret not below that of {', '.join(behind)}"] if behind else []
    return "; ".join([*reasons, *(["ρ not above 0"] if not it.rho.value > 0 else [])])


def as_default(found: Sequence[Found], best: str) -> str:
    """Whether the choice is what a sweep maximises unless it is told otherwise; if not, why not."""
    if best.removeprefix("-") == DEFAULT:
        return "It is the default of `tune.objective`."
    default = next(name for name in EVERY if name.removeprefix("-") == DEFAULT)
    kept, new = (max(one[name].regret_gated.value for one in found) for name in (default, best))
    lost = f"with gates it loses at most {kept:.3f} on any of the three, the choice {new:.3f}"
    if kept <= new:
        return f"The default of `tune.objective` stays {named(default)}: {lost}."
    return f"**The default of `tune.objective` is {named(default)}, and ought to be the choice**: {lost}."


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
    return paragraph(
        f"With hindsight, {named(least)} loses no more than {worst[least]:.3f} on any of the three with gates; that was not "
        "known when choosing."
    )
