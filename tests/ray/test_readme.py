"""The README's commands, run as they stand there, on a small folder of tones; only what makes them quick is added."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from sounds import write

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
QUICK = (
    "training.epochs=2 training.num_workers=0 scoring.seeds=1 scoring.null_draws=2 "
    "clusterer.n_clusters=3 resources.num_cpus=2 lyrics.backend=none fusion.kind=audio"
)
# Needs a Ray head that is running; `tests/ray` submits jobs to one elsewhere.
NEEDS_HEAD = ("ray job submit", "ray start", "--address auto")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def commands() -> list[str]:
    lines = [line.split("   #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith(("ray-pipeline", "python -c"))]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with ~/Music and songs.csv in it, in which the README's commands were run, in their order."""
    home = tmp_path_factory.mktemp("home")
    names = [f"{letter}{i}.wav" for letter in "ab" for i in range(4)]
    for name in names:
        write(home / "Music" / name)
    rows = "\n".join(f"Music/{name},{name[0]}" for name in names)
    (home / "songs.csv").write_text(f"path,genre\n{rows}\n", encoding="utf-8")
    (home / "tune_configs").symlink_to(ROOT / "tune_configs")
    return home


def run_in(home: Path, command: str) -> subprocess.CompletedProcess[str]:
    words = shlex.split(command)
    if words[0] == "ray-pipeline":
        words[:1] = [sys.executable, "-m", "ray_pipeline.cli.main"]
        if "--set" in words:
            words += [word for setting in QUICK.split() for word in ("--set", setting)]
    else:
        words[0] = sys.executable
    words = [word.replace("~/", f"{home}/") if word.startswith("source.root=~") else word for word in words]
    env = {**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT)}
    env.pop("RAY_ADDRESS", None)
    return subprocess.run(words, cwd=home, env=env, capture_output=True, text=True, timeout=280, check=False)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_of_the_readme_works(home: Path) -> None:
    lines = commands()
    assert len(lines) >= 8
    for line in lines:
        if any(word in line for word in NEEDS_HEAD):
            continue
        done = run_in(home, line)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert (home / "out/mine/report/index.html").is_file()
    notebook(home)


def notebook(home: Path) -> None:
    """The notebook's cell, on the store that the commands made."""
    (cell,) = [block for block in blocks("python") if "open_store" in block]
    code = cell.replace('"./out/mine"', repr(str(home / "out/mine")))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "silhouette" in done.stdout


def test_the_readme_shows_real_scores() -> None:
    assert "@@" not in README
    assert re.search(r"ami +\d\.\d+ ± \d\.\d+", README)
