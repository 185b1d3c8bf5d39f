"""What one GPU is worth, and whether it gives the same answers: run on a machine that has one.

    python bench/gpu.py --data ../shared/data --whisper ../shared/models/whisper/tiny.en.pt --out docs/gpu.md

job        the whole job as a user gives it, with the GPU and (on every `--every`-th clip) without: a track's time by stage,
           and how long the GPU waited. Each clip is written `--copies` times, each begun half a second later, so that no
           two are alike.
words      the same clips heard in float16 on the GPU and in float32 on CPUs: word error rate, after OpenAI's normaliser
batches    windows a second by how many go through Whisper at once, and what happens where they do not fit
precision  one model in fp32 on a CPU, and in fp32, bf16 and fp16 on the GPU, on the same rows and seeds: the largest difference
           that can be told from that between seeds
fractions  one sweep, its trials alone on the GPU and a quarter of it each
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fma_rows import STATISTICS, VIEWS, collection_of_fma
from real_clips import read_clips
from whisper_agreement import distance, normalise

from ray_pipeline import experiment
from ray_pipeline.config import check
from ray_pipeline.store import Run, Store, latest_run

SHIFT_S = 0.5
BATCHES = (4, 16, 32, 64, 128)
PRECISIONS = (("fp32", "cpu"), ("fp32", "cuda"), ("bf16", "cuda"), ("fp16", "cuda"))
SEEN = {"kind": "audio", "view": VIEWS[STATISTICS]}
LATENTS = list(range(2, 34, 2))
METRICS = ("reconstruction", "silhouette_input", "ami")
QUIET = {"RAY_AUTH_MODE": "disabled", "TQDM_DISABLE": "1"}


def main() -> None:
    """Print each section as it is done, and write the page."""
    options = _options()
    sections: dict[str, Callable[[argparse.Namespace, Path], Iterator[str]]] = {
        "job": _job,
        "words": _words,
        "batches": _batches,
        "precision": _precision,
        "fractions": _fractions,
    }
    options.out.write_text("\n".join(_intro(options)) + "\n", encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only or sections:
            began = time.monotonic()
            for line in ["", f"## {name.capitalize()}", "", *sections[name](options, Path(folder))]:
                print(line, flush=True)
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
            print(f"({name}: {time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with clips/ and fma/")
    parser.add_argument("--whisper", type=Path, required=True, help="a checkpoint of openai-whisper")
    parser.add_argument("--text", default="all-MiniLM-L6-v2", help="text.model")
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--every", type=int, default=8, help="without the GPU, each of which files is taken")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("docs/gpu.md"))
    parser.add_argument("--only", nargs="*", choices=["job", "words", "batches", "precision", "fractions"])
    return parser.parse_args()


def _intro(options: argparse.Namespace) -> list[str]:
    import torch

    card, cores = torch.cuda.get_device_name(), len(os.sched_getaffinity(0))
    return [
        "# With a GPU",
        "",
        f"Made by `python bench/gpu.py` on one {card} with {cores} CPU cores, torch {torch.__version__}, Whisper",
        f"{options.whisper.stem}. Times are given as ratios.",
    ]


def _job(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    files = _library(options, folder / "music")
    some = folder / "some"
    some.mkdir()
    for path in files[:: options.every]:
        (some / path.name).hardlink_to(path)
    with_gpu = _run(options, folder / "music", folder / "gpu")
    without = _run(options, some, folder / "cpu", CUDA_VISIBLE_DEVICES="")
    yield f"{len(files)} files of 30 s; without the GPU {len(files[:: options.every])} of them."
    yield ""
    yield "| stage | a track without the GPU, over with | GPU idle |"
    yield "|---|---|---|"
    for stage in ("featurize", "transcribe", "embed"):
        idle = with_gpu.gpu_idle.get(stage)
        told = "–" if idle is None else f"{idle:.0%}".replace("%", " %")
        yield f"| {stage} | {with_gpu.rates[stage] / without.rates[stage]:.2f} | {told} |"


def _library(options: argparse.Namespace, folder: Path) -> list[Path]:
    """FLAC files made of the clips, each with its own content."""
    import soundfile

    folder.mkdir()
    for clip in read_clips(options.data):
        samples, rate = soundfile.read(clip.path, dtype="int16")
        for copy in range(options.copies):
            start = int(copy * SHIFT_S * rate)
            soundfile.write(folder / f"{clip.clip_id}-{copy}.flac", samples[start:], rate)
    return sorted(folder.iterdir())


def _run(options: argparse.Namespace, music: Path, store: Path, **environment: str) -> Run:
    """`jobs/run.py` in a process of its own; its record."""
    sections: dict[str, Any] = {
        "store": str(store),
        "source": {"kind": "folder", "root": str(music)},
        "features": ["mfcc", "mfcc_stats"],
        "lyrics": {"backend": "openai-whisper", "model": str(options.whisper)},
        "text": {"model": options.text},
        "fusion": {"kind": "concat"},
        "model": {"kind": "beta"},
        "scoring": {"seeds": 1},
    }
    _command("run", sections, store.with_suffix(".yaml"), environment)
    return latest_run(Store(str(store)))


def _command(name: str, sections: dict[str, Any], path: Path, environment: dict[str, str]) -> None:
    path.write_text(json.dumps(sections), encoding="utf-8")  # JSON is YAML
    command = [sys.executable, f"jobs/{name}.py", str(path)]
    subprocess.run(command, env=os.environ | QUIET | environment, check=True, stdout=sys.stderr)


def _words(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Of the files that both runs heard."""
    half, full = (_heard(folder / name) for name in ("gpu", "cpu"))
    both = sorted(half.keys() & full.keys())
    n_words = edits = 0
    for content in both:
        words = normalise(full[content]["text"] or "")
        n_words += len(words)
        edits += distance(words, normalise(half[content]["text"] or "")) if words else 0
    same = sum(half[content]["has_vocals"] == full[content]["has_vocals"] for content in both)
    yield f"Of {len(both)} files, {n_words:,} words by float32 on CPUs. On the GPU {edits / n_words:.1%} of them come out"
    yield f"otherwise; {same} of {len(both)} files are told alike to have words or none."


