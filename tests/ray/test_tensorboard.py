"""A TensorBoard that people would start serves a sweep's runs, curves and HParams through its HTTP API."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from sweeps import OPEN, run_sweep, write_store

pytestmark = [pytest.mark.ray, pytest.mark.slow]

Get = Any


@pytest.fixture(scope="module")
def sweep(ray_session: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A sweep of one trial that was made one longer: context and result of the second run."""
    folder = tmp_path_factory.mktemp("sweep")
    write_store(folder)
    drawn = {"model.beta": {"uniform": [0.5, 2]}, **OPEN}
    run_sweep(folder, drawn | {"num_samples": 1})
    return run_sweep(folder, drawn | {"num_samples": 2})


@pytest.fixture(scope="module")
def get(sweep: Any) -> Iterator[Get]:
    """`get("data/runs")`: what the API of a TensorBoard over ``<store>/tune`` answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ctx, _ = sweep
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(ctx.store.root / "tune")]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port), "--load_fast", "false"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def ask(path: str, body: Any = None, **query: str) -> Any:
        url = f"http://127.0.0.1:{port}/{path}?{urllib.parse.urlencode(query)}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    try:
        yield ask
    finally:
        server.terminate()
        server.wait()


def until(get: Get, path: str, n: int) -> Any:
    """The answer once it has `n` parts: TensorBoard reads the files after it has begun to answer."""
    end = time.monotonic() + 150
    while time.monotonic() < end:
        try:
            found = get(path)
            if len(found) == n:
                return found
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"{path} has not {n} parts after 150 s")


def test_a_longer_sweep_does_what_is_new_and_has_its_page(sweep: Any) -> None:
    ctx, found = sweep
    assert ctx.run.done == {"sweep": 1}
    assert [(row["number"], row["status"]) for row in found.rows] == [(1, "ok"), (2, "ok")]
    page = ctx.store.root / f"report/sweep-{found.name}.html"
    assert all(row["trial_id"] in page.read_text(encoding="utf-8") for row in found.rows)


def test_tensorboard_shows_runs_curves_and_hparams(sweep: Any, get: Get) -> None:
    _, found = sweep
    runs = {f"{found.name}/{row['trial_id']}": row for row in found.rows}
    assert set(until(get, "data/runs", 2)) == set(runs)
    tags = until(get, "data/plugin/scalars/tags", 2)
    for run, row in runs.items():
        assert {"loss/seed_0", "reconstruction/seed_0", "kl/seed_0", "objective/silhouette_input"} <= set(tags[run])
        curve = get("data/plugin/scalars/scalars", run=run, tag="loss/seed_0")
        assert [step for _, step, _ in curve] == [1, 2, 3, 4]
        ((_, step, value),) = get("data/plugin/scalars/scalars", run=run, tag="objective/silhouette_input")
        assert step == 4 and value == pytest.approx(row["objective"][0], rel=1e-6)
    experiment = get("data/plugin/hparams/experiment", body={"experimentName": ""})
    assert {info["name"] for info in experiment["hparamInfos"]} == {"model.beta", "status"}
    metrics = {info["name"]["tag"] for info in experiment["metricInfos"]}
    assert {"objective/silhouette_input", "score/ami"} <= metrics


def test_event_files_hold_no_former_try(sweep: Any) -> None:
    ctx, found = sweep
    files = list((ctx.store.root / "tune" / found.name).rglob("events.out.*"))
    assert sorted(path.parent.name for path in files) == sorted(row["trial_id"] for row in found.rows)
