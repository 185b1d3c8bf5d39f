"""The study of objectives as a picture: silhouette with its null and AMI over β, and where each candidate lands."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from objectives_judged import EVERY, judged, values_of
from objectives_markdown import ami_of, passed_of

from ray_pipeline.report.plots import nice_ticks

WIDTH, HEIGHT, GAP, LEFT, TOP = 310, 220, 70, 60, 70
WINNER = "#b3261e"
COLOURS = ("#d0a322", "#35a772", "#31688e", "#440154")
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #3a3f47; } .t { font-weight: 600; font-size: 13px; } .s { fill: #6b717a; }
.m { text-anchor: middle; } .e { text-anchor: end; } .g { stroke: #e3e1db; } .n { stroke-dasharray: 3 3; opacity: 0.75; }
.w { font: 600 10px system-ui, sans-serif; fill: #b3261e; stroke: #fff; stroke-width: 3px; paint-order: stroke; }
"""


def picture(datasets: Sequence[Any]) -> str:
    """A page of SVG: a column a collection, silhouette above and AMI below, a line a latent size."""
    names = list(EVERY)
    width = LEFT + len(datasets) * (WIDTH + GAP)
    legend_y = TOP + 2 * (HEIGHT + GAP) + 20
    height = legend_y + 18 * math.ceil(len(names) / 2) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="Raw silhouette and AMI over beta for three collections, with the winner of each candidate objective.">',
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for at, dataset in enumerate(datasets):
        x = LEFT + at * (WIDTH + GAP)
        parts.append(f'<text class="t" x="{x}" y="{TOP - 44}">{dataset.name}</text>')
        parts += _panel(dataset, x, TOP, "silhouette", "Raw silhouette; dashed: structureless data", [])
        parts += _panel(dataset, x, TOP + HEIGHT + GAP, "ami", "AMI with the label", _winners(dataset, names))
    parts += _legend(datasets[0], names, legend_y)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _winners(dataset: Any, names: Sequence[str]) -> list[tuple[int, str]]:
    """(trial, the numbers of the candidates that choose it), with gates."""
    metrics = [one["metrics"] for one in dataset.outcomes]
    found: dict[int, list[int]] = defaultdict(list)
    for number, name in enumerate(names, 1):
        found[judged(values_of(name, metrics), ami_of(dataset), passed_of(dataset)).winner].append(number)
    return [(trial, ",".join(map(str, numbers))) for trial, numbers in found.items()]


def _panel(
    dataset: Any, left: float, top: float, metric: str, title: str, winners: list[tuple[int, str]]
) -> Iterator[str]:
    outcomes = dataset.outcomes
    betas = sorted({one["point"]["model.beta"] for one in outcomes})
    values = [one["metrics"][metric] for one in outcomes]
    nulls = (
        [one["metrics"][metric] - one["metrics"][f"{metric}.lift"] for one in outcomes]
        if metric == "silhouette"
        else []
    )
    ticks = nice_ticks(min([*values, *nulls]), max([*values, *nulls]))
    low, high = ticks[0], ticks[-1]

    def at(beta: float, value: float) -> str:
        across = math.log(beta / betas[0]) / math.log(betas[-1] / betas[0])
        return f"{left + WIDTH * across:.1f} {top + HEIGHT * (1 - (value - low) / (high - low)):.1f}"

    yield f'<text class="s" x="{left}" y="{top - 12}">{title}</text>'
    for tick in ticks:
        y = float(at(betas[0], tick).split()[1])
        yield f'<path class="g" d="M{left} {y}h{WIDTH}"/><text class="e s" x="{left - 6}" y="{y + 4}">{tick:.4g}</text>'
    for beta in betas:
        yield f'<text class="m s" x="{at(beta, low).split()[0]}" y="{top + HEIGHT + 17}">{beta:g}</text>'
    yield f'<text class="m" x="{left + WIDTH / 2}" y="{top + HEIGHT + 34}">β</text>'
    for colour, latent in zip(COLOURS, _latents(dataset), strict=True):
        rows = [i for i, one in enumerate(outcomes) if one["point"]["model.latent_dim"] == latent]
        rows.sort(key=lambda i: outcomes[i]["point"]["model.beta"])
        for series, kind in ((values, ""), (nulls, ' class="n"')):
            if series:
                path = "L".join(at(outcomes[i]["point"]["model.beta"], series[i]) for i in rows)
                yield f'<path{kind} d="M{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
        yield from (
            f'<circle cx="{x}" cy="{y}" r="3" fill="{"#fff" if outcomes[i]["reason"] else colour}" stroke="{colour}"/>'
            for i in rows
            for x, y in [at(outcomes[i]["point"]["model.beta"], values[i]).split()]
        )
    for number, (trial, numbers) in enumerate(sorted(winners)):
        x, y = at(outcomes[trial]["point"]["model.beta"], values[trial]).split()
        yield f'<circle cx="{x}" cy="{y}" r="6" fill="none" stroke="{WINNER}" stroke-width="1.8"/>'
        yield f'<text class="w" x="{float(x) + 8:.1f}" y="{float(y) + (16 if number % 2 else -8):.1f}">{numbers}</text>'


def _latents(dataset: Any) -> list[int]:
    return sorted({one["point"]["model.latent_dim"] for one in dataset.outcomes})


def _legend(dataset: Any, names: Sequence[str], top: float) -> Iterator[str]:
    x, y = float(LEFT), top - 24
    for colour, latent in zip(COLOURS, _latents(dataset), strict=True):
        yield f'<path d="M{x} {y}h22" stroke="{colour}" stroke-width="2"/>' + _text(x + 28, y + 4, f"{latent} latents")
        x += 110
    yield f'<circle cx="{x + 8}" cy="{y}" r="3.5" fill="#fff" stroke="#3a3f47"/>'
    yield _text(x + 18, y + 4, "does not pass the gates")
    yield f'<circle cx="{x + 188}" cy="{y}" r="6" fill="none" stroke="{WINNER}" stroke-width="1.8"/>'
    yield _text(x + 200, y + 4, "winner, with gates, by")
    half = math.ceil(len(names) / 2)
    for at, name in enumerate(names):
        column, row = divmod(at, half)
        text = name.replace("-", "−").replace("&", "+")
        yield _text(LEFT + column * 420, top + 4 + 18 * row, f"{at + 1}  {text}")


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:g}" y="{y:g}">{text}</text>'
