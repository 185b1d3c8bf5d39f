"""Does any model find genres better than PCA and k-means on the same features? Everything that was tried, in one table.

    nice -n 15 python bench/beyond.py --data ../shared/data --out docs/beyond.md

On the 1,990 real FMA rows: their 20 means, their 140 statistics, and models of both. The best model and the best baseline
are chosen by AMI with genre on one half of the tracks, which uses the labels, and then fitted and measured on the other half,
with seeds of its own. What an experiment came to is kept under ``--cache``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from beyond_page import Confirmed, Tried, page
from filled import MEANS, STATISTICS, VIEWS, collection_of_fma
from kept import Job, outcomes

from ray_pipeline import experiment, metrics, shelf
from ray_pipeline.collection import Collection
from ray_pipeline.config import Config, check

BOTH = "both"
CHOSEN_ON, CONFIRMED_ON = (0, 1), (100, 101, 102, 103, 104)
LATENTS = (2, 8, 32, 64)
BETAS = (0.05, 0.2, 1.0, 4.0, 8.0)
BASELINES = ("raw", "pca")
TOLD = {"condition": {"label": "label"}}
LEAKS = ("cvae", "semi")
FRAMES = ("conv2d", "gru", "transformer")
"""Not possible here: these rows have no log-mel."""


@dataclass(frozen=True)
class Candidate:
    sees: str
    fusion: dict[str, Any]
    model: dict[str, Any]

    @property
    def name(self) -> str:
        told = {key: value for key, value in self.model.items() if key not in {"kind", "of", "condition"}}
        settings = ", ".join(f"{key} {value}" for key, value in told.items())
        return f"{self.model['kind']}{f' ({settings})' if settings else ''}"


def main() -> None:
    """Run what is not run yet and write the page to ``--out``."""
    options = _options()
    collection, base = collection_of_fma(options.data, str(options.cache / "store"))
    base |= {"training": {"epochs": options.epochs}, "clusterer": {"kind": "kmeans", "n_clusters": 8}}
    halves = _halves(collection)
    made = [one for one in candidates() if not options.few or one.model.get("latent_dim", 8) == 8]
    tried = _tried(options, base, halves[0], made)
    confirmed = {sees: _confirmed(options, base, halves[1], tried, sees) for sees in (MEANS, STATISTICS, BOTH)}
    text = page(tried, confirmed, options.epochs, [len(half) for half in halves], FRAMES)
    options.out.write_text(text, encoding="utf-8")
    print(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with fma/")
    parser.add_argument("--out", type=Path, default=Path("docs/beyond.md"))
    parser.add_argument(
        "--cache", type=Path, default=Path("out/beyond"), help="the store, and what came of experiments"
    )
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--few", action="store_true", help="latents of 8 alone, to see it go through")
    return parser.parse_args()


def candidates() -> Iterator[Candidate]:
    """Baselines, models of one vector, those that are told the genre, models of several views, and of models.

    Raises
    ------
    SystemExit
        A model of the shelf is neither tried nor named as impossible here.
    """
    found = [
        Candidate(sees, {"kind": "audio", "view": view}, model) for sees, view in VIEWS.items() for model in _models()
    ]
    views = {"kind": "none", "views": list(VIEWS.values())}
    found += [Candidate(BOTH, views, {"kind": kind, "latent_dim": n}) for kind in ("attention", "poe") for n in (8, 32)]
    member = {"kind": "beta", "beta": 0.2, "latent_dim": 8}
    of = {
        name: {"fusion": {"kind": "audio", "view": view}, "model": member}
        for name, view in zip("MS", VIEWS.values(), strict=True)
    }
    found += [
        Candidate(BOTH, views, {"kind": "late", "of": of, "combine": how}) for how in ("concat", "weighted", "pca")
    ]
    if left_out := set(shelf.shelf("model")) - {one.model["kind"] for one in found} - set(FRAMES):
        raise SystemExit(f"neither tried nor impossible: {', '.join(sorted(left_out))}")
    yield from found


def _models() -> Iterator[dict[str, Any]]:
    yield {"kind": "raw"}
    yield from ({"kind": "pca", "n_components": n} for n in (2, 4, 8, 16, 32, 64))
    yield from ({"kind": "autoencoder", "latent_dim": n} for n in LATENTS)
    yield from ({"kind": "beta", "beta": beta, "latent_dim": n} for beta in BETAS for n in LATENTS)
    yield from ({"kind": kind, "latent_dim": n} for kind in ("vae", "vade") for n in (8, 32))
    yield {"kind": "conv", "latent_dim": 8}
    yield from ({"kind": kind, "latent_dim": 8, **TOLD} for kind in LEAKS)


def _halves(collection: Collection, seed: int = 0) -> list[Collection]:
    order = np.random.default_rng(seed).permutation(len(collection))
    return [_part(collection, np.sort(half)) for half in np.array_split(order, 2)]


def _part(collection: Collection, rows: np.ndarray) -> Collection:
    """The tracks at `rows` alone; models that are told a label are told all of them."""
    labels = [collection.labels[row] for row in rows]
    return Collection(
        [collection.track_ids[row] for row in rows],
        [collection.contents[row] for row in rows],
        {name: view[rows] for name, view in collection.views.items()},
        {name: mask[rows] for name, mask in collection.masks.items()},
        labels,
        collection.label,
    )


def clusters(collection: Collection, config: Config, seed: int) -> dict[str, Any]:
    """Clusters of the latents, as digits side by side; nothing is scored here."""
    latents = experiment.encode(collection, experiment.fit(collection, config, seed))
    labels = shelf.part("clusterer", config.clusterer.kind)(latents.mu, config.clusterer, seed).labels
    return {"labels": "".join(map(str, labels))}


def _found(
    options: argparse.Namespace, base: dict[str, Any], half: Collection, made: list[Candidate], seeds: tuple[int, ...]
) -> list[list[np.ndarray]]:
    """Clusters of each candidate, int [n] a seed."""
    told = replace(half, condition=half.labels)
    jobs = [
        Job(
            f"{one.sees}, {one.model['kind']}",
            told if one.model["kind"] in LEAKS else half,
            check(base | {"fusion": one.fusion, "model": one.model}).plain(),
            seed,
        )
        for one in made
        for seed in seeds
    ]
    came = outcomes(jobs, clusters, options.cache / "experiments", options.workers)
    labels = [np.array(list(one["labels"]), np.int64) for one in came]
    return [labels[at : at + len(seeds)] for at in range(0, len(labels), len(seeds))]


def _tried(options: argparse.Namespace, base: dict[str, Any], half: Collection, made: list[Candidate]) -> list[Tried]:
    ami = shelf.part("metric", "ami")
    found = _found(options, base, half, made, CHOSEN_ON)
    return [
        Tried(
            one,
            one.sees,
            one.name,
            one.model["kind"] in BASELINES,
            one.model["kind"] in LEAKS,
            [float(ami(labels, half.labels).value) for labels in by_seed],
        )
        for one, by_seed in zip(made, found, strict=True)
    ]


def _confirmed(
    options: argparse.Namespace, base: dict[str, Any], half: Collection, tried: list[Tried], sees: str
) -> Confirmed:
    """The best model of `sees` and the best baseline of the same features, on tracks that had no say in the choice."""
    # The means are among the statistics: these are all that a model of both is given.
    basis = STATISTICS if sees == BOTH else sees
    best = max((one for one in tried if one.sees == sees and one.honest), key=lambda one: one.mean)
    baseline = max((one for one in tried if one.sees == basis and one.baseline), key=lambda one: one.mean)
    found = _found(options, base, half, [best.candidate, baseline.candidate], CONFIRMED_ON)
    scores = [
        [
            next(score for score in metrics.external_scores(labels, half.labels, seed=seed) if score.metric == "ami")
            for labels, seed in zip(by_seed, CONFIRMED_ON, strict=True)
        ]
        for by_seed in found
    ]
    return Confirmed(best, baseline, *scores, found, half.labels)


if __name__ == "__main__":
    main()
