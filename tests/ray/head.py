"""A Ray of its own for a test, as on a cluster: `ray start --head` on free ports of loopback, and jobs submitted to it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from small_job import MARK, end_marked

BIN = Path(sys.executable).parent
# `python` is to be the one of the tests, as it would be on a node of a cluster.
ENV = os.environ | {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
}
LOOPBACK = ("--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1")
ENDS_IN_S = 400


@dataclass(frozen=True)
class Head:
    """`address` is Ray's own, host:port; jobs are submitted to `dashboard`, http://host:port; `mark` tells its processes."""

    address: str
    dashboard: str
    mark: str = ""

    def submit(self, entrypoint: str, working_dir: Path) -> str:
        """As `ray job submit --working-dir … --runtime-env-json … -- ENTRYPOINT`; the job's id.

        It sets a variable that its workers are given anyway: Ray ends a job where both set one.
        """
        environment = {"working_dir": str(working_dir), "env_vars": {"OMP_NUM_THREADS": "1"}}
        job: str = self._client().submit_job(entrypoint=entrypoint, runtime_env=environment)
        return job

    def ended(self, job: str) -> tuple[int, str]:
        """Exit code of `job`, which is waited for, and all that it said."""
        client = self._client()
        until = time.monotonic() + ENDS_IN_S
        while not client.get_job_status(job).is_terminal():
            assert time.monotonic() < until, client.get_job_logs(job)
            time.sleep(0.2)
        return client.get_job_info(job).driver_exit_code, client.get_job_logs(job)

    def _client(self) -> Any:
        from ray.job_submission import JobSubmissionClient

        return JobSubmissionClient(self.dashboard)


def free_ports(n: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [server.getsockname()[1] for server in held]
    for server in held:
        server.close()
    return ports


@contextmanager
def started(env: dict[str, str] = ENV, words: Sequence[str] = LOOPBACK) -> Iterator[Head]:
    """A Ray of 2 CPUs, started with `words`; it ends with the one process that holds it."""
    gcs, dashboard, agent, client = free_ports(4)
    temp = Path(tempfile.mkdtemp(prefix="rp", dir="/tmp"))  # sockets' paths are short or refused
    command = [
        *(str(BIN / "ray"), "start", "--head", "--block", "--num-cpus=2", f"--port={gcs}", f"--temp-dir={temp}"),
        *(*words, f"--dashboard-port={dashboard}"),
        *(f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client}"),
    ]
    with (temp / "said").open("w") as said:
        holder = subprocess.Popen(command, env=env | {MARK: temp.name}, stdout=said, stderr=subprocess.STDOUT)
    try:
        _wait_for(dashboard, holder, temp / "said")
        yield Head(f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}", temp.name)
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
