"""What a simulated cluster may lose amid work: `lose(cluster, job, pid of a worker that is at work)`."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

from simulated import Simulated

Loss = Callable[[Simulated, "subprocess.Popen[str]", int], None]


def _worker(cluster: Simulated, job: subprocess.Popen[str], pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _node(cluster: Simulated, job: subprocess.Popen[str], pid: int) -> None:
    cluster.remove(cluster.node_of(pid))


def _raylet(cluster: Simulated, job: subprocess.Popen[str], pid: int) -> None:
    cluster.kill(cluster.node_of(pid))


def _driver(cluster: Simulated, job: subprocess.Popen[str], pid: int) -> None:
    job.kill()


LOSSES: dict[str, Loss] = {
    "a worker is killed": _worker,
    "a node is removed": _node,
    "a raylet is killed": _raylet,
    "the driver is killed": _driver,
}
