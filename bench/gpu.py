"""What one GPU is worth, and whether it gives the same answers: run on a machine that has one.

    python bench/gpu.py --data ../shared/data --whisper ../shared/models/whisper/tiny.en.pt --out docs/gpu.md

stages     up to text vectors, with the GPU and (on every `--every`-th clip) without: a track's time by stage, the start of
           its workers included, and how long the GPU waited. Each clip is written `--copies` times, each begun half a second
           later, so that no two are alike.
words      the same clips heard in float16 on the GPU and in float32 on CPUs: word error rate, after OpenAI's normaliser
batches    windows a second by how many go through Whisper at once, and with the library's own rules of decoding; the memory
           that they take; what happens where they do not fit
precision  one model in fp32 on a CPU, and in fp32, bf16 and fp16 on the GPU, on the same rows and seeds, with the spread of
           seeds
fractions  one sweep, its trials alone on the GPU and a quarter of it each
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from gpu_training import fractions, precisions
from gpu_whisper import batches
from real_clips import read_clips
from whisper_agreement import distance, normalise

from ray_pipeline.config import load
from ray_pipeline.store import Run, Store, latest_run

STAGES = ("ingest", "featurize", "transcribe", "embed")
SHIFT_S = 0.5
QUIET = {"RAY_AUTH_MODE": "disabled", "TQDM_DISABLE": "1"}


def main() -> None:
    """Print each section as it is done, and write the page."""
    options = _options()
    if options.child:
        return _child(options.child)
    sections: dict[str, Callable[[argparse.Namespace, Path], Iterator[str]]] = {
        "stages": _stages,
        "words": _words,
        "batches": batches,
        "precision": precisions,
        "fractions": fractions,
    }
    options.out.write_text("\n".join(_intro(options)) + "\n", encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only or sections:
            began = time.monotonic()
            for line in chain(["", f"## {name.capitalize()}", ""], sections[name](options, Path(folder))):
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
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--only", nargs="*", choices=["stages", "words", "batches", "precision", "fractions"])
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


def _stages(options: argparse.Namespace, folder: Path) -> Iterator[str]:
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
    for stage in STAGES:
        one, other = with_gpu[stage], without[stage]
        idle = one.gpu_idle.get(stage)
        told = "–" if idle is None else f"{idle:.0%}".replace("%", " %")
        yield f"| {stage} | {one.rates[stage] / other.rates[stage]:.2f} | {told} |"


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


def _run(options: argparse.Namespace, music: Path, store: Path, **environment: str) -> dict[str, Run]:
    """The stages in a process of their own; the record of each."""
    sections: dict[str, Any] = {
        "store": str(store),
        "source": {"kind": "folder", "root": str(music)},
        "features": ["mfcc", "mfcc_stats"],
        "lyrics": {"backend": "openai-whisper", "model": str(options.whisper)},
        "text": {"model": options.text},
    }
    path = store.with_suffix(".yaml")
    path.write_text(json.dumps(sections), encoding="utf-8")  # JSON is YAML
    command = [sys.executable, __file__, "--data", str(options.data), "--whisper", str(options.whisper)]
    subprocess.run([*command, "--child", str(path)], env=os.environ | QUIET | environment, check=True)
    there = Store(str(store))
    return {stage: latest_run(there, where=partial(_is_of, stage)) for stage in STAGES}


def _is_of(stage: str, run: Run) -> bool:
    return run.command == stage


def _child(path: Path) -> None:
    from ray_pipeline.stages import pipeline
    from ray_pipeline.stages.context import Context
    from ray_pipeline.stages.session import session

    with session():
        for stage in STAGES:
            ctx = Context.of(load(path), stage)
            ctx.say = partial(print, file=sys.stderr, flush=True)
            pipeline.run(ctx, stage)


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


if __name__ == "__main__":
    main()
