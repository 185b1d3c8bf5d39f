"""Every model on the 90 real clips, in one table: what each is worth beside k-means on the features.

    python bench/models.py --data ../shared/data --out docs/models.md

The stages fill a store once; then each model is trained, over several seeds, on the view that it is made for. All rows cluster
the same tracks with k-means, k = 8, and are scored on the same features, so they can be compared. What an experiment came to is
kept under ``--store``, so that the same command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from filled import collection_of, source_of_clips
from kept import Job, Outcome, outcomes
from paired import difference

from ray_pipeline import experiment
from ray_pipeline.collection import Collection, yardstick
from ray_pipeline.config import Config, check
from ray_pipeline.metrics import Score
from ray_pipeline.metrics.score import NAN
from ray_pipeline.models import MODELS
from ray_pipeline.models.condition import label_share_of, shown
from ray_pipeline.shelf import part

LABEL = "collection"
COLUMNS = ("ami", "silhouette", "silhouette_input", "ami_missing", "collapsed")
STATISTICS = {"kind": "spectral"}
BOTH = {"kind": "concat", "audio": "mfcc_stats"}
TOLD = {"condition": {"label": LABEL}}
MEMBERS = {
    "H": {"fusion": BOTH, "model": {"kind": "vae"}},
    "B": {"fusion": STATISTICS, "model": {"kind": "beta"}},
    "C": {"fusion": STATISTICS, "model": {"kind": "conv"}},
}


@dataclass(frozen=True)
class Row:
    """A model on what it sees; with `hidden`, scored on tracks alone whose label it was not shown."""

    name: str
    sees: str
    fusion: dict[str, Any]
    model: dict[str, Any]
    hidden: bool = False


def passed(*views: str) -> dict[str, Any]:
    return {"kind": "none", "views": list(views)}


def rows() -> list[Row]:
    """Baselines first, then models of one vector, of several views, of frames, of labels, and of other models."""
    statistics_alone = ("raw", "pca", "autoencoder", "vae", "beta", "conv", "vade")
    found = [Row(kind, "MFCC statistics", STATISTICS, {"kind": kind}) for kind in statistics_alone]
    found += [Row(kind, "statistics + lyrics", BOTH, {"kind": kind}) for kind in ("raw", "vae", "vade")]
    for kind in ("attention", "poe"):
        found.append(Row(kind, "statistics, lyrics", passed("mfcc_stats", "lyrics"), {"kind": kind}))
        found.append(
            Row(kind, "statistics, lyrics, log-mel", passed("mfcc_stats", "lyrics", "log_mel"), {"kind": kind})
        )
    found += [
        Row(kind, "log-mel", passed("log_mel"), {"kind": kind}) for kind in ("pca", "conv2d", "gru", "transformer")
    ]
    semi = {"kind": "semi", **TOLD}
    found += [
        Row("cvae", "MFCC statistics, the label", STATISTICS, {"kind": "cvae", **TOLD}),
        Row("semi", "MFCC statistics, 20 % of the labels", STATISTICS, semi),
        Row("semi", "the same, scored on the other 80 %", STATISTICS, semi, hidden=True),
    ]
    for combine in ("concat", "weighted", "pca", "with_genre"):
        told = TOLD if combine == "with_genre" else {}
        model = {"kind": "late", "of": MEMBERS, "combine": combine, **told}
        found.append(Row(f"late, {combine}", "H + B + C", passed("mfcc_stats", "lyrics"), model))
    return found


def main() -> None:
    """Run what is not run yet, print the table, and write it to ``--out``."""
    options = _options()
    table = rows()
    if left_out := set(MODELS) - {row.model["kind"] for row in table}:
        raise SystemExit(f"no row for: {', '.join(sorted(left_out))}")
    base = _base(str(options.store), options)
    collection = collection_of(check(base), "ingest", "featurize", "transcribe", "embed")
    collection, words = replace(collection, condition=list(collection.labels)), int(collection.masks["lyrics"].sum())
    # The first row is what the others are held against.
    table = [row for at, row in enumerate(table) if not at or not options.only or row.model["kind"] in options.only]
    jobs = [_job(row, base, collection, seed) for row in table for seed in range(options.seeds)]
    came = outcomes(jobs, scored, options.store / "experiments", options.workers)
    by_row = [came[at : at + options.seeds] for at in range(0, len(came), options.seeds)]
    classes = [
        [job.collection.labels for job in jobs[at : at + options.seeds]] for at in range(0, len(jobs), options.seeds)
    ]
    lines = [_line(row, found, by_row[0], told) for row, found, told in zip(table, by_row, classes, strict=True)]
    text = "\n".join([*_intro(options, len(collection), words), *_head(), *lines]) + "\n"
    options.out.write_text(text, encoding="utf-8")
    print(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with clips/")
    parser.add_argument("--out", type=Path, default=Path("docs/models.md"))
    parser.add_argument(
        "--backend", default="faster-whisper", help="what transcribes; not none, for some models see words"
    )
    parser.add_argument("--store", type=Path, default=Path("out/models"), help="tables, and what experiments came to")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=100, help="a step each, for all clips are one batch")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=sorted(MODELS), help="kinds of model; all where none is named")
    return parser.parse_args()


def _base(store: str, options: argparse.Namespace) -> dict[str, Any]:
    hears = {"model": "tiny.en"} if options.backend == "faster-whisper" else {}
    return {
        "store": store,
        "source": source_of_clips(options.data),
        "features": ["mfcc_stats", "log_mel"],
        "lyrics": {"backend": options.backend, **hears},
        "fusion": {"kind": "none"},
        "model": {"kind": "raw"},
        # The study cuts the learning rate at every fifth of its epochs.
        "training": {"epochs": options.epochs, "lr_step": max(1, options.epochs // 5)},
        "clusterer": {"kind": "kmeans", "n_clusters": 8},
        "scoring": {"label": LABEL},
        "resources": {"num_cpus": 2},
    }


def _job(row: Row, base: dict[str, Any], collection: Collection, seed: int) -> Job:
    config = check(base | {"fusion": row.fusion, "model": row.model})
    return Job(f"{row.name} on {row.sees}", _labelled(row, collection, config, seed), config.plain(), seed)


def scored(collection: Collection, config: Config, seed: int) -> Outcome:
    """Clusters and scores of one experiment, and the number of its model's parameters."""
    fitted, _, evaluation = experiment.run(collection, config, seed)
    # One yardstick for all rows, whatever a model sees.
    features = yardstick(replace(collection, views={"mfcc_stats": collection.views["mfcc_stats"]}))
    kept = [score for score in evaluation.scores if score.metric != "silhouette_input"]
    scores = [*kept, part("metric", "silhouette_input")(features, evaluation.labels)]
    return {
        "labels": evaluation.labels.tolist(),
        "scores": [score.as_row("", seed) for score in scores],
        "n_parameters": fitted.model.n_parameters,
    }


