"""The README's commands, run as they stand there, on a small folder of tones; only what makes them quick is added."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest
from sounds import write

from ray_pipeline.store import open_store
from ray_pipeline.sweep import read_sweep

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# What makes a command quick, where it does not say otherwise itself.
QUICK = {
    "training.epochs": "2",
    "training.num_workers": "0",
    "scoring.seeds": "1",
    "scoring.null_draws": "2",
    "clusterer.n_clusters": "3",
    "resources.num_cpus": "2",
}
NO_WORDS = {"lyrics.backend": "none", "fusion.kind": "audio"}
# Lines that are not run here, by how they begin, and where what they do is seen.
ELSEWHERE = {
    "make demo": "no test runs it: it is the line that installs, and two minutes of work",
    "make test": "this test is part of it",
    "pip install": "the environment is there",
    "tensorboard": "tests/ray/test_tensorboard.py",
    "RAY_AUTH_MODE=disabled RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 ray start": "tests/ray/test_submit.py",
    "RAY_AUTH_MODE=disabled RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 ray-pipeline": "tests/ray/test_submit.py",
    "RAY_AUTH_MODE=token ray job submit": "tests/ray/test_submit.py",
    "ray-pipeline train ./out/mine --from-trial": "tests/ray/test_sweep_commands.py, with a trial's id",
    "ray-pipeline fetch-fma": "tests/unit/test_fetch_cli.py, from an archive of its own",
    "ray-pipeline ingest tune_configs/fma_full.yaml": "tests/ray/test_fma.py, on FMA's tables",
    "ray-pipeline import-features": "tests/ray/test_fma.py",
    "ray-pipeline sweep tune_configs/fma_full.yaml": "tests/unit/test_tune_configs.py makes its trials",
    "ray-pipeline audit": "tests of the audit: its dozens of trainings take minutes",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def lines() -> list[str]:
    return [line.split("   #")[0].strip() for block in blocks("sh") for line in block.splitlines() if line.strip()]


def commands() -> list[str]:
    ran = (line for line in lines() if line.startswith(("ray-pipeline", "python -c")))
    return [line for line in ran if not line.startswith(tuple(ELSEWHERE))]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with ~/Music and songs.csv in it, in which the README's commands were run, in their order."""
    home = tmp_path_factory.mktemp("home")
    names = [f"{letter}{i}.wav" for letter in "ab" for i in range(7)]
    for name in names:
        write(home / "Music" / name)
    rows = "\n".join(f"Music/{name},{name[0]}" for name in names)
    (home / "songs.csv").write_text(f"path,genre\n{rows}\n", encoding="utf-8")
    (home / "tune_configs").symlink_to(ROOT / "tune_configs")
    return home


def run_in(home: Path, command: str, quick: dict[str, str]) -> subprocess.CompletedProcess[str]:
    words = shlex.split(command)
    words[0] = str(Path(sys.executable).with_name(words[0]))
    if "--set" in words:
        said = {word.partition("=")[0] for word in words}
        words += [word for key, value in quick.items() if key not in said for word in ("--set", f"{key}={value}")]
    # Twelve clusters want more tracks than lie in this home.
    words = ["clusterer.n_clusters=3" if word == "clusterer.n_clusters=12" else word for word in words]
    words = [word.replace("~/", f"{home}/") if word.startswith("source.root=~") else word for word in words]
    env = {**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT)}
    env.pop("RAY_ADDRESS", None)
    return subprocess.run(words, cwd=home, env=env, capture_output=True, text=True, timeout=280, check=False)


def test_every_line_of_the_readme_is_run_somewhere() -> None:
    left = [line for line in lines() if line not in commands() and not line.startswith(tuple(ELSEWHERE))]
    assert left == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_of_the_readme_works(home: Path) -> None:
    assert len(commands()) >= 8
    for i, line in enumerate(commands()):
        quick = QUICK if i == 0 else QUICK | NO_WORDS  # the first hears words, too
        if line.startswith("ray-pipeline sweep"):
            quick = quick | {"tune.gates.reconstruction": "false"}  # two epochs rebuild worse than PCA
        command = line.replace(" ID", f" {winner(home)}") if line.endswith("--from-trial ID") else line
        done = run_in(home, command, quick)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert (home / "out/mine/report/index.html").is_file()
    assert len(list((home / "out/mine/report").glob("sweep-*.html"))) == 1
    notebook(home)


def winner(home: Path) -> str:
    """Id of the best trial of the README's sweep."""
    return str(read_sweep(open_store(home / "out/mine")).front[0]["trial_id"])


def notebook(home: Path) -> None:
    """The notebook's cell, on the store that the commands made."""
    (cell,) = [block for block in blocks("python") if "open_store" in block]
    code = cell.replace('"./out/mine"', repr(str(home / "out/mine")))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "silhouette" in done.stdout


def test_the_readme_shows_the_table_that_is_printed() -> None:
    """Its rows are those that a run with a label and artists ends with; their numbers are of 90 clips, and take minutes."""
    from ray_pipeline.cli.tables import SHOWN

    (table,) = [block for block in blocks("text") if block.startswith("scores over")]
    rows = [line.split()[0] for line in table.splitlines()[2:]]
    assert rows == [name for name in SHOWN if name not in {"coverage", "mig", "sap"}]


def test_the_readme_s_feature_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file it shows, on the shelf by the line it shows: what stages and contract tests ask of it is there."""
    from ray_pipeline import schemas, shelf
    from ray_pipeline.features import FEATURES
    from ray_pipeline.features.spectra import Spectra

    code, line = [block for block in blocks("python") if "zcr" in block]
    module = ModuleType("ray_pipeline.features.zcr")
    exec(compile(code, "README.md", "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    name, _, target = line.splitlines()[-1].strip().rstrip(",").partition(": ")
    monkeypatch.setitem(FEATURES, name.strip('"'), target.strip('"'))
    part = shelf.part("feature", "zcr")
    array = part()(Spectra(np.sin(np.arange(22050, dtype=np.float32)), 22050))
    assert (array.shape, array.dtype, part.rate, part.version) == (part.shape, part.dtype, "common", 1)
    assert array[0] == pytest.approx(1 / np.pi, abs=1e-3)
    assert "zcr" in schemas.feature("zcr", part.shape, pa.float32()).names
    assert shelf.params_of("feature", "zcr")().model_dump() == {"kind": ""}
