"""The same command again does only what is missing: nothing, one file, one feature, one model, one clustering."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sounds import write

from ray_pipeline.errors import LeaseHeld, StoreError
from ray_pipeline.schemas import Status
from ray_pipeline.store import Lease, latest_run
from ray_pipeline.store.export import export
from ray_pipeline.store.verify import verify

pytestmark = pytest.mark.ray

NOTHING = {"ingest": 0, "featurize": 0, "train": 0, "evaluate": 0}
BOTH = {"features": ["mfcc", "mfcc_stats"]}


def rows(ctx: Any, name: str) -> list[dict[str, Any]]:
    from ray_pipeline.store.export import read_run

    return sorted(read_run(ctx.store, ctx.run, name).to_pylist(), key=lambda row: str(row.get("track_id")))


def versions(ctx: Any) -> dict[str, int]:
    return {ctx.store.address(table): table.version() for table in ctx.store.datasets()}


def names(ctx: Any, name: str) -> list[str]:
    """File names of the tracks that table `name` has a row for."""
    by_id = {row["track_id"]: Path(row["uri"]).name for row in rows(ctx, "tracks")}
    return sorted(by_id[row["track_id"]] for row in rows(ctx, name))


def done(ctx: Any) -> dict[str, int]:
    return {stage: n for stage, n in ctx.run.done.items() if stage in NOTHING}


def test_again_does_nothing_and_writes_no_version(run: Any) -> None:
    first = run()
    assert done(first) == {"ingest": 6, "featurize": 6, "train": 1, "evaluate": 1}
    before = versions(first)
    again = run()
    assert done(again) == NOTHING
    assert versions(again) == before
    assert again.run.tables == first.run.tables


def test_added_file_alone_is_worked_on(run: Any, music: Path) -> None:
    first = run()
    write(music / "new.wav")
    ctx = run()
    assert done(ctx) == {"ingest": 1, "featurize": 1, "train": 1, "evaluate": 1}
    assert names(ctx, "clusters") == ["a.wav", "b.wav", "c.wav", "d.wav", "e.wav", "f.wav", "new.wav"]
    assert first.run.experiments != ctx.run.experiments


def test_renamed_file_keeps_everything_that_was_computed(run: Any, music: Path) -> None:
    first = {Path(row["uri"]).name: row for row in rows(run(), "tracks")}
    (music / "c.wav").rename(music / "z.wav")
    ctx = run()
    assert done(ctx) == NOTHING | {"ingest": 1}
    for table in ("features", "latents", "clusters"):
        assert names(ctx, table) == ["a.wav", "b.wav", "d.wav", "e.wav", "f.wav", "z.wav"], table
    (z,) = [row for row in rows(ctx, "tracks") if row["uri"].endswith("z.wav")]
    assert z["content_hash"] == first["c.wav"]["content_hash"]
    assert verify(ctx.store) == []


def test_files_that_swap_names_keep_their_features(run: Any, music: Path) -> None:
    before = {row["content_hash"]: row["mfcc"] for row in rows(run(), "features")}
    for old, new in (("a", "x"), ("b", "a"), ("x", "b")):
        (music / f"{old}.wav").rename(music / f"{new}.wav")
    ctx = run()
    assert done(ctx) == NOTHING | {"ingest": 2}
    assert {row["content_hash"]: row["mfcc"] for row in rows(ctx, "features")} == before
    for table in ("features", "latents", "clusters"):
        assert names(ctx, table) == ["a.wav", "b.wav", "c.wav", "d.wav", "e.wav", "f.wav"], table
    assert verify(ctx.store) == []


def test_evaluate_alone_knows_a_renamed_track(run: Any, music: Path) -> None:
    run()
    (music / "c.wav").rename(music / "z.wav")
    for command in ("ingest", "featurize", "evaluate"):
        ctx = run(command, clusterer={"kind": "kmeans", "n_clusters": 3})
    assert names(ctx, "clusters")[-1] == "z.wav"


def test_one_more_feature_is_the_only_one_computed(run: Any) -> None:
    before = versions(run(features=["mfcc"]))
    ctx = run(**BOTH)
    assert done(ctx) == NOTHING | {"featurize": 6}
    assert {address: versions(ctx)[address] for address in before} == before
    assert {"mfcc", "mfcc_stats"} <= set(rows(ctx, "features")[0])


def test_another_model_is_trained_and_nothing_else(run: Any) -> None:
    run()
    assert done(run(model={"kind": "raw"})) == NOTHING | {"train": 1, "evaluate": 1}


def test_another_clusterer_only_clusters(run: Any) -> None:
    before = versions(run())
    ctx = run(clusterer={"kind": "kmeans", "n_clusters": 3})
    assert done(ctx) == NOTHING | {"evaluate": 1}
    assert {address: versions(ctx)[address] for address in before} == before


def test_copy_is_computed_once_and_stays_out_of_the_clusters(run: Any, music: Path) -> None:
    shutil.copy(music / "a.wav", music / "copy.wav")
    ctx = run()
    assert done(ctx) == {"ingest": 7, "featurize": 6, "train": 1, "evaluate": 1}
    tracks = {Path(row["uri"]).name: row for row in rows(ctx, "tracks")}
    pair = sorted((tracks["a.wav"], tracks["copy.wav"]), key=lambda row: row["track_id"])
    assert [row["duplicate_of"] for row in pair] == ["", pair[0]["track_id"]]
    features = {row["track_id"]: row["mfcc"] for row in rows(ctx, "features")}
    assert features[pair[0]["track_id"]] == features[pair[1]["track_id"]]
    assert len(rows(ctx, "clusters")) == 6
    assert pair[1]["track_id"] not in {row["track_id"] for row in rows(ctx, "clusters")}


def test_every_track_is_one_row_of_every_table(run: Any, music: Path, tmp_path: Path) -> None:
    (music / "empty.wav").touch()
    (music / "noise.mp3").write_bytes(b"<html>not found</html>" * 50)
    write(music / "blip.wav", write_seconds(0.01))
    ctx = run(**BOTH)
    export(ctx.store, latest_run(ctx.store), tmp_path / "out")
    for table in ("tracks", "features"):
        counted = duckdb.sql(f"SELECT count(*), count(DISTINCT track_id) FROM '{tmp_path}/out/{table}.parquet'")
        assert counted.fetchone() == (9, 9), table
    for table in ("latents", "clusters"):
        counted = duckdb.sql(f"SELECT count(*), count(DISTINCT track_id) FROM '{tmp_path}/out/{table}.parquet'")
        assert counted.fetchone() == (6, 6), table
    statuses = duckdb.sql(f"SELECT status, count(*) FROM '{tmp_path}/out/features.parquet' GROUP BY 1").fetchall()
    assert dict(statuses) == {"ok": 6, "empty": 1, "unsupported": 1, "too_short": 1}


def write_seconds(seconds: float) -> Any:
    from sounds import tone

    return tone(seconds=seconds)


def test_file_changed_after_ingest_is_told_and_picked_up(run: Any, music: Path) -> None:
    run("ingest")
    write(music / "a.wav", write_seconds(3))
    (music / "b.wav").unlink()
    statuses = {row["status"] for row in rows(run("featurize"), "features")}
    assert statuses == {Status.OK, Status.CHANGED, Status.MISSING}
    ctx = run()
    assert done(ctx)["featurize"] == 1
    assert {row["status"] for row in rows(ctx, "features")} == {"ok"}
    assert len(rows(ctx, "features")) == 5


@pytest.mark.parametrize("table", ["files", "tracks", "features", "latents", "clusters", "scores"])
def test_damaged_table_is_made_again(run: Any, table: str) -> None:
    first = run()
    before = rows(first, "clusters")
    for file in (first.store.root / table).glob("*.lance/data/*"):
        file.write_bytes(file.read_bytes()[:40])
    assert verify(first.store)
    ctx = run()
    assert verify(ctx.store) == []
    assert rows(ctx, "clusters") == before


@pytest.mark.parametrize("command", ["ingest", "featurize", "train", "evaluate"])
def test_a_second_job_is_told_who_is_first(run: Any, command: str) -> None:
    table = {"ingest": "tracks", "featurize": "features", "train": "models", "evaluate": "scores"}[command]
    ctx = run()
    with Lease(ctx.store.folder("leases"), table), pytest.raises(LeaseHeld, match="process .* on "):
        run(command)
    assert done(run(command)) == {command: 0}


def test_stage_before_its_time_says_what_to_run(run: Any) -> None:
    with pytest.raises(StoreError, match="no such table"):
        run("featurize")
