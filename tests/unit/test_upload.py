"""What `ray job submit` would take along, by Ray's own packaging, and what `runtime_env.yaml` asks nodes to install."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
import yaml

from ray_pipeline.sources.folder import AUDIO_ENDINGS

ROOT = Path(__file__).parents[2]
MOST = 8 * 2**20  # bytes
ARE_NOT_FOR_NODES = (".git", ".venv", "out", "tests", "build", "node_modules")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout as a user's grows: with an environment, a store, music in every format, caches."""
    tree = tmp_path_factory.mktemp("tree") / "ray_pipeline"
    shutil.copytree(
        ROOT, tree, ignore=shutil.ignore_patterns(*ARE_NOT_FOR_NODES, "__pycache__", ".*_cache", ".hypothesis")
    )
    heavy = [".venv/lib/torch.so", "out/demo/tracks/a.lance/data", "tests/test_a.py", ".git/objects/a", "build/a.whl"]
    heavy += [".mypy_cache/a", "ray_pipeline/__pycache__/a.pyc", "ray_pipeline/song.mp3", "deep/er/song.Flac"]
    heavy += [f"music/song{case}" for ending in AUDIO_ENDINGS for case in (ending, ending.upper())]
    for name in heavy:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(bytes(2**20))
    return tree


@pytest.fixture(scope="module")
def uploaded(tree: Path) -> dict[str, int]:
    """Name → bytes of what Ray packs; its name is the digest that Ray gives it, as when a job is submitted."""
    from ray._private.runtime_env.packaging import create_package, get_uri_for_directory

    uri = get_uri_for_directory(str(tree), include_gitignore=True)
    package = tree.parent / uri.rpartition("/")[2]
    create_package(str(tree), package, include_gitignore=True)
    with zipfile.ZipFile(package) as file:
        return {one.filename: one.file_size for one in file.infolist() if not one.is_dir()}


def test_no_environment_no_store_and_no_music_is_uploaded(uploaded: dict[str, int]) -> None:
    assert not [
        name for name in uploaded if Path(name).parts[0] in (*ARE_NOT_FOR_NODES, "music", "deep", ".mypy_cache")
    ]
    audio = [name for name in uploaded if Path(name).suffix.lower() in AUDIO_ENDINGS]
    assert audio and all(name.startswith("ray_pipeline/sources/synth/vocals/") for name in audio)
    assert not [name for name in uploaded if "__pycache__" in name]


def test_all_that_a_job_needs_is_uploaded(uploaded: dict[str, int]) -> None:
    for folder in ("jobs", "ray_pipeline", "tune_configs"):
        files = [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        needed = {path.relative_to(ROOT).as_posix(): path.stat().st_size for path in files}
        assert needed and {name: uploaded.get(name) for name in needed} == needed


def test_it_is_small(uploaded: dict[str, int]) -> None:
    assert sum(uploaded.values()) < MOST


def test_runtime_env_asks_for_what_constraints_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    """By Ray's own reading, which refuses what it does not know; as `ray job submit` does it where it is called."""
    from ray.runtime_env import RuntimeEnv

    monkeypatch.chdir(ROOT)
    told = yaml.safe_load(Path("runtime_env.yaml").read_text(encoding="utf-8"))
    read = RuntimeEnv(**told).to_dict()
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").strip().split("\n")
    assert read["pip"]["packages"] == pins
    assert any(pin.startswith("ray==") for pin in pins) and any(pin.startswith("torch==") for pin in pins)
    assert read["config"]["setup_timeout_seconds"] >= 600


def test_a_runtime_env_that_ray_would_not_take_is_told_by_that_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.runtime_env import RuntimeEnv

    monkeypatch.chdir(ROOT)
    with pytest.raises(ValueError, match="not a valid file"):
        RuntimeEnv(pip="no such file.txt")
