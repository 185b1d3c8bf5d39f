"""What is imported when: a config is checked and help is given without ray, torch or librosa."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ray_pipeline import shelf

HEAVY = ("ray", "torch", "librosa", "sklearn", "umap", "plotly", "faster_whisper", "sentence_transformers")
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
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - start


def test_help_is_quick() -> None:
    """0.6 s where nothing else runs; what is asked here leaves room for a busy machine."""
    assert min(_seconds(COMMAND, "--help") for _ in range(3)) < 1.0
