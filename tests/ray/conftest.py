"""A small folder of music, run once, and put back as it was then for each test."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from small_job import Run, runs_in
from sounds import write


@pytest.fixture(scope="session")
def _finished(ray_session: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Six WAV files of 2 s, no two alike, the store of a whole run over them, and a copy of both."""
    folder = tmp_path_factory.mktemp("finished")
    for name in "abcdef":
        write(folder / "music" / f"{name}.wav")
    first = runs_in(folder)()
    shutil.copytree(folder, folder.with_name("kept"))
    return folder, first


@pytest.fixture
def folder(_finished: tuple[Path, Any]) -> Path:
    """Holds ``music`` and the ``store`` of a run over it, as they were when that run ended, times of files and all."""
    folder, _ = _finished
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("kept"), folder)
    return folder


@pytest.fixture
def music(folder: Path) -> Path:
    return folder / "music"


@pytest.fixture
def first(folder: Path, _finished: tuple[Path, Any]) -> Any:
    """Context of the run that made the store."""
    return _finished[1]


@pytest.fixture
def run(folder: Path) -> Run:
    """A later run over the same store."""
    return runs_in(folder)


@pytest.fixture
def fresh(ray_session: Any, tmp_path: Path) -> Run:
    """Runs over ``music`` of `tmp_path` and a store of its own."""
    return runs_in(tmp_path)
