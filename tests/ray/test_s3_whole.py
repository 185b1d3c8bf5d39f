"""A whole job with store and audio on S3 comes to the rows of the same job in a folder, and goes on after S3 refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from s3_server import SECRET
from small_job import config_file, finish
from sounds import write

from ray_pipeline.store import Store, latest_run
from ray_pipeline.store.export import read_run
from ray_pipeline.store.verify import verify

pytestmark = [pytest.mark.ray, pytest.mark.slow]

VAE = {
    "model": {"kind": "vae", "latent_dim": 2, "hidden": [8]},
    "training": {"epochs": 3, "batch_size": 4, "num_workers": 1, "use_gpu": False},
}
# A uri and a time say where a file lies; an id says which run wrote a row.
PLACES = {"uri", "mtime_ns"}


@pytest.fixture
def music(tmp_path: Path) -> Path:
    for name in ("a", "b", "c", "d", "deep/e", "deep/f"):
        write(tmp_path / "music" / f"{name}.wav")
    (tmp_path / "music/bad.mp3").write_text("<html>")
    (tmp_path / "music/empty.wav").touch()
    return tmp_path / "music"


@pytest.fixture
def uploaded(bucket: str, music: Path, s3_server: Any) -> str:
    client = s3_server.client()
    for path in music.rglob("*.*"):
        client.upload_file(str(path), bucket.removeprefix("s3://"), f"music/{path.relative_to(music)}")
    return f"{bucket}/music"


def tables(store: Store) -> dict[str, list[dict[str, Any]]]:
    run = latest_run(store)
    found = {}
    for name in ("tracks", "features", "latents", "clusters", "scores"):
        rows = read_run(store, run, name)
        assert rows is not None, name
        plain = [{key: value for key, value in row.items() if key not in PLACES} for row in rows.to_pylist()]
        found[name] = sorted(plain, key=lambda row: (str(row.get("track_id")), str(row.get("metric"))))
    return found


def everything(store: Store, s3_server: Any) -> dict[str, bytes]:
    bucket, _, prefix = str(store.root).removeprefix("s3://").partition("/")
    client = s3_server.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def test_whole_job_on_s3_is_that_in_a_folder(
    bucket: str, uploaded: str, music: Path, tmp_path: Path, s3_server: Any
) -> None:
    here = config_file(tmp_path, **VAE)
    code, said = finish("run", here)
    assert code == 0, said
    there = ("--set", f"store={bucket}/out", "--set", f"source.root={uploaded}")
    code, said = finish("run", here, *there)
    assert code == 0, said
    assert f"report  {bucket}/out/report/index.html" in said

    local, remote = Store(tmp_path / "store"), Store(f"{bucket}/out")
    assert tables(remote) == tables(local)
    assert [row["status"] for row in tables(remote)["tracks"]].count("ok") == 6
    assert verify(remote) == []

    kept = everything(remote, s3_server)
    names = {key.partition("/")[2].partition("/")[0] for key in kept}
    assert {
        "tracks",
        "features",
        "models",
        "latents",
        "clusters",
        "scores",
        "runs",
        "report",
        "logs",
        "tensorboard",
    } <= names
    assert "scratch" not in names
    state = [path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in data for data in [*kept.values(), *state, said.encode()])

    code, said = finish("run", here, *there)
    assert (code, "nothing was left to do" in said) == (0, True), said
    code, said = finish("verify", f"{bucket}/out")
    assert (code, "0 problems" in said) == (0, True), said


def test_s3_that_stops_answering_ends_the_run_and_the_same_command_goes_on(
    bucket: str, uploaded: str, tmp_path: Path, gate: Any, cost: Callable[..., None]
) -> None:
    config = config_file(tmp_path, **VAE)
    args = ("--set", f"store={bucket}/out", "--set", f"source.root={uploaded}")
    assert finish("ingest", config, *args)[0] == 0
    # From the moment that a worker asks for audio.
    gate.where, gate.fail = (lambda method, path: method in {"GET", "HEAD"} and "/music/" in path), 1_000_000
    environment = os.environ | {"AWS_MAX_ATTEMPTS": "2"}
    code, said = finish("featurize", config, *args, env=environment)
    assert (code, "503" in said, "Traceback" in said) == (1, True, False), said
    gate.open()
    store = Store(f"{bucket}/out")
    assert verify(store) == []
    for table in store.datasets("features"):
        assert "worker_crash" not in table.read()["status"].to_pylist(), "no track answers for the store"
    code, said = finish("run", config, *args)
    assert code == 0, said
    ids = [row["track_id"] for row in tables(store)["features"]]
    cost("S3 answers 503 until the run ends, then answers again", "featurize", ids, len(tables(store)["tracks"]))
    assert [row["status"] for row in tables(store)["features"]].count("ok") == 6
