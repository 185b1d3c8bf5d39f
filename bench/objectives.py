"""Which objective, without labels, may a sweep trust? Every candidate held against AMI on three real collections.

    nice -n 15 python bench/objectives.py --data ../shared/data --out docs/objective.md

The trials are those of tune_configs/beta.yaml: β by latent size, k-means with k = 8. An objective is chosen on
the 20 means of 1,990 FMA rows alone, and then looked at, unchanged, on their 140 statistics and on 90 other clips. What a
trial came to is kept under ``--cache``, so that the same command goes on where it was interrupted. With two seeds about 25
minutes of one quiet core; three, as the file has, take half as long again.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from filled import collection_of, source_of_clips, source_of_fma
from objectives_page import page
from objectives_picture import picture

from ray_pipeline import experiment
from ray_pipeline.collection import Collection
from ray_pipeline.config import Config, check, load
from ray_pipeline.space import Gates
from ray_pipeline.stages.session import WORKER_ENV
from ray_pipeline.sweep import Trial, config_of, judge, trial_of, trials
from ray_pipeline.sweep.trials import VERSION

CONFIG = Path(__file__).parents[1] / "tune_configs/beta.yaml"
SCORING = {"null_draws": 5, "permutations": 10}
BASELINES = ({"model.kind": "raw"}, {"model.kind": "pca"})
SPACES = {"20 means": ("mfcc_native",), "140 statistics": ("fma_mfcc",), "both": ("fma_mfcc", "mfcc_native")}


@dataclass(frozen=True)
class Dataset:
    """One collection, the config of its sweep, and what its trials came to: {"point", "metrics", "spread", "reason", …}."""

    name: str
    config: Config
    collection: Collection
    outcomes: list[dict[str, Any]]
    baselines: list[dict[str, Any]]


def main() -> None:
    """Run what is not run yet, print the tables, and write them and the picture."""
    options = _options()
    start = time.monotonic()
    datasets = []
    for name, config in _configs(options):
        stages = ("ingest", "import-features" if config.source.kind == "fma" else "featurize")
        collection = collection_of(config, *stages)
        made = [*trials(config), *(trial_of(config, point) for point in BASELINES)]
        outcomes = _outcomes(options, name, config, collection, made)
        datasets.append(Dataset(name, config, collection, outcomes[: -len(BASELINES)], outcomes[-len(BASELINES) :]))
    text = page(datasets, _across(datasets))
    print(text)
    options.out.write_text(text, encoding="utf-8")
    options.out.with_suffix(".svg").write_text(picture(datasets), encoding="utf-8")
    print(f"{time.monotonic() - start:.0f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with fma/ and clips/")
    parser.add_argument("--cache", type=Path, default=Path("out/objectives"), help="stores, and what trials came to")
    parser.add_argument(
        "--out", type=Path, default=Path("docs/objective.md"), help="the picture lies beside it, as .svg"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes, each with one thread")
    parser.add_argument("--seeds", type=int, default=2, help="models a trial")
    return parser.parse_args()


def _configs(options: argparse.Namespace) -> Iterator[tuple[str, Config]]:
    """The three sweeps; `tune_configs/beta.yaml` but for the data that they read."""
    plain = load(CONFIG).plain()
    plain["scoring"] |= SCORING | {"seeds": options.seeds}
    fma = source_of_fma(options.data)
    both = {"source": fma, "store": str(options.cache / "fma"), "features": ["mfcc_native", "fma_mfcc"]}
    yield "FMA, 20 means", check(plain | both | {"fusion": {"kind": "audio", "view": "mfcc_native"}})
    yield "FMA, 140 statistics", check(plain | both | {"fusion": {"kind": "audio", "view": "fma_mfcc"}})
    clips = source_of_clips(options.data)
    told = {"source": clips, "store": str(options.cache / "clips"), "features": ["mfcc"], "fusion": {"kind": "audio"}}
    yield "90 clips, 20 means", check(plain | told | {"scoring": plain["scoring"] | {"label": "collection"}})


def _outcomes(
    options: argparse.Namespace, name: str, config: Config, collection: Collection, made: list[Trial]
) -> list[dict[str, Any]]:
    """What each trial came to, in their order: read where it is kept, else run and kept."""
    folder = options.cache / "trials" / f"{collection.digest()}-v{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{trial.name}.json" for trial in made]
    missing = [(trial, path) for trial, path in zip(made, paths, strict=True) if not path.exists()]
    print(f"{name}: {len(collection):,} tracks, {len(missing)} of {len(made)} trials to run", flush=True)
    # One thread a worker, as in a sweep: two processes on two cores would wait for each other's threads.
    os.environ.update(WORKER_ENV)
    began, ended = time.monotonic(), 0
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        running = {pool.submit(run_trial, collection, config, dict(trial.point)): path for trial, path in missing}
        for done in as_completed(running):
            outcome, path = done.result(), running[done]
            draft = path.with_suffix(".tmp")
            draft.write_text(json.dumps(outcome), encoding="utf-8")
            draft.replace(path)
            ended += 1
            left = (time.monotonic() - began) / ended * (len(missing) - ended) / 60
            print(
                f"{name}: {outcome['point']} in {outcome['seconds']:.0f} s; about {left:.0f} min left of it", flush=True
            )
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def run_trial(collection: Collection, config: Config, point: dict[str, Any]) -> dict[str, Any]:
    """One trial with all its seeds, judged as a sweep judges it; `labels` holds the clusters of each seed."""
    from ray_pipeline import metrics, shelf

    start = time.monotonic()
    told = config_of(config, point)
    seeds = [told.seed + at for at in range(told.scoring.seeds)]
    fitted = [experiment.fit(collection, told, seed) for seed in seeds]
    latents = [experiment.encode(collection, one) for one in fitted]
    found = [
        experiment.evaluate(collection, *pair, told, seed) for seed, *pair in zip(seeds, fitted, latents, strict=True)
    ]
    part = shelf.part("clusterer", told.clusterer.kind)
    stability = metrics.seeds_stability(
        [one.mu for one in latents],
        [one.labels for one in found],
        clusters=[lambda x, seed: part(x, told.clusterer, seed).labels] * len(seeds),
        seeds=seeds,
        null_draws=told.scoring.null_draws,
    )
    scores = [[*one.scores, *([stability] if stability else [])] for one in found]
    verdict = judge(scores, [one.labels for one in found], ["silhouette_input"], Gates())
    diverged = [note for one in fitted if one.card["status"] != "ok" for note in one.card["notes"]]
    return {
        "point": point,
        "metrics": dict(verdict.metrics),
        "spread": dict(verdict.spread),
        "reason": "; ".join([*diverged, verdict.reason][:1]),
        "labels": ["".join(map(str, one.labels)) for one in found],
        "seconds": time.monotonic() - start,
    }


def _across(datasets: list[Dataset]) -> dict[str, Any]:
    """Trials on the means and on the statistics as one sweep: what each space, as the yardstick of all, would make of it.

    Outcome: space → metric → [n_trials]; "own" is the space that each trial's model was given.
    """
    from ray_pipeline.collection import yardstick
    from ray_pipeline.metrics.internal import davies_bouldin_input, silhouette_input

    fma = datasets[:2]
    views = {view: x for one in fma for view, x in one.collection.views.items()}
    if fma[0].collection.track_ids != fma[1].collection.track_ids:
        raise SystemExit("the two sets of FMA features are not of the same tracks")
    found: dict[str, Any] = {}
    for name, wanted in SPACES.items():
        whole = fma[0].collection
        space = yardstick(Collection(whole.track_ids, whole.contents, {view: views[view] for view in wanted}, {}))
        for metric in (silhouette_input, davies_bouldin_input):
            found.setdefault(name, {})[metric.name] = [
                float(np.mean([metric(space, _labels(text)).value for text in outcome["labels"]]))
                for one in fma
                for outcome in one.outcomes
            ]
    names = ("silhouette_input", "davies_bouldin_input")
    own = {name: [outcome["metrics"][name] for one in fma for outcome in one.outcomes] for name in names}
    return {"own": own, **found}


def _labels(text: str) -> Any:
    """Clusters of up to ten, written side by side."""
    return np.array(list(text), np.int32)


if __name__ == "__main__":
    main()
