"""`ray job submit … -- python jobs/….py` to a Ray of its own, as on a cluster."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_job import MARK, config_file, end_marked, finish
from sounds import write

from ray_pipeline.store import latest_run, open_store

pytestmark = pytest.mark.ray

JOBS = Path(__file__).parents[2] / "jobs"
ENV = os.environ | {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}


def free_ports(n: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [server.getsockname()[1] for server in held]
    for server in held:
        server.close()
    return ports


@pytest.fixture(scope="module")
def head() -> Iterator[tuple[str, str]]:
    """Address of a Ray of 2 CPUs and of its dashboard; it ends with the one process that holds it."""
    gcs, dashboard, agent, client = free_ports(4)
    temp = Path(tempfile.mkdtemp(prefix="rp", dir="/tmp"))  # sockets' paths are short or refused
    command = [
        str(Path(sys.executable).with_name("ray")),
        *("start", "--head", "--block", "--num-cpus=2", f"--port={gcs}", f"--temp-dir={temp}"),
        *("--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
        *(f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client}"),
    ]
    with (temp / "said").open("w") as said:
        holder = subprocess.Popen(command, env=ENV | {MARK: temp.name}, stdout=said, stderr=subprocess.STDOUT)
    try:
        _wait_for(dashboard, holder, temp / "said")
        yield f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}"
    finally:
        end_marked(temp.name)
        holder.wait(60)
        shutil.rmtree(temp, ignore_errors=True)


def _wait_for(port: int, holder: subprocess.Popen[bytes], said: Path) -> None:
    until = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert holder.poll() is None and time.monotonic() < until, said.read_text()
            time.sleep(0.2)


@pytest.fixture
def working_dir(tmp_path: Path) -> Path:
    """What is uploaded: the jobs and two configs, of which one is wrong; the music and the store lie elsewhere."""
    for name in "abcd":
        write(tmp_path / f"music/{name}.wav")
    upload = tmp_path / "upload"
    shutil.copytree(JOBS, upload / "jobs", ignore=shutil.ignore_patterns("__pycache__"))
    config_file(tmp_path, resources={}, features=["mfc"]).rename(upload / "wrong.yaml")
    config_file(tmp_path, resources={}).rename(upload / "job.yaml")
    return upload


def test_job_writes_its_store_and_gives_its_exit_code(head: tuple[str, str], working_dir: Path, tmp_path: Path) -> None:
    from ray.job_submission import JobStatus, JobSubmissionClient

    client = JobSubmissionClient(head[1])

    def submit(command: str) -> str:
        return client.submit_job(
            entrypoint=f"{sys.executable} {command}", runtime_env={"working_dir": str(working_dir)}
        )

    right, wrong = submit("jobs/run.py job.yaml"), submit("jobs/featurize.py wrong.yaml")
    told = [_ended(client, job) for job in (right, wrong)]
    logs = client.get_job_logs(right)
    assert (told[0].status, told[0].driver_exit_code) == (JobStatus.SUCCEEDED, 0), logs
    assert "starting Ray" not in logs, "a job is to use the cluster it was submitted to"
    assert (told[1].status, told[1].driver_exit_code) == (JobStatus.FAILED, 2)
    assert "did you mean 'mfcc'?" in client.get_job_logs(wrong)
    run = latest_run(open_store(tmp_path / "store"))
    assert run.done["featurize"] == 4
    assert run.statuses["features"] == {"ok": 4}


def _ended(client: Any, job: str) -> Any:
    until = time.monotonic() + 240
    while not client.get_job_status(job).is_terminal():
        assert time.monotonic() < until, client.get_job_logs(job)
        time.sleep(0.3)
    return client.get_job_info(job)


def test_address_uses_the_ray_that_is_there(head: tuple[str, str], tmp_path: Path) -> None:
    write(tmp_path / "music/a.wav")
    code, said = finish("ingest", config_file(tmp_path, resources={}), "--address", head[0], env=ENV)
    assert code == 0, said
    assert "starting Ray" not in said


def test_address_where_nothing_answers_ends_with_2(tmp_path: Path) -> None:
    write(tmp_path / "music/a.wav")
    (port,) = free_ports(1)
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        code, said = finish("ingest", config_file(tmp_path), "--address", address, seconds=60, env=ENV)
        assert code == 2, said
        assert f"--address {address}: no Ray answers there" in said


def test_own_ray_is_started_beside_one_that_runs(head: tuple[str, str], tmp_path: Path) -> None:
    """A Ray that happens to run on this machine is not taken without being asked for."""
    write(tmp_path / "music/a.wav")
    code, said = finish("ingest", config_file(tmp_path), env=ENV)
    assert code == 0, said
    assert "starting Ray on this machine" in said
