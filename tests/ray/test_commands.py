"""The real command on a finished store: what it says, its exit codes, and titles that can do no harm."""

from __future__ import annotations

import csv
import json
import re
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from small_job import config_file, finish
from sounds import write

from ray_pipeline.store import Lease

pytestmark = pytest.mark.ray

HOSTILE = "</script><img src=x onerror=alert(1)> [red]\x1b[31m\u202e=HYPERLINK()"


def test_status_shows_rows_and_reasons(folder: Path, first: Any) -> None:
    code, said = finish("status", folder / "store")
    assert code == 0, said
    assert re.search(r"last run \S+ \(run\), done", said)
    for table, n in {"tracks": 6, "features": 6, "latents": 6, "clusters": 6}.items():
        assert re.search(rf"^{table} +{n}\b", said, re.MULTILINE), said


def test_stages_one_by_one_are_known_as_one_run_is(folder: Path, run: Any) -> None:
    (folder / "music/empty.wav").touch()
    for command in ("ingest", "featurize", "train", "evaluate"):
        ctx = run(command)
    assert ctx.run.statuses == {"tracks": {"empty": 1, "ok": 6}, "features": {"empty": 1, "ok": 6}}
    code, said = finish("status", folder / "store")
    assert code == 0, said
    for table, n in {"tracks": 7, "features": 7, "latents": 6, "clusters": 6}.items():
        assert re.search(rf"^{table} +{n}\b", said, re.MULTILINE), said
    assert len(re.findall(r"1 empty", said)) == 2


def test_export_writes_what_others_read(folder: Path, tmp_path: Path, first: Any) -> None:
    code, said = finish("export", folder / "store", "--to", tmp_path / "out")
    assert code == 0, said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "clusters.parquet",
        "features.parquet",
        "latents.parquet",
        "scores.parquet",
        "tracks.parquet",
    ]
    together = f"SELECT count(*) FROM '{tmp_path}/out/clusters.parquet' JOIN '{tmp_path}/out/features.parquet' USING (track_id)"
    assert duckdb.sql(together).fetchall() == [(6,)]


def test_report_is_written_again(folder: Path, first: Any) -> None:
    page = folder / "store/report/index.html"
    page.unlink()
    code, said = finish("report", folder / "store")
    assert (code, said.strip()) == (0, str(page))
    assert page.stat().st_size > 10_000