def _heard(store: Path) -> dict[str, dict[str, Any]]:
    from ray_pipeline import open_store

    return {row["content_hash"]: row for row in open_store(store).read("lyrics").to_pylist()}


def _batches(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    from ray_pipeline.lyrics.openai_whisper import OpenAIWhisper, Params

    windows = [window for clip in read_clips(options.data) for window in clip.windows(1)]
    windows = (windows * -(-256 // len(windows)))[:256]
    whisper = OpenAIWhisper(Params(model=str(options.whisper)), "cuda")
    rates = {}
    for batch in BATCHES:
        whisper.batch = batch
        whisper.transcribe(windows[:batch])
        start = time.monotonic()
        whisper.transcribe(windows)
        rates[batch] = len(windows) / (time.monotonic() - start)
    yield f"{len(windows)} windows of 30 s, one call."
    yield ""
    yield "| windows at once | " + " | ".join(map(str, BATCHES)) + " |"
    yield "|---|" + "---|" * len(BATCHES)
    yield "| windows a second, over those at 4 | " + " | ".join(f"{r / rates[4]:.1f}" for r in rates.values()) + " |"
    yield ""
    yield _without_room(whisper, windows[:16])


def _without_room(whisper: Any, windows: list[np.ndarray]) -> str:
    """What becomes of a batch on a card that has no room for it: the real error, by a cap on this process's memory."""
    import torch

    whisper.batch = len(windows)
    torch.cuda.reset_peak_memory_stats()
    free = whisper.transcribe(windows)
    least, most = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((least + (most - least) / 4) / whole)
    capped = whisper.transcribe(windows)
    torch.cuda.set_per_process_memory_fraction(1.0)
    same = sum(a.text == b.text for a, b in zip(free, capped, strict=True))
    return (
        f"With a quarter of the memory that {len(windows)} windows take, the card refuses them; they are heard"
        f" {whisper.batch} at a time, and {same} of {len(windows)} texts are the same."
    )


def _precision(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    collection, plain = collection_of_fma(options.data, str(folder / "fma"))
    yield f"{len(collection):,} rows of FMA's 140 statistics, {options.epochs} epochs; mean ± standard deviation over {options.seeds} seeds."
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


def _fractions(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    _, plain = collection_of_fma(options.data, str(folder / "fma"))
    walls = {}
    for share in (1.0, 0.25):
        tune = {"model.latent_dim": {"grid": LATENTS}, "gpus_per_trial": share, "cpus_per_trial": 1}
        told = {"model": {"kind": "conv"}, "scoring": plain["scoring"] | {"seeds": 1, "null_draws": 5}, "tune": tune}
        # A sweep's id knows nothing of the share: another seed makes another sweep.
        told |= {"fusion": SEEN, "training": {"epochs": options.epochs}, "seed": int(share == 1.0)}
        _command("sweep", plain | told, folder / "sweep.yaml", {})
        walls[share] = latest_run(Store(plain["store"])).seconds["sweep"]
    yield f"{len(LATENTS)} trials of a convolutional VAE: with a quarter of the GPU each,"
    yield f"{walls[1.0] / walls[0.25]:.1f} times as fast as one after another."


if __name__ == "__main__":
    main()
