"""What the Free Music Archive's whole collection costs from its tables alone: seconds and memory, stage by stage.

    python bench/fma_full.py --data ../shared/data/fma --out docs/fma_full.md

Real rows are drawn anew, each number moved by a tenth of its column's spread, and written out as FMA publishes them: a
tracks.csv of two header rows, a features.csv of 518 columns. Then `ingest`, `import-features`, `train` (one Beta-VAE) and
`evaluate` (k-means, silhouettes on sampled rows) run as commands of their own. Memory is what the command and all that it
starts hold at one time (PSS, so that shared pages count once), looked at twice a second.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

STAGES = ("ingest", "import-features", "train", "evaluate")
MARK = "RAY_PIPELINE_BENCH"
LAST_ID = 155_320
LIMIT_S, LIMIT_GIB = 20 * 60, 16
STATISTICS = ("kurtosis", "max", "mean", "median", "min", "skew", "std")
# How many numbers each of FMA's features has; times seven statistics, 518 columns.
WIDTHS = {
    "chroma_cens": 12, "chroma_cqt": 12, "chroma_stft": 12, "mfcc": 20, "rmse": 1, "spectral_bandwidth": 1,
    "spectral_centroid": 1, "spectral_contrast": 7, "spectral_rolloff": 1, "tonnetz": 6, "zcr": 1,
}  # fmt: skip
COLUMNS = [(name, one, number + 1) for name, width in WIDTHS.items() for one in STATISTICS for number in range(width)]
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fma"), help="folder that has fma_metadata/")
    parser.add_argument("--tracks", type=int, default=106_574)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep tables and store there; default: a temporary folder")
    parser.add_argument("--out", type=Path, help="a page of what came of it")
    options = parser.parse_args()
    measured = {}
    with tempfile.TemporaryDirectory(prefix="fma-full-") as temporary:
        folder = options.folder or Path(temporary)
        config = _write(folder, options)
        for stage in STAGES:
            measured[stage] = _measured(stage, config)
            print(f"{stage}: {measured[stage][0]:.0f} s", flush=True)
        last = (folder / "evaluate.txt").read_text(encoding="utf-8").replace(str(folder), "…")
    page = _page(options, measured, last)
    print(page)
    if options.out:
        options.out.write_text(page, encoding="utf-8")


def _page(options: argparse.Namespace, measured: dict[str, tuple[float, float, float]], last: str) -> str:
    """Stage by stage: (wall s, CPU s, peak MiB); `last` is what the last stage said."""
    wall, cpu, peak = zip(*measured.values(), strict=True)
    rows = {**measured, "all": (sum(wall), sum(cpu), max(peak))}
    return "\n".join(
        [
            "# The whole archive from its tables",
            "",
            f"Made by `python bench/fma_full.py` in one run on {os.cpu_count()} CPUs: {options.tracks:,} rows drawn",
            f"from the real ones with noise, under the archive's ids; one Beta-VAE of {options.epochs} epochs on the",
            "140 statistics, k-means with k = 8, silhouettes on sampled rows.",
            f"Aimed at: {LIMIT_S // 60} minutes and {LIMIT_GIB} GiB. Memory is what a command and all that it",
            "starts hold at one time, shared pages counted once.",
            "",
            f"| stage | seconds | of {LIMIT_S // 60} minutes | CPU seconds | peak MiB | of {LIMIT_GIB} GiB |",
            "| --- | --- | --- | --- | --- | --- |",
            *(
                f"| {stage} | {wall:,.0f} | {wall / LIMIT_S:.0%} | {cpu:,.0f} | {peak:,.0f} | {peak / 1024 / LIMIT_GIB:.0%} |"
                for stage, (wall, cpu, peak) in rows.items()
            ),
            "",
            "What the last stage said:",
            "",
            *(f"    {line}" for line in last.strip().splitlines()),
            "",
        ]
    )


def _write(folder: Path, options: argparse.Namespace) -> Path:
    """The made-up tables, and a config that runs on them; its path."""
    real = options.data / "fma_metadata"
    target = folder / "fma_metadata"
    target.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(options.seed)
    ids = np.sort(rng.choice(np.arange(2, LAST_ID + 1), options.tracks, replace=False))
    (target / "genres.csv").write_bytes((real / "genres.csv").read_bytes())
    _write_tracks(real / "tracks.csv", target / "tracks.csv", ids, rng)
    _write_features(real / "features.csv", target / "features.csv", ids, rng)
    config = {
        "store": str(folder / "store"),
        "source": {"kind": "fma", "root": str(folder)},
        "features": ["fma_mfcc", "mfcc_native"],
        "lyrics": {"backend": "none"},
        "fusion": {"kind": "audio", "view": "fma_mfcc"},
        "model": {"kind": "beta", "beta": 4},
        "training": {"epochs": options.epochs},
        "scoring": {"label": "genre_top", "seeds": 1},
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def _write_tracks(source: Path, target: Path, ids: Any, rng: np.random.Generator) -> None:
    with source.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    header, rows = rows[:3], rows[3:]
    with target.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerows(header)
        table.writerows(
            [track, *rows[at][1:]] for track, at in zip(ids, rng.integers(len(rows), size=len(ids)), strict=True)
        )


def _write_features(source: Path, target: Path, ids: Any, rng: np.random.Generator) -> None:
    with source.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    names = list(zip(*(row[1:] for row in rows[:3]), strict=True))
    real = np.array([row[1:] for row in rows[4:] if all(row)], np.float64)
    real = real[:, [names.index((name, one, f"{number:02d}")) for name, one, number in COLUMNS if name == "mfcc"]]
    first = next(at for at, column in enumerate(COLUMNS) if column[0] == "mfcc")
    # What is not MFCC is never looked at, so it may be the same in every row.
    before = ",".join(f"{number:.15f}" for number in rng.random(first))
    after = ",".join(f"{number:.15f}" for number in rng.random(len(COLUMNS) - first - real.shape[1]))
    spread = real.std(axis=0)
    with target.open("w", encoding="utf-8") as file:
        for level, text in enumerate(("feature", "statistics", "number")):
            cells = [f"{column[level]:02d}" if level == 2 else str(column[level]) for column in COLUMNS]
            file.write(",".join([text, *cells]) + "\n")
        file.write("track_id" + "," * len(COLUMNS) + "\n")
        for track in ids:
            numbers = real[rng.integers(len(real))] + 0.1 * spread * rng.normal(size=len(spread))
            file.write(f"{track},{before},{','.join(map(str, numbers))},{after}\n")


def _measured(stage: str, config: Path) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MiB of one command and all that it starts."""
    word = f"{os.getpid()}-{stage}"
    command = [str(Path(sys.executable).with_name("ray-pipeline")), stage, str(config), "--quiet"]
    with (config.parent / f"{stage}.txt").open("w", encoding="utf-8") as said:
        start = time.monotonic()
        job = subprocess.Popen(command, env=os.environ | {MARK: word}, stdout=said, stderr=subprocess.STDOUT)
        cpu: dict[int, float] = {}
        peak = 0.0
        while job.poll() is None:
            held = 0.0
            for process in _marked(word):
                held += _mebibytes(process)
                cpu[int(process.name)] = max(cpu.get(int(process.name), 0.0), _cpu_seconds(process))
            peak = max(peak, held)
            time.sleep(0.5)
        wall = time.monotonic() - start
    if job.returncode:
        raise SystemExit((config.parent / f"{stage}.txt").read_text(encoding="utf-8"))
    return wall, sum(cpu.values()), peak


def _marked(word: str) -> list[Path]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={word}".encode() in (path / "environ").read_bytes().split(b"\0"):
                found.append(path)
        except OSError:
            continue
    return found


def _mebibytes(process: Path) -> float:
    try:
        lines = (process / "smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _cpu_seconds(process: Path) -> float:
    try:
        fields = (process / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


if __name__ == "__main__":
    main()
