"""Does any model find genres better than PCA and k-means on the same features? Everything that was tried, in one table.

    python bench/beyond.py --data ../shared/data --out docs/beyond.md

On the 1,990 real FMA rows, their 20 means and their 140 statistics. The best of each family is chosen by its AMI with genre
over three seeds, which uses the labels, so it is measured again over five fresh ones; the baseline is chosen likewise.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ray_pipeline import experiment, shelf
from ray_pipeline.collection import Collection
from ray_pipeline.config import Config, check

CHOSEN_ON, CONFIRMED_ON = range(3), range(100, 105)
VIEWS = ("mfcc_native", "fma_mfcc")
LATENTS = (2, 8, 32, 64)
BETAS = (0.05, 0.2, 1.0, 4.0, 8.0)
BASELINES = ("raw", "pca")


@dataclass(frozen=True)
class Tried:
    """One configuration, and its AMI with genre for each seed."""

    view: str
    model: dict[str, Any]
    amis: list[float]

    @property
    def mean(self) -> float:
        return statistics.mean(self.amis)

    @property
    def name(self) -> str:
        settings = ", ".join(f"{key} {value}" for key, value in self.model.items() if key != "kind")
        return f"{self.model['kind']}{f' ({settings})' if settings else ''}"


def main() -> None:
    """Print what was tried as it comes, and write the tables to ``--out``."""
    options = _options()
    with tempfile.TemporaryDirectory() as store:
        collection, base = collection_of_fma(options.data, store)
        tried = _try_all(collection, base, options.epochs)
    lines = _intro(options, len(collection))
    for view in VIEWS:
        lines += ["", f"## {view}", "", *_table([one for one in tried if one.view == view])]
        lines += ["", *_confirmed(collection, base, [one for one in tried if one.view == view], options.epochs)]
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def collection_of_fma(data: Path, store: str) -> tuple[Collection, dict[str, Any]]:
    """The 1,990 rows with both views and their genres, and the config that they were read with."""
    from ray_pipeline.stages.collection import read_collection
    from ray_pipeline.stages.context import Context
    from ray_pipeline.stages.import_features import import_features
    from ray_pipeline.stages.ingest import ingest

    fma = data / "fma"
    base = {
        "store": store,
        "source": {"kind": "fma", "root": str(fma), "labels_file": str(fma / "labels.csv")},
        "features": list(VIEWS),
        "lyrics": {"backend": "none"},
        "fusion": {"kind": "none"},
        "model": {"kind": "raw"},
        "scoring": {"label": "label"},
        "max_bad_fraction": 0.99,
    }
    ctx = Context.of(check(base), "beyond")
    ingest(ctx)
    import_features(ctx)
    return read_collection(ctx), base


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with fma/")
    parser.add_argument("--out", type=Path, default=Path("docs/beyond.md"))
    parser.add_argument("--epochs", type=int, default=100)
    return parser.parse_args()


def _models(view: str) -> Iterator[dict[str, Any]]:
    yield {"kind": "raw"}
    yield from ({"kind": "pca", "n_components": n} for n in (2, 4, 8, 16))
    yield from ({"kind": "autoencoder", "latent_dim": n} for n in LATENTS)
    yield from ({"kind": "beta", "beta": beta, "latent_dim": n} for beta in BETAS for n in LATENTS)
    if view == "fma_mfcc":
        yield from ({"kind": "conv", "latent_dim": n} for n in (8, 32))
    if "vade" in shelf.shelf("model"):
        yield from ({"kind": "vade", "latent_dim": n} for n in (8, 32))


def _try_all(collection: Collection, base: dict[str, Any], epochs: int) -> list[Tried]:
    found = []
    with ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=_quiet) as pool:
        waiting = [
            (
                view,
                model,
                [pool.submit(ami, collection, _config(base, view, model, epochs), seed) for seed in CHOSEN_ON],
            )
            for view in VIEWS
            for model in _models(view)
        ]
        for view, model, amis in waiting:
            found.append(Tried(view, model, [one.result() for one in amis]))
            print(f"{view} {found[-1].name}: {found[-1].mean:.3f}", flush=True)
    return found


def _quiet() -> None:
    import torch

    torch.set_num_threads(1)


def _config(base: dict[str, Any], view: str, model: dict[str, Any], epochs: int) -> dict[str, Any]:
    sections = {"fusion": {"kind": "audio", "view": view}, "model": model, "training": {"epochs": epochs}}
    return base | sections | {"clusterer": {"kind": "kmeans", "n_clusters": 8}}


def ami(collection: Collection, plain: dict[str, Any], seed: int) -> float:
    """AMI of the clusters with genre; nothing else is scored, for speed."""
    labels = _clusters(collection, check(plain), seed)
    return float(shelf.part("metric", "ami")(labels, collection.labels).value)


def _clusters(collection: Collection, config: Config, seed: int) -> Any:
    latents = experiment.encode(collection, experiment.fit(collection, config, seed))
    return shelf.part("clusterer", config.clusterer.kind)(latents.mu, config.clusterer, seed).labels


def _table(tried: list[Tried]) -> list[str]:
    head = ["| configuration | AMI with genre, 3 seeds |", "| --- | --- |"]
    ranked = sorted(tried, key=lambda one: -one.mean)
    return head + [f"| {one.name} | {one.mean:.3f} ± {statistics.stdev(one.amis):.3f} |" for one in ranked]


def _confirmed(collection: Collection, base: dict[str, Any], tried: list[Tried], epochs: int) -> list[str]:
    """The best model and the best baseline again, over fresh seeds, each with the outermost interval over tracks."""
    from ray_pipeline import metrics

    best = max((one for one in tried if one.model["kind"] not in BASELINES), key=lambda one: one.mean)
    baseline = max((one for one in tried if one.model["kind"] in BASELINES), key=lambda one: one.mean)
    lines, spans = [], []
    for one in (best, baseline):
        scores = []
        for seed in CONFIRMED_ON:
            labels = _clusters(collection, check(_config(base, one.view, one.model, epochs)), seed)
            (score,) = [s for s in metrics.external_scores(labels, collection.labels, seed=seed) if s.metric == "ami"]
            scores.append(score)
        values = [score.value for score in scores]
        low, high = min(score.ci_low for score in scores), max(score.ci_high for score in scores)
        spans.append((low, high))
        spread = f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"
        lines.append(f"- {one.name}: {spread} over {len(values)} fresh seeds, interval {low:.3f} to {high:.3f}")
    apart = spans[0][0] > spans[1][1]
    verdict = (
        "ahead of the baseline, intervals apart" if apart else "not ahead of the baseline by more than the intervals"
    )
    return ["Measured again:", "", *lines, "", f"**{best.name} is {verdict}.**"]


def _intro(options: argparse.Namespace, n: int) -> list[str]:
    return [
        "# Is any model better than PCA and k-means?",
        "",
        f"Made by `python bench/beyond.py`: {n:,} FMA rows (Rock and Hip-Hop), k-means with k = 8 on each model's latents,",
        f"{options.epochs} epochs. AMI with genre as mean ± standard deviation over three seeds. The best are chosen with the",
        "labels in sight, so that they are measured again on five seeds that had no say.",
    ]


if __name__ == "__main__":
    main()
