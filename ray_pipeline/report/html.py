"""One page that opens offline: nothing is loaded, nothing in it can run but the page's own script.

Three layers hold that: jinja2 escapes every value; `displayed` takes control and bidirectional characters out of every
value first; and a Content-Security-Policy admits the one style and the one script by hash and no other source.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ray_pipeline.report import atlas, pages, plots, scores, story, words
from ray_pipeline.report.data import ReportData, Row, assigned, cluster_of, clusters, finite, label_of

TEMPLATES = Path(__file__).parent / "templates"
MAX_CLUSTERS = 60
MAX_CHARS = 600
# Zero-width joiners stay: emoji and Persian words are spelt with them.
_KEPT = {"\u200c", "\u200d"}
# Soft hyphen, byte order mark, word joiner and direction marks carry nothing and do no harm: left out without a trace.
_DROPPED = {"\u00ad", "\ufeff", "\u2060", "\u200e", "\u200f"}
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JSON_ESCAPES = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


def render(data: ReportData) -> str:
    """The whole page as text, UTF-8 safe."""
    found = scores.scores(data.scores)
    style, script = asset("report.css"), asset("report.js")
    groups = clusters(data.tracks)
    chart = atlas.scatter(data.tracks, data.seed)
    context: dict[str, Any] = {
        "data": data,
        "style": Markup(style),
        "script": Markup(script),
        "policy": Markup(policy(style=style, script=script)),
        "pages": pages.PLACE,
        "verdicts": story.judgements(data, found),
        "lead": story.lead(data, found),
        "scores": found,
        "kinds": _by_kind(found),
        "clusters": groups[:MAX_CLUSTERS],
        "n_clusters": len(groups),
        "noise": len(assigned(data.tracks).get(-1, [])),
        "map": chart,
        "points": _points(chart),
        "lines": _lines(data),
        "kl": plots.kl_bars(data.kl_per_dim) if data.kl_per_dim is not None else None,
        "k_curves": plots.k_curves(data.curves[0]) if data.curves else [],
        "ks": [next((row["k"] for row in rows if row["chosen"]), None) for rows in data.curves if rows],
        "strip": plots.strip,
        "shared_notes": scores.shared_notes,
        "bad": _by_reason(data.bad_tracks),
        "seconds": sum(finite(s) or 0.0 for s in data.seconds.values()),
        "sentences": words.STATUSES,
        "label_of": label_of,
    }
    return environment().get_template("report.html").render(context)


def write(data: ReportData, path: Path | str) -> Path:
    """Render to `path`."""
    return write_page(render(data), path)


def write_page(text: str, path: Path | str) -> Path:
    """Write `text`, making its folder; a reader sees the old page or the new one, never half of it."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def displayed(value: Any) -> Any:
    """What is shown of `value`: a dash for None; text without control and bidirectional characters, cut at 600.

    White space becomes a space; other hidden characters (terminal escapes, U+202E, halves of surrogates from names that
    are not UTF-8) become U+FFFD, so that it is seen that something was there.
    """
    if value is None:
        return "–"
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    text = "".join(" " if c.isspace() else _visible(c) for c in value[: MAX_CHARS + 1])
    return f"{text[:MAX_CHARS]}…" if len(value) > MAX_CHARS else text


def as_yaml(value: Mapping[str, Any]) -> Markup:
    """`value` as YAML, line breaks kept and all else as in `displayed`."""
    plain = json.loads(json.dumps(value, default=str))
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)
    return escape("".join(c if c == "\n" else _visible(c) for c in text))


def as_script_json(value: Any) -> Markup:
    """JSON that cannot leave a ``<script>`` element."""
    return Markup(json.dumps(value, ensure_ascii=True, separators=(",", ":")).translate(_JSON_ESCAPES))


def duration(seconds: float | None) -> str:
    """`0.4 s`, `35 s`, `9 min 8 s`, `2 h 5 min`, and a dash for what is missing."""
    seconds = finite(seconds)
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _visible(character: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in _HIDDEN:
        return character
    return "" if character in _DROPPED else "\ufffd"


@cache
def environment() -> Environment:
    """Templates that escape every value and pass it through `displayed`."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=displayed,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        number=story.number, p_value=story.p_value, yaml=as_yaml, script_json=as_script_json, duration=duration
    )
    return made


@cache
def asset(name: str) -> str:
    """The text of a file beside the templates."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def policy(*, style: str, script: str = "") -> str:
    """A Content-Security-Policy that admits this style, this script, and nothing else."""

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    scripts = f"script-src 'sha256-{digest(script)}'; " if script else ""
    sources = f"default-src 'none'; style-src 'sha256-{digest(style)}'; {scripts}img-src data:"
    return f"{sources}; base-uri 'none'; form-action 'none'"


def _points(chart: atlas.Map | None) -> list[list[str]]:
    """Title, artist, cluster and label of each dot, in the order drawn."""

    def text(value: Any) -> str:
        return "" if value is None else str(displayed(str(value)))

    def cluster(number: int | None) -> str:
        return "not clustered" if number is None else "noise" if number == -1 else str(number)

    return [
        [
            text(dot.row.get("title") or dot.row.get("track_id")),
            text(dot.row.get("artist")),
            cluster(cluster_of(dot.row)),
            text(label_of(dot.row)),
        ]
        for dot in (chart.dots if chart else [])
    ]


def _lines(data: ReportData) -> list[plots.Line]:
    wanted = (("loss", "Loss"), ("reconstruction", "Reconstruction"), ("kl", "KL, nats"))
    drawn = (plots.line(data.losses, key, title) for key, title in wanted)
    return [line for line in drawn if line is not None]


def _by_kind(found: Sequence[scores.Score]) -> dict[str, list[scores.Score]]:
    kinds = ("external", "internal", "input", "missing", "plain")
    return {kind: [score for score in found if score.metric.kind == kind] for kind in kinds}


def _by_reason(rows: Sequence[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row.get("status") or "unknown"), []).append(row)
    return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))