def test_verify_tells_sound_from_damaged(folder: Path, first: Any) -> None:
    code, said = finish("verify", folder / "store")
    assert code == 0 and "0 problems" in said, said
    file = next((folder / "store/features").glob("*.lance/data/*"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    code, said = finish("verify", folder / "store")
    assert code == 1
    assert file.name in said


@pytest.mark.parametrize("command", ["status", "report", "verify"])
@pytest.mark.parametrize("there", [True, False], ids=["empty folder", "no folder"])
def test_no_store_is_told(tmp_path: Path, command: str, there: bool) -> None:
    code, said = finish(command, tmp_path if there else tmp_path / "nowhere")
    assert code == 1
    assert "error:" in said and "store" in said
    assert "Traceback" not in said


def test_bad_config_ends_with_2_at_once(tmp_path: Path) -> None:
    path = config_file(tmp_path, features=["mfc"])
    start = time.monotonic()
    code, said = finish("run", path)
    took = time.monotonic() - start
    assert code == 2, said
    assert "did you mean 'mfcc'?" in said
    assert not (tmp_path / "store").exists()
    assert took < 10, "2 s where nothing else runs"


@pytest.mark.parametrize("kind", ["folder that is not there", "folder without music", "manifest that is not there"])
def test_bad_source_ends_with_2(tmp_path: Path, kind: str) -> None:
    (tmp_path / "music").mkdir()
    source = {
        "folder that is not there": {"kind": "folder", "root": str(tmp_path / "nowhere")},
        "folder without music": {"kind": "folder", "root": str(tmp_path / "music")},
        "manifest that is not there": {"kind": "manifest", "root": str(tmp_path / "tracks.csv")},
    }[kind]
    code, said = finish("run", config_file(tmp_path, source=source))
    assert code == 2, said
    assert "error: source.root" in said
    assert "starting Ray" not in said


def test_store_elsewhere_than_in_a_folder_ends_with_2(tmp_path: Path) -> None:
    code, said = finish("run", config_file(tmp_path, store="gs://bucket/store"), cwd=tmp_path)
    assert code == 2, said
    assert "a store is a folder that every node sees, or s3://" in said
    assert [path.name for path in tmp_path.iterdir()] == ["job.yaml"]


def test_too_many_bad_tracks_end_with_3_and_are_told(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / "music").mkdir(exist_ok=True)
        (tmp_path / f"music/{name}.wav").touch()
    code, said = finish("run", config_file(tmp_path))
    assert code == 3, said
    assert "tracks: 3 of 3 tracks are of no use (3 empty)" in said
    code, said = finish("status", tmp_path / "store")
    assert code == 0, said
    assert "failed" in said and "3 empty" in said


def test_second_job_ends_with_1_and_names_the_first(folder: Path, first: Any) -> None:
    with Lease(folder / "store/leases", "features"):
        code, said = finish("featurize", config_file(folder))
    assert code == 1
    assert "being written by process" in said
    assert "Traceback" not in said


def test_crash_ends_with_1_and_names_the_log(folder: Path, first: Any) -> None:
    (folder / "store/report/index.html").unlink()
    (folder / "store/report/index.html").mkdir()
    code, said = finish("run", config_file(folder))
    assert code == 1, said
    assert "crashed:" in said and "the full log:" in said
    log = Path(said.split("the full log:")[1].strip())
    assert "Traceback" in log.read_text()


def test_dry_run_makes_nothing(folder: Path, first: Any, tmp_path: Path) -> None:
    before = sorted(folder.rglob("*"))
    code, said = finish("run", config_file(folder, features=["mfcc", "mfcc_stats"]), "--dry-run")
    assert code == 0, said
    assert "feature mfcc: 0 tracks to do" in said
    assert re.search(r"feature mfcc_stats: 6 tracks to do, about \S+ s", said)
    assert [path for path in sorted(folder.rglob("*")) if path not in before] == [folder / "job.yaml"]
    write(tmp_path / "music/a.wav")
    code, said = finish("run", config_file(tmp_path), "--dry-run")
    assert code == 0, said
    assert "ingest: 1 files to do" in said
    assert not (tmp_path / "store").exists()


def test_hostile_titles_are_inert(ray_session: Any, tmp_path: Path) -> None:
    """In a manifest every cell is somebody else's: titles, and names of labels, which a note repeats."""
    from typer.testing import CliRunner

    from ray_pipeline.cli.main import app

    with (tmp_path / "tracks.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "track_id", "title", "artist", HOSTILE])
        for i, name in enumerate("abcd"):
            write(tmp_path / f"{name}.wav")
            table.writerow([f"{name}.wav", f"{i}{HOSTILE}", HOSTILE, HOSTILE, HOSTILE])
        table.writerow(["gone.wav", "gone", HOSTILE, HOSTILE, HOSTILE])
    source = {"kind": "manifest", "root": str(tmp_path / "tracks.csv")}
    path = config_file(tmp_path, source=source, scoring={"seeds": 1, "null_draws": 2, "permutations": 20, "label": "x"})
    said = CliRunner().invoke(app, ["run", str(path)])
    assert said.exit_code == 0, said.output
    assert "there are:" in said.output and "[red]" in said.output
    for output in (said.output, CliRunner().invoke(app, ["status", str(tmp_path / "store")]).output):
        assert not {"\x1b", "\u202e"} & set(output)
    page = (tmp_path / "store/report/index.html").read_text()
    assert "<img src=x" not in page
    assert "\u202e" not in page
    record = max((tmp_path / "store/runs").iterdir())
    assert json.loads(record.read_text())["state"] == "done"
