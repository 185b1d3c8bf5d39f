"""What is imported when: a config is checked and help is given without ray, torch or librosa."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ray_pipeline import shelf

HEAVY = ("ray", "torch", "librosa", "sklearn", "umap", "plotly", "faster_whisper", "sentence_transformers", "boto3")
COMMAND = str(Path(sys.executable).with_name("ray-pipeline"))

PARTS = sorted({address.split(":")[0] for name in shelf.SHELVES for address in shelf.shelf(name).values()})


def heavy_after(code: str) -> list[str]:
    """Which of `HEAVY` are loaded in a new process that ran `code`."""
    tail = f"\nimport sys; print(*[n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + tail], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    "module",
    [
        "ray_pipeline",
        "ray_pipeline.config",
        "ray_pipeline.cli.main",
        "ray_pipeline.store",
        "ray_pipeline.stages.pipeline",
    ],
)
def test_module_loads_nothing_heavy(module: str) -> None:
    assert heavy_after(f"import {module}") == []


def test_parts_load_nothing_heavy() -> None:
    """All shelves in one process; a part that fails is named by the second look."""
    if heavy_after("\n".join(f"import {module}" for module in PARTS)):
        guilty = {module: heavy_after(f"import {module}") for module in PARTS}
        assert {module: found for module, found in guilty.items() if found} == {}


def test_config_is_checked_without_anything_heavy(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("source: {kind: folder, root: /music}\n")
    assert heavy_after(f"from ray_pipeline.config import load; load({str(path)!r}, ['model.kind=beta'])") == []


def _seconds(*command: str) -> float:
    """CPU seconds that a command takes: what else runs on the machine has little say in them."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_is_quick() -> None:
    assert min(_seconds(COMMAND, "--help") for _ in range(3)) < 0.6
