"""How much of the agreement with collections is owed to artists, on the 90 real clips.

    python bench/artists.py --data ../shared/data

MFCC means only, no lyrics, k-means with k = 8, several seeds. For each model: how far clusters follow artists, then AMI with
`collection` of all clips, of those whose artist is known, and of one clip an artist.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ray_pipeline import experiment, metrics
from ray_pipeline.collection import Collection
from ray_pipeline.config import check
from ray_pipeline.metrics.artists import known_artists
from ray_pipeline.stages.collection import read_collection
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.featurize import featurize
from ray_pipeline.stages.ingest import ingest
from ray_pipeline.stages.session import session

MODELS = ("raw", "pca", "vae")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with clips/")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    with session(), tempfile.TemporaryDirectory() as store:
        base = {
            "store": store,
            "source": {"kind": "manifest", "root": str(options.data / "clips/manifest.csv")},
            "features": ["mfcc"],
            "lyrics": {"backend": "none"},
            "fusion": {"kind": "audio"},
            "clusterer": {"kind": "kmeans", "n_clusters": 8},
            "scoring": {"label": "collection"},
            "resources": {"num_cpus": 2},
        }
        ctx = Context.of(check(base), "artists")
        for stage in (ingest, featurize):
            stage(ctx)
        collection = read_collection(ctx)
        for line in _intro(collection):
            print(line)
        for model in MODELS:
            for line in _rows(model, collection, check(base | {"model": {"kind": model}}), options.seeds):
                print(line, flush=True)


def _intro(collection: Collection) -> Iterator[str]:
    names = [name for name in known_artists(collection.artists) if name]
    sizes = sorted((names.count(name) for name in set(names)), reverse=True)
    yield f"{len(collection)} clips; {len(names)} with a known artist, {len(sizes)} artists, up to {sizes[0]} clips each"
    yield ""
    yield "| model | score | tracks | value ± sd over seeds | chance | largest p |"
    yield "| --- | --- | --- | --- | --- | --- |"


def _rows(model: str, collection: Collection, config: Any, seeds: int) -> Iterator[str]:
    found: dict[str, list[metrics.Score]] = {}
    for seed in range(seeds):
        _, _, evaluation = experiment.run(collection, config, seed)
        scores = {score.metric: score for score in evaluation.scores}
        for name in ("artist_share", "ami", "ami@artists"):
            found.setdefault(name, []).append(scores[name])
        found.setdefault("ami, artist known", []).append(_ami_of_known(collection, evaluation.labels, seed))
    for name in ("artist_share", "ami", "ami, artist known", "ami@artists"):
        yield _row(model, name, found[name])


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