def _labelled(row: Row, collection: Collection, config: Config, seed: int) -> Collection:
    """With the labels that clusters are held against."""
    if not row.hidden:
        return collection
    seen = shown(collection.condition, label_share_of(config.model), seed)
    labels = [None if known else label for known, label in zip(seen, collection.labels, strict=True)]
    return replace(collection, labels=labels)


def _head() -> list[str]:
    names = " | ".join(COLUMNS)
    return [f"| model | sees | parameters | {names} | ahead of raw |", "|" + " --- |" * (len(COLUMNS) + 4)]


def _line(row: Row, found: list[Outcome], raw: list[Outcome], classes: list[list[str | None]]) -> str:
    scores = [[_score(told) for told in one["scores"]] for one in found]
    by_name = {name: [score for one in scores for score in one if score.metric == name] for name in COLUMNS}
    leaks = not row.hidden and any(score.note.startswith("label leak") for score in by_name["ami"])
    name = f"{row.name} (label leak)" if leaks else row.name
    cells = [_cell(by_name[column]) for column in COLUMNS]
    # A model that was given the label, and the row that others are held against, have nothing to earn.
    ahead = "–" if leaks or found is raw else _ahead(found, raw, classes)
    return f"| {name} | {row.sees} | {found[0]['n_parameters']:,} | " + " | ".join([*cells, ahead]) + " |"


def _ahead(found: list[Outcome], raw: list[Outcome], classes: list[list[str | None]]) -> str:
    ours, theirs = ([np.array(one["labels"]) for one in those] for those in (found, raw))
    gap = difference(ours, theirs, classes)
    return f"{gap.verdict} ({gap.mean:+.3f}, {gap.low:+.3f} to {gap.high:+.3f})"


def _score(row: dict[str, Any]) -> Score:
    kept = {key: NAN if value is None else value for key, value in row.items() if key not in {"experiment_id", "seed"}}
    return Score(**kept)


def _cell(scores: list[Score]) -> str:
    """Mean ± spread over seeds; in brackets what chance or structureless data scores, and the largest p."""
    if not scores:
        return "–"
    values = [score.value for score in scores]
    if scores[0].metric == "collapsed":
        return f"{sum(values):.0f} of {len(values)}"
    found = f"{statistics.mean(values):.3f} ± {statistics.stdev(values) if len(values) > 1 else 0.0:.3f}"
    chance = statistics.mean(score.null_mean if isfinite(score.null_mean) else score.chance for score in scores)
    return f"{found} ({chance:.3f}, p {max(score.p for score in scores):.3f})" if isfinite(chance) else found


def _intro(options: argparse.Namespace, n: int, words: int) -> list[str]:
    return [
        "# Every model on real songs",
        "",
        f"Made by `python bench/models.py`: {n} clips, {words} of them with words ({options.backend}), k-means with k = 8,",
        f"{options.seeds} seeds, {options.epochs} epochs of one batch each. Mean ± standard deviation over seeds; in brackets",
        "what chance or structureless data scores, and the largest p. `ami` is agreement with the collection that a clip is",
        "from; `silhouette_input` is that of the same clusters in the standardised MFCC statistics, one yardstick for every",
        "row; `ami_missing` is agreement with 'has words', and should be near 0. The last column says whether a model earns",
        "its place: AMI less that of k-means on the MFCC statistics (the first row) on the same tracks, with a 95 %",
        "interval over tracks and seeds; yes: it lies above 0, no: below. One row in forty would lie above by chance alone.",
        "A model that was given the label is exempt.",
        "",
    ]


if __name__ == "__main__":
    main()
