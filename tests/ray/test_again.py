"""The same command again does only what is missing: nothing, one file, one feature, one model, one clustering."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from outcome import done, files_in, rows, versions
from sounds import tone, write

from ray_pipeline.errors import LeaseHeld, StoreError, TrainingError
from ray_pipeline.store import Lease, latest_run
from ray_pipeline.store.export import export
from ray_pipeline.store.verify import verify

pytestmark = pytest.mark.ray

THREE = {"clusterer": {"kind": "kmeans", "n_clusters": 3}}


def test_first_run_does_everything_once(first: Any) -> None:
    assert done(first) == {"ingest": 6, "featurize": 6, "train": 1, "evaluate": 1}


def test_row_22_again_does_nothing_and_writes_no_version(run: Any, first: Any) -> None:
    before = versions(first)
    again = run()
    assert done(again) == {}
    assert versions(again) == before
    assert again.run.tables == first.run.tables


def test_added_file_alone_is_worked_on(run: Any, music: Path, first: Any) -> None:
    write(music / "new.wav")
    ctx = run()
    assert done(ctx) == {"ingest": 1, "featurize": 1, "train": 1, "evaluate": 1}
    assert files_in(ctx, "clusters") == "a b c d e f new"
    assert first.run.experiments != ctx.run.experiments


def test_removed_file_leaves_every_table(run: Any, music: Path) -> None:
    (music / "a.wav").unlink()
    ctx = run()
    assert done(ctx) == {"train": 1, "evaluate": 1}
    for table in ("tracks", "features", "latents", "clusters"):
        assert files_in(ctx, table) == "b c d e f", table


def test_renamed_file_keeps_everything_that_was_computed(run: Any, music: Path) -> None:
    (music / "c.wav").rename(music / "z.wav")
    ctx = run()
    assert done(ctx) == {"ingest": 1}
    for table in ("features", "latents", "clusters"):
        assert files_in(ctx, table) == "a b d e f z", table
    assert verify(ctx.store) == []


def test_files_that_swap_names_keep_their_features(run: Any, music: Path, first: Any) -> None:
    before = {row["content_hash"]: row["mfcc"] for row in rows(first, "features")}
    for old, new in (("a", "x"), ("b", "a"), ("x", "b")):
        (music / f"{old}.wav").rename(music / f"{new}.wav")
    ctx = run()
    assert done(ctx) == {"ingest": 2}
    assert {row["content_hash"]: row["mfcc"] for row in rows(ctx, "features")} == before
    for table in ("features", "latents", "clusters"):
        assert files_in(ctx, table) == "a b c d e f", table
    assert verify(ctx.store) == []


def test_evaluate_alone_knows_a_renamed_track(run: Any, music: Path) -> None:
    (music / "c.wav").rename(music / "z.wav")
    for command in ("ingest", "featurize", "evaluate"):
        ctx = run(command, **THREE)
    assert files_in(ctx, "clusters") == "a b d e f z"


def test_one_more_feature_is_the_only_one_computed(run: Any, first: Any) -> None:
    before = versions(first)
    ctx = run(features=["mfcc", "mfcc_stats"])
    assert done(ctx) == {"featurize": 6}
    assert {address: versions(ctx)[address] for address in before} == before
    assert {"mfcc", "mfcc_stats"} <= set(rows(ctx, "features")[0])


def test_another_model_is_trained_and_nothing_else(run: Any) -> None:
    assert done(run(model={"kind": "raw"})) == {"train": 1, "evaluate": 1}


def test_another_clusterer_only_clusters(run: Any, first: Any) -> None:
    before = versions(first)
    ctx = run(**THREE)
    assert done(ctx) == {"evaluate": 1}
    assert {address: versions(ctx)[address] for address in before} == before


def test_other_audio_settings_make_other_features_and_keep_the_former(run: Any, first: Any) -> None:
    before = versions(first)
    ctx = run(audio={"max_seconds": 1.5})
    assert done(ctx) == {"featurize": 6, "train": 1, "evaluate": 1}
    assert {address: versions(ctx)[address] for address in before} == before
    assert ctx.run.tables["features"] != first.run.tables["features"]


@pytest.mark.parametrize(("n", "told"), [(1, "1 tracks with features are too few"), (2, "2 tracks for 3 clusters")])
def test_too_few_tracks_are_told(fresh: Any, tmp_path: Path, n: int, told: str) -> None:
    for name in "ab"[:n]:
        write(tmp_path / f"music/{name}.wav")
    with pytest.raises(TrainingError, match=told):
        fresh(**THREE)


def test_every_track_is_one_row_and_a_copy_is_computed_once(fresh: Any, tmp_path: Path) -> None:
    music = tmp_path / "music"
    for name in "abc":
        write(music / f"{name}.wav")
    shutil.copy(music / "a.wav", music / "copy.wav")
    (music / "empty.wav").touch()
    (music / "page.mp3").write_bytes(b"<html>not found</html>" * 50)
    write(music / "blip.wav", tone(seconds=0.01))
    ctx = fresh(features=["mfcc", "mfcc_stats"])
    # The empty file is known from its size, the page from its first bytes; the blip must be decoded to be measured.
    assert done(ctx) == {"ingest": 6, "featurize": 4, "train": 1, "evaluate": 1}
    _check_copy(ctx)
    export(ctx.store, latest_run(ctx.store), tmp_path / "out")
    for table, n in {"tracks": 7, "features": 7, "latents": 3, "clusters": 3}.items():
        counted = duckdb.sql(f"SELECT count(*), count(DISTINCT track_id) FROM '{tmp_path}/out/{table}.parquet'")
        assert counted.fetchall() == [(n, n)], table
    statuses = duckdb.sql(f"SELECT status, count(*) FROM '{tmp_path}/out/features.parquet' GROUP BY 1").fetchall()
    assert dict(statuses) == {"ok": 4, "empty": 1, "unsupported": 1, "too_short": 1}


def _check_copy(ctx: Any) -> None:
    tracks = {Path(row["uri"]).name: row for row in rows(ctx, "tracks")}
    original, copy = sorted((tracks["a.wav"], tracks["copy.wav"]), key=lambda row: row["track_id"])
    assert (original["duplicate_of"], copy["duplicate_of"]) == ("", original["track_id"])
    features = {row["track_id"]: row["mfcc_stats"] for row in rows(ctx, "features")}
    assert features[original["track_id"]] == features[copy["track_id"]]
    assert copy["track_id"] not in {row["track_id"] for row in rows(ctx, "clusters")}


def test_file_changed_after_ingest_is_told_and_picked_up(run: Any, music: Path) -> None:
    write(music / "new.wav")
    write(music / "gone.wav")
    run("ingest")
    write(music / "new.wav", tone(seconds=3))
    (music / "gone.wav").unlink()
    told = {row["status"] for row in rows(run("featurize"), "features")}
    assert told == {"ok", "changed", "missing"}
    ctx = run()
    assert done(ctx)["featurize"] == 1
    assert files_in(ctx, "features") == "a b c d e f new"
    assert {row["status"] for row in rows(ctx, "features")} == {"ok"}


@pytest.mark.parametrize("table", ["files", "tracks", "features", "latents", "clusters", "scores"])
def test_damaged_table_is_made_again(run: Any, first: Any, table: str) -> None:
    before = rows(first, "clusters")
    for file in (first.store.root / table).glob("*.lance/data/*"):
        file.write_bytes(file.read_bytes()[:40])
    assert verify(first.store)
    ctx = run()
    assert verify(ctx.store) == []
    assert rows(ctx, "clusters") == before


@pytest.mark.parametrize("table", ["tracks", "features", "latents", "clusters", "scores"])
def test_table_whose_last_version_cannot_be_read_is_made_again(run: Any, first: Any, table: str) -> None:
    before = rows(first, "clusters")
    for folder in (first.store.root / table).glob("*.lance/_versions"):
        min(folder.glob("*.manifest")).write_bytes(b"")
    assert verify(first.store)
    ctx = run()
    assert verify(ctx.store) == []
    assert rows(ctx, "clusters") == before


@pytest.mark.parametrize(
    ("command", "table"),
    [("ingest", "tracks"), ("featurize", "features"), ("train", "models"), ("evaluate", "scores")],
)
def test_row_22_a_second_job_is_told_who_is_first(run: Any, folder: Path, command: str, table: str) -> None:
    with Lease(folder / "store/leases", table), pytest.raises(LeaseHeld, match=r"process \d+ on "):
        run(command)
    assert done(run(command)) == {}


def test_stage_before_its_time_says_what_to_run(fresh: Any) -> None:
    with pytest.raises(StoreError, match="no such table"):
        fresh("featurize")
