"""Whether single latents stand for tempo, key, loudness, brightness or collection, on the 90 real clips.

    python bench/disentanglement.py --data ../shared/data --out docs/disentanglement.md

MFCC statistics, several models and seeds; MIG, SAP and DCI of each, beside what factors dealt to other tracks score.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filled import collection_of, source_of_clips

from ray_pipeline import experiment, metrics
from ray_pipeline.collection import Collection
from ray_pipeline.config import check
from ray_pipeline.stages.session import one_thread

FACTORS = ["tempo", "key", "loudness", "brightness", "label"]
MODELS: tuple[dict[str, Any], ...] = (
    {"kind": "pca", "n_components": 8},
    {"kind": "autoencoder", "latent_dim": 8},
    {"kind": "beta", "beta": 0.2, "latent_dim": 8},
    {"kind": "beta", "beta": 1.0, "latent_dim": 8},
    {"kind": "beta", "beta": 4.0, "latent_dim": 8},
)
SHOWN = ("mig", "sap", "dci")
ALPHA = 0.05


def main() -> None:
    """Print the page as it comes, and write it to ``--out``."""
    options = _options()
    base = {
        "store": str(options.store),
        "source": source_of_clips(options.data),
        "features": ["mfcc_stats", "tempo_key_loudness", "brightness"],
        "lyrics": {"backend": "none"},
        "fusion": {"kind": "audio", "view": "mfcc_stats"},
        "training": {"epochs": options.epochs},
        "clusterer": {"kind": "kmeans", "n_clusters": 8},
        "scoring": {"label": "collection", "factors": FACTORS},
    }
    collection = collection_of(check(base), "ingest", "featurize")
    lines = list(_intro(collection, options))
    for model in MODELS:
        with one_thread():
            rows = list(_rows(collection, check(base | {"model": model}), model, options.seeds))
        print("\n".join(rows), flush=True)
        lines += rows
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with clips/")
    parser.add_argument("--out", type=Path, default=Path("docs/disentanglement.md"))
    parser.add_argument("--store", type=Path, default=Path("out/disentanglement"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    return parser.parse_args()


def _intro(collection: Collection, options: argparse.Namespace) -> Iterator[str]:
    yield "# Do single latents stand for anything?"
    yield ""
    yield f"Made by `python bench/disentanglement.py`: {len(collection)} clips, their MFCC statistics, {options.seeds} seeds,"
    yield f"{options.epochs} epochs. Factors: tempo (beats a minute), key, loudness (LUFS), brightness (Hz), collection."
    yield "No model is told them. `chance` is what the same factors score once they are dealt to other tracks; above it means"
    yield f"p of at most {ALPHA} with every seed. How each is computed and from which definition: `ray_pipeline/metrics/`."
    yield ""
    yield "| model | score | value ± sd over seeds | chance | largest p | above chance |"
    yield "| --- | --- | --- | --- | --- | --- |"


def _rows(collection: Collection, config: Any, model: dict[str, Any], seeds: int) -> Iterator[str]:
    found: dict[str, list[metrics.Score]] = {}
    for seed in range(seeds):
        for score in experiment.run(collection, config, seed)[2].scores:
            found.setdefault(score.metric, []).append(score)
    name = ", ".join(f"{key} {value}" for key, value in model.items() if key != "kind")
    for metric in (metric for metric in found if metric.startswith(SHOWN) and "@" not in metric):
        scores = found[metric]
        values, p = [score.value for score in scores], max(score.p for score in scores)
        chance, above = statistics.mean(score.chance for score in scores), "yes" if p <= ALPHA else "no"
        spread = f"{statistics.mean(values):.3f} ± {statistics.stdev(values) if len(values) > 1 else 0.0:.3f}"
        yield f"| {model['kind']} ({name}) | {metric} | {spread} | {chance:.3f} | {p:.3f} | {above} |"


if __name__ == "__main__":
    main()
