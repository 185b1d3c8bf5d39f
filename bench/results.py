"""Every backend, fusion and model of the study's system on real songs, in one table.

    python bench/results.py --data ../shared/data --whisper ../shared/models/whisper/tiny.en.pt --out docs/results.md

The 90 clips with the label `collection`, and the ten FMA clips without one (ten tracks can hold no label to account). The
stages fill a store once a backend; then each fusion meets each model in this process, over several seeds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any

from filled import source_of_clips

from ray_pipeline import experiment
from ray_pipeline.config import Config, check
from ray_pipeline.errors import RayPipelineError
from ray_pipeline.fusion import FUSIONS, LYRICS
from ray_pipeline.shelf import params_of, part
from ray_pipeline.stages.collection import read_collection
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.embed import embed
from ray_pipeline.stages.featurize import featurize
from ray_pipeline.stages.ingest import ingest
from ray_pipeline.stages.session import one_thread, session
from ray_pipeline.stages.transcribe import transcribe

# The study's four and their baselines; what goes beyond them is in bench/models.py.
MODELS = ("raw", "pca", "autoencoder", "vae", "beta", "conv", "cvae")
COLUMNS = ("silhouette", "silhouette_input", "ami", "ami_missing", "collapsed")


def main() -> None:
    """Print the table, and write it to ``--out``."""
    options = _options()
    lines = _intro(options)
    with session(), tempfile.TemporaryDirectory() as store:
        for name, source, label, k in _collections(options.data):
            for backend in _backends(options):
                base = _base(store, name, source, label, k, backend, options)
                lines += ["", f"## {name}, {_words(base, backend)}", "", *_head()]
                fusions = _fusions(hears=backend["backend"] != "none")
                for row in _rows(base, [one for one in fusions if one in (options.only or fusions)], options.seeds):
                    print(row, flush=True)
                    lines.append(row)
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _words(base: dict[str, Any], backend: dict[str, str]) -> str:
    """Fill the store, and say how many tracks have words."""
    ctx = Context.of(check(base | {"fusion": {"kind": "none"}}), "results")
    for stage in (ingest, featurize, transcribe, embed):
        stage(ctx)
    if backend["backend"] == "none":
        return "audio alone"
    return f"{backend['backend']}: {ctx.run.statuses['text_vectors'].get('ok', 0)} tracks with words"


def _fusions(hears: bool) -> list[str]:
    """Those that read words, or those that read none, which are the same whatever the backend."""
    needs = {kind: part("fusion", kind)(params_of("fusion", kind)()).needs for kind in FUSIONS}
    return [kind for kind, views in needs.items() if (not views or LYRICS in views) == hears]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with clips/ and fma/")
    parser.add_argument(
        "--whisper", type=Path, help="a checkpoint for openai-whisper; without it that backend is left out"
    )
    parser.add_argument("--out", type=Path, default=Path("docs/results.md"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=sorted(FUSIONS), help="fusions; all where none is named")
    return parser.parse_args()


def _collections(data: Path) -> Iterator[tuple[str, dict[str, str], str | None, int]]:
    yield "90 clips", source_of_clips(data), "collection", 8
    yield "10 FMA clips", {"kind": "folder", "root": str(data / "fma/fma_small")}, None, 3


def _backends(options: argparse.Namespace) -> list[dict[str, str]]:
    found = [{"backend": "none"}, {"backend": "faster-whisper", "model": "tiny.en"}]
    if options.whisper:
        found.append({"backend": "openai-whisper", "model": str(options.whisper)})
    return found


def _base(
    store: str,
    name: str,
    source: dict[str, str],
    label: str | None,
    k: int,
    backend: dict[str, str],
    options: argparse.Namespace,
) -> dict[str, Any]:
    return {
        "store": str(Path(store) / name.replace(" ", "-")),
        "source": source,
        "features": ["mfcc", "mfcc_stats"],
        "lyrics": backend,
        "clusterer": {"kind": "kmeans", "n_clusters": k},
        "scoring": {"label": label, "seeds": options.seeds},
        "resources": {"num_cpus": 2},
    }


def _rows(base: dict[str, Any], fusions: list[str], seeds: int) -> Iterator[str]:
    for fusion in fusions:
        for model in MODELS:
            sections: dict[str, Any] = {"fusion": {"kind": fusion}, "model": {"kind": model}}
            if model == "cvae":
                # The study conditions on the genre; of labels that clusters are held against, that is a leak.
                sections["model"]["condition"] = {"label": base["scoring"]["label"] or "artist"}
            try:
                with one_thread():
                    yield _row(fusion, model, _scores(check(base | sections), seeds))
            except RayPipelineError as error:
                yield f"| {fusion} | {model} | not possible here: {error} |" + " |" * (len(COLUMNS) - 1)


def _scores(config: Config, seeds: int) -> dict[str, list[Any]]:
    collection = read_collection(Context.of(config, "results"))
    found: dict[str, list[Any]] = {}
    for seed in range(seeds):
        _, _, evaluation = experiment.run(collection, config, seed)
        for score in evaluation.scores:
            found.setdefault(score.metric, []).append(score)
    return found


def _head() -> list[str]:
    names = " | ".join(COLUMNS)
    return [f"| fusion | model | {names} |", "|" + " --- |" * (len(COLUMNS) + 2)]


def _row(fusion: str, model: str, scores: dict[str, list[Any]]) -> str:
    cells = [_cell(scores.get(name, [])) for name in COLUMNS]
    leak = " (label leak)" if any("label leak" in score.note for score in scores.get("ami", [])) else ""
    return f"| {fusion} | {model}{leak} | " + " | ".join(cells) + " |"


def _cell(scores: list[Any]) -> str:
    """Mean ± spread over seeds; beside it what chance scores, and the largest p."""
    if not scores:
        return "–"
    values = [score.value for score in scores]
    if scores[0].metric == "collapsed":
        return f"{sum(values):.0f} of {len(values)}"
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    shown = f"{statistics.mean(values):.3f} ± {spread:.3f}"
    null = [score.null_mean if isfinite(score.null_mean) else score.chance for score in scores]
    p = max(score.p for score in scores)
    return f"{shown} ({statistics.mean(null):.3f}, p {p:.3f})" if isfinite(p) else shown


def _intro(options: argparse.Namespace) -> list[str]:
    return [
        "# Every backend, fusion and model on real songs",
        "",
        f"Made by `python bench/results.py`, {options.seeds} seeds each: mean ± standard deviation over seeds, in brackets",
        "what chance or structureless data scores, and the largest p. `silhouette_input` is that of the same clusters in the",
        "standardised audio features; `ami_missing` compares clusters with 'has lyrics' and should be near 0. Fusions that",
        "read no words stand under 'audio alone', since no backend changes them. Models of several views, of frames, of",
        "labels and of other models are compared by `bench/models.py`.",
    ]


if __name__ == "__main__":
    main()
