"""Models' share of bench/gpu.py: precisions, and trials that share a GPU."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filled import STATISTICS, VIEWS, collection_of_fma

from ray_pipeline import experiment
from ray_pipeline.config import check
from ray_pipeline.store import Store, latest_run

PRECISIONS = (("fp32", "cpu"), ("fp32", "cuda"), ("bf16", "cuda"), ("fp16", "cuda"))
SEEN = {"kind": "audio", "view": VIEWS[STATISTICS]}
LATENTS = list(range(2, 34, 2))
METRICS = ("reconstruction", "silhouette_input", "ami")


def precisions(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    collection, plain = collection_of_fma(options.data, str(folder / "fma"))
    yield f"{len(collection):,} rows of FMA's 140 statistics, {options.epochs} epochs; mean ± standard deviation over"
    yield f"{options.seeds} seeds."
    for kind in ("beta", "conv"):
        yield ""
        yield f"| {kind} | {' | '.join(METRICS)} | time of a fit, over fp32 on a CPU thread |"
        yield "|---|" + "---|" * (len(METRICS) + 1)
        first = 0.0
        for precision, device in PRECISIONS:
            told = {"model": {"kind": kind}, "training": {"precision": precision, "epochs": options.epochs}}
            config = check(plain | told | {"fusion": SEEN, "scoring": plain["scoring"] | {"null_draws": 2}})
            found, seconds = [], 0.0
            for seed in range(options.seeds):
                start = time.monotonic()
                fitted = experiment.fit(collection, config, seed, device=device)
                seconds += time.monotonic() - start
                latents = experiment.encode(collection, fitted)
                found.append(_scores(experiment.evaluate(collection, fitted, latents, config, seed)))
            first = first or seconds
            cells = [_spread([scores[metric] for scores in found]) for metric in METRICS]
            yield f"| {precision}, {device} | {' | '.join(cells)} | {seconds / first:.2f} |"


def _scores(evaluation: Any) -> dict[str, float]:
    return {score.metric: score.value for score in evaluation.scores}


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.4f} ± {statistics.stdev(values) if len(values) > 1 else 0.0:.4f}"


def fractions(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    _, plain = collection_of_fma(options.data, str(folder / "fma"))
    walls = {}
    for share in (1.0, 0.25):
        tune = {"model.latent_dim": {"grid": LATENTS}, "gpus_per_trial": share, "cpus_per_trial": 1}
        told = {"model": {"kind": "conv"}, "scoring": plain["scoring"] | {"seeds": 1}, "tune": tune}
        # A sweep's id knows nothing of the share: another number of nulls makes another sweep.
        told["scoring"] |= {"null_draws": 5 + int(share == 1.0)}
        told |= {"fusion": SEEN, "training": {"epochs": options.epochs}}
        path = folder / "sweep.yaml"
        path.write_text(json.dumps(plain | told), encoding="utf-8")  # JSON is YAML
        environment = os.environ | {"RAY_AUTH_MODE": "disabled"}
        subprocess.run([sys.executable, "jobs/sweep.py", str(path)], env=environment, check=True, stdout=sys.stderr)
        walls[share] = latest_run(Store(plain["store"])).seconds["sweep"]
    yield f"{len(LATENTS)} trials of a convolutional VAE: with a quarter of the GPU each,"
    yield f"{walls[1.0] / walls[0.25]:.1f} times as fast as one after another."
