"""Datasets under another recipe's name are found; what the stages themselves make, and made before, is no alarm."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pytest
from fma_tables import numbers, write_features, write_tracks
from typer.testing import CliRunner

from ray_pipeline.cli.main import app
from ray_pipeline.stages import pipeline, room, session
from ray_pipeline.store import Store, digest
from ray_pipeline.store.verify import verify

KEYS = pa.schema(
    [pa.field("track_id", pa.string(), nullable=False), pa.field("content_hash", pa.string(), nullable=False)]
)
FEATURE = {"stage": "featurize", "feature": "mfcc"}
STAGES = ("ingest", "import-features", "featurize", "train", "evaluate")


@pytest.fixture
def fma(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """FMA's tables alone: eight tracks, of which seven have published numbers."""
    monkeypatch.setattr(session, "connect", lambda ctx: pytest.fail("a file is to be opened"))
    monkeypatch.setattr(room, "connected", lambda: False)
    write_tracks(tmp_path / "fma", {track: {} for track in range(2, 10)})
    write_features(tmp_path / "fma", {track: numbers(track) for track in range(2, 9)})
    return tmp_path / "fma"


@pytest.fixture
def run(fma: Path, context: Any) -> Callable[..., Any]:
    def go(*commands: str) -> Any:
        for command in commands:
            ctx = context(
                command,
                source={"kind": "fma", "root": str(fma)},
                features=["mfcc_native"],
                fusion={"kind": "audio", "view": "mfcc_native"},
            )
            pipeline.run(ctx, command)
        return ctx

    return go


def test_a_store_of_features_alone_is_sound_after_each_stage(run: Callable[..., Any]) -> None:
    for command in (*STAGES, "ingest", "import-features", "train"):
        assert verify(run(command).store) == [], command


def test_a_row_that_is_lost_behind_the_stages_back_is_found(run: Callable[..., Any]) -> None:
    store = run(*STAGES).store
    (table,) = store.datasets("features")
    table.delete_keys("track_id", ["3", "9"])
    assert verify(store) == [f"{table.name}: 2 of 8 tracks have no row in it, the first '3', '9'"]
    told = CliRunner().invoke(app, ["verify", str(store.root)])
    assert told.exit_code == 1 and "1 problems" in told.output
    run("import-features", "featurize")
    assert verify(store) == []


@pytest.mark.parametrize("name", ["tracks", "files", "features", "latents", "scores"])
def test_every_stage_names_its_dataset_by_the_recipe_in_it(run: Callable[..., Any], name: str, tmp_path: Path) -> None:
    (table,) = run(*STAGES).store.datasets(name)
    path = Path(table.uri)
    other = Store(tmp_path / "other").table(name, re.sub("[0-9a-f]{16}$", "0" * 16, path.stem))
    shutil.copytree(path, other.uri)
    told = f"{other.name}: it holds what its recipe names {path.stem}; take it out of the store"
    assert verify(Store(tmp_path / "other")) == [told]


@pytest.mark.parametrize("name", ["lyrics", "text_vectors"])
def test_so_do_those_of_words(tmp_path: Path, name: str) -> None:
    store, recipe = Store(tmp_path), {"stage": "transcribe", "model": "tiny"}
    store.table(name, digest(recipe)).create(KEYS, recipe)
    assert verify(store) == []
    store.table(name, digest(recipe | {"model": "base"})).create(KEYS, recipe)
    assert len(verify(store)) == 1


def test_a_feature_is_known_by_its_own_name_too(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("mfcc", "chroma"):
        store.table("features", f"{name}-{digest(FEATURE)}").create(KEYS, FEATURE)
    (told,) = verify(store)
    assert told.startswith(f"features/chroma-{digest(FEATURE)}: it holds what its recipe names mfcc-")


@pytest.mark.parametrize("recipe", ["{", "[1]", "1"])
def test_a_recipe_that_is_none_is_told(tmp_path: Path, recipe: str) -> None:
    store = Store(tmp_path)
    table = store.table("lyrics", "0" * 16)
    schema = KEYS.with_metadata({"recipe": recipe})
    lance.write_dataset(schema.empty_table(), table.uri)
    (told,) = verify(store)
    assert "its recipe cannot be read" in told


def test_datasets_of_earlier_versions_and_other_names_are_no_alarm(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.table("tracks", "0" * 16).create(KEYS, {"stage": "ingest", "version": 1, "source": {"kind": "folder"}})
    for name in ("files", "scores", "clusters", "features"):
        store.table(name, "0" * 16).create(KEYS)
    store.table("trials", "0" * 16).create(KEYS, {"stage": "sweep"})
    store.table("features", "mine").create(KEYS, FEATURE)
    assert verify(store) == []
