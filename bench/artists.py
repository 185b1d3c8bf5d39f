"""How much of the agreement with collections is owed to artists, on the 90 real clips.

    python bench/artists.py --data ../shared/data --out docs/artists.md

MFCC means only, no lyrics, k-means with k = 8, several seeds. For each model: how far clusters follow artists, then AMI with
`collection` of all clips, of those whose artist is known, and of one clip an artist. For one model and seed, also how much of
each cluster is by its most frequent artist.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filled import collection_of, source_of_clips

from ray_pipeline import experiment, metrics
from ray_pipeline.collection import Collection
from ray_pipeline.config import check
from ray_pipeline.metrics.artists import known_artists, shares
from ray_pipeline.stages.session import one_thread

MODELS = ("raw", "pca", "vae")
KNOWN = "ami, artist known"
SHOWN = ("artist_share", "ami", KNOWN, "ami@artists")
ALPHA = 0.05


def main() -> None:
    """Print the page as it comes, and write it to ``--out``."""
    options = _options()
    base = {
        "store": str(options.store),
        "source": source_of_clips(options.data),
        "features": ["mfcc"],
        "lyrics": {"backend": "none"},
        "fusion": {"kind": "audio"},
        "training": {"epochs": options.epochs},
        "clusterer": {"kind": "kmeans", "n_clusters": 8},
        "scoring": {"label": "collection"},
        "resources": {"num_cpus": 2},
    }
    collection = collection_of(check(base), "ingest", "featurize")
    lines = list(_intro(collection, options))
    found, labels = {}, np.empty(0, np.int32)
    for model in MODELS:
        with one_thread():
            found[model], labels = _scores(collection, check(base | {"model": {"kind": model}}), options.seeds)
        lines += [_row(model, name, found[model][name]) for name in SHOWN]
        print("\n".join(lines[-len(SHOWN) :]), flush=True)
    lines += ["", *(_said(model, scores) for model, scores in found.items())]
    by_cluster = _by_cluster(collection, labels, MODELS[-1])
    print("\n".join(by_cluster))
    lines += by_cluster
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with clips/")
    parser.add_argument("--out", type=Path, default=Path("docs/artists.md"))
    parser.add_argument("--store", type=Path, default=Path("out/artists"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    return parser.parse_args()


def _intro(collection: Collection, options: argparse.Namespace) -> Iterator[str]:
    names = [name for name in known_artists(collection.artists) if name]
    sizes = sorted((names.count(name) for name in set(names)), reverse=True)
    yield "# How much agreement is owed to artists"
    yield ""
    yield f"Made by `python bench/artists.py`: MFCC means, k-means with k = 8, {options.seeds} seeds, {options.epochs} epochs."
    yield "`artist_share` is the share of a cluster that comes from its largest artist; `ami` is agreement with the collection"
    yield "of a clip, of all clips, of those whose artist is known, and (`ami@artists`) of one clip an artist, drawn often."
    yield f"{len(collection)} clips; {len(names)} with a known artist, {len(sizes)} artists, up to {sizes[0]} clips each."
    yield ""
    yield "| model | score | tracks | value ± sd over seeds | chance | largest p |"
    yield "| --- | --- | --- | --- | --- | --- |"


def _scores(collection: Collection, config: Any, seeds: int) -> tuple[dict[str, list[metrics.Score]], np.ndarray]:
    """Scores of each seed by name, and the clusters of the first."""
    found: dict[str, list[metrics.Score]] = {name: [] for name in SHOWN}
    clusters = []
    for seed in range(seeds):
        _, _, evaluation = experiment.run(collection, config, seed)
        clusters.append(evaluation.labels)
        scores = {score.metric: score for score in evaluation.scores}
        scores[KNOWN] = _ami_of_known(collection, evaluation.labels, seed)
        for name in SHOWN:
            found[name].append(scores[name])
    return found, clusters[0]


def _by_cluster(collection: Collection, labels: np.ndarray, model: str) -> list[str]:
    """A table of clusters, the one that most belongs to one artist first."""
    known = [artist is not None for artist in known_artists(collection.artists)]
    found = sorted(shares(labels, collection.artists).items(), key=lambda one: -one[1])
    return [
        "",
        f"Clusters of {model} with the first seed. The share is of clips whose artist is known.",
        "",
        "| cluster | clips | artist known | by its most frequent artist |",
        "| --- | --- | --- | --- |",
        *(
            f"| {cluster} | {(labels == cluster).sum()} | {(labels[known] == cluster).sum()} | {share:.0%} |"
            for cluster, share in found
        ),
    ]


def _said(model: str, scores: dict[str, list[metrics.Score]]) -> str:
    """What is left of the agreement above chance once each artist counts once."""
    lifts = {
        name: statistics.mean(score.value - score.chance for score in scores[name]) for name in (KNOWN, "ami@artists")
    }
    p = max(score.p for score in scores["ami@artists"])
    left = "above chance" if p <= ALPHA else "not told from chance"
    return (
        f"- {model}: of clips with a known artist AMI lies {lifts[KNOWN]:+.3f} from chance, of one clip an artist "
        f"{lifts['ami@artists']:+.3f}, {left} (p {p:.3f})."
    )


def _ami_of_known(collection: Collection, labels: np.ndarray, seed: int) -> metrics.Score:
    artists = known_artists(collection.artists)
    classes = [label if artist else None for label, artist in zip(collection.labels, artists, strict=True)]
    return metrics.external_scores(labels, classes, seed=seed)[0]


def _row(model: str, name: str, scores: list[metrics.Score]) -> str:
    values = [score.value for score in scores]
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    chance = statistics.mean(score.chance for score in scores)
    p = max(score.p for score in scores)
    return f"| {model} | {name} | {scores[0].n} | {statistics.mean(values):.3f}{spread} | {chance:.3f} | {p:.3f} |"


if __name__ == "__main__":
    main()
