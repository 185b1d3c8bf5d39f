"""What changes between two stages or two runs: files, settings, and the bytes of tables. Numbers are those of BAD_INPUTS."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processed import Row, by_name, features, process
from sounds import tone, write
from typer.testing import CliRunner

from ray_pipeline.cli.main import app
from ray_pipeline.features.mfcc import Mfcc
from ray_pipeline.stages.featurize import feature_table, featurize
from ray_pipeline.stages.ingest import ingest, read_tracks
from ray_pipeline.store import write_fragment
from ray_pipeline.store.verify import verify

pytestmark = pytest.mark.ray


BOTH = ["mfcc", "mfcc_stats"]


def runs_in(folder: Path) -> Callable[..., Any]:
    """`run("ingest", audio={…})`: stages over the folder's ``music``, by default ingest and featurize."""
    source = {"kind": "folder", "root": str(folder / "music")}
    return lambda *stages, **sections: process(folder / "store", source, *stages, **({"features": BOTH} | sections))


@pytest.fixture(scope="module")
def _kept(ray_session: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``music``, three WAV files of 2 s and a copy of the first; the ``store`` of a run over it; and both once more."""
    folder = tmp_path_factory.mktemp("over_time")
    for name in ("a.wav", "b.wav", "c.wav"):
        write(folder / "music" / name)
    (folder / "music" / "copy of a.wav").write_bytes((folder / "music" / "a.wav").read_bytes())
    runs_in(folder)()
    shutil.copytree(folder, folder.with_name("over_time_kept"))
    return folder


@pytest.fixture
def folder(_kept: Path) -> Path:
    """Both as they were when that run ended."""
    shutil.rmtree(_kept)
    shutil.copytree(_kept.with_name("over_time_kept"), _kept)
    return _kept


@pytest.fixture
def music(folder: Path) -> Path:
    return folder / "music"


@pytest.fixture
def run(folder: Path) -> Callable[..., Any]:
    return runs_in(folder)


def statuses(rows: dict[str, Row]) -> dict[str, str]:
    return {name: row["status"] for name, row in rows.items()}


def test_row_13_deleted_and_replaced_between_stages(ray_session: Any, tmp_path: Path) -> None:
    music, run = tmp_path / "music", runs_in(tmp_path)
    for name in ("a.wav", "b.wav", "c.wav"):
        write(music / name)
    gone = (music / "b.wav").read_bytes()
    run("ingest")
    (music / "b.wav").unlink()
    write(music / "c.wav", tone(3, hz=700))
    first = by_name(run("featurize"))
    assert statuses(first) == {"a.wav": "ok", "b.wav": "missing", "c.wav": "changed"}

    (music / "b.wav").write_bytes(gone)
    ctx = run()
    again = by_name(ctx)
    assert statuses(again) == {"a.wav": "ok", "b.wav": "ok", "c.wav": "ok"}
    assert ctx.run.done["featurize"] == 2
    assert again["a.wav"] == first["a.wav"]
    assert again["c.wav"]["duration_s"] == 3
    assert verify(ctx.store) == []


def test_row_13_deleted_and_ingested_again(music: Path, run: Callable[..., Any]) -> None:
    """What is gone from a folder is no track of it any more; a copy of what is gone stands by itself."""
    (music / "a.wav").unlink()
    ctx = run()
    assert statuses(by_name(ctx)) == {"copy of a.wav": "ok", "b.wav": "ok", "c.wav": "ok"}
    assert by_name(ctx)["copy of a.wav"]["duplicate_of"] == ""
    assert ctx.run.done["featurize"] == 0


def test_row_13_touched_and_not_changed(music: Path, run: Callable[..., Any]) -> None:
    os.utime(music / "b.wav", ns=(0, 0))
    assert run("ingest").run.done["ingest"] == 1
    ctx = run("featurize")
    assert set(statuses(by_name(ctx)).values()) == {"ok"}
    assert ctx.run.done["featurize"] == 0


def test_row_16_of_copies_one_is_computed(run: Callable[..., Any]) -> None:
    from ray_pipeline.store.runs import latest_run

    ctx = run("ingest")
    first = latest_run(ctx.store, where=lambda one: one.command == "featurize")
    assert first.done["featurize"] == 3
    assert first.statuses["features"] == {"ok": 4}


def test_row_21_written_and_not_committed_is_not_seen(run: Callable[..., Any]) -> None:
    ctx = run("ingest")
    table = feature_table(ctx, "mfcc")
    before = features(ctx)
    write_fragment(table.read().slice(0, 1), table.uri)
    assert features(ctx) == before
    assert run("featurize").run.done["featurize"] == 0
    assert features(ctx) == before
    assert verify(ctx.store) == []


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x01
    path.write_bytes(data)


def test_row_21_damage_is_named_and_mended(folder: Path, run: Callable[..., Any]) -> None:
    store = folder / "store"
    before = by_name(run("ingest"))
    damages: dict[str, Callable[[Path], None]] = {
        "files/*": flip,
        "tracks/*": lambda path: os.truncate(path, 30),
        "features/mfcc-*": flip,
        "features/mfcc_stats-*": lambda path: os.truncate(path, 0),
    }
    damaged = [min(store.glob(f"{table}.lance/data/*")) for table in damages]
    for damage, path in zip(damages.values(), damaged, strict=True):
        damage(path)

    told = CliRunner().invoke(app, ["verify", str(store)])
    assert told.exit_code == 1
    assert [path.name for path in damaged if path.name not in told.output] == []
    assert "4 problems" in told.output
    assert "crashed" not in told.output

    assert by_name(run()) == before
    assert CliRunner().invoke(app, ["verify", str(store)]).exit_code == 0


def test_row_24_settings_changed_between_runs(run: Callable[..., Any]) -> None:
    """A new recipe beside the old one; only what the change touches is done again."""
    first = run("ingest")
    old = features(first)
    second = run(audio={"max_seconds": 1.5})
    assert second.run.done["featurize"] == 3
    assert features(second).keys() == old.keys()
    assert features(second) != old
    assert features(first) == old


def test_row_24_version_of_one_feature_raised(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    first = run("ingest")
    old, stats = features(first), feature_table(first, "mfcc_stats").version()
    monkeypatch.setattr(Mfcc, "version", Mfcc.version + 1)
    second = run("featurize")
    assert second.run.done["featurize"] == 3
    assert features(second) == old
    assert feature_table(second, "mfcc_stats").version() == stats
    assert len(list((first.store.root / "features").glob("mfcc-*.lance"))) == 2


def test_row_24_resources_are_no_part_of_a_recipe(run: Callable[..., Any]) -> None:
    assert run(resources={"num_cpus": 2, "block_size": 1, "workers": 1}).run.done["featurize"] == 0


def test_a_copy_stands_in_for_an_original_that_is_gone(tmp_path: Path, ray_session: Any, context: Any) -> None:
    first, second = write(tmp_path / "music/a.wav"), tmp_path / "music/b.wav"
    second.write_bytes(first.read_bytes())
    ctx = context(source={"kind": "folder", "root": str(tmp_path / "music")})
    ingest(ctx)
    tracks = {Path(row["uri"]).name: row for row in read_tracks(ctx)}
    original = next(row for row in tracks.values() if not row["duplicate_of"])
    Path(original["uri"]).unlink()
    featurize(ctx)
    rows = {row["track_id"]: row["status"] for row in feature_table(ctx, "mfcc").read().to_pylist()}
    copy = next(row for row in tracks.values() if row["duplicate_of"])
    assert rows == {original["track_id"]: "missing", copy["track_id"]: "ok"}
