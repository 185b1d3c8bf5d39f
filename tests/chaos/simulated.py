"""A simulated cluster as the tests see it: nodes come and go, work is given to it by the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from in_flight import notes
from small_job import MARK, end_marked

# As in the holder: for Ray, this machine's address is 127.0.0.1.
ENV = os.environ | {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}


class Simulated:
    """A cluster that another process holds; `address` is what `ray-pipeline … --address` takes."""

    def __init__(self, holder: subprocess.Popen[str], said: Path) -> None:
        self._holder = holder
        self._said = said
        self.nodes: list[str] = []
        self._temp: dict[str, str] = {}
        self.address = str(self._answer()["address"])

    def ready(self, nodes: int) -> list[str]:
        """Names of its nodes, of which there are `nodes` now, each with its one CPU free."""
        while len(self.nodes) < nodes:
            self.add()
        self.wait_until_free(nodes)
        return list(self.nodes)

    def add(self, **how: str) -> str:
        """The name of one more node: ``hide=PATH`` does not see what is in PATH, ``code=PATH`` has that for this package,
        ``gpu=1`` has a pretended GPU, ``group=NAME`` says that it is of that group."""
        added = self._ask(" ".join(["add", *(f"{key}={value}" for key, value in how.items())]))
        self.nodes.append(added["node"])
        self._temp[added["node"]] = added["temp"]
        return str(added["node"])

    def notes(self, stage: str, node: str | None = None) -> list[Path]:
        """The poison guard's notes of `stage` on the nodes that are left, or on `node` alone."""
        return [note for one in ([node] if node else self.nodes) for note in notes(stage, temp=self._temp[one])]

    def all_notes(self, stage: str) -> list[Path]:
        """Those on nodes that are gone, too."""
        return [note for temp in list(self._temp.values()) for note in notes(stage, temp=temp)]

    def remove(self, node: str) -> None:
        """End `node` gracefully, as a cluster that shrinks does."""
        self.nodes.remove(node)
        self._ask(f"remove {node}")

    def kill(self, node: str) -> None:
        """SIGKILL the raylet of `node`: to the others, its machine is gone."""
        self.nodes.remove(node)
        self._ask(f"kill {node}")

    def node_of(self, pid: int) -> str:
        """The node on which the worker process `pid` runs."""
        return str(self._ask(f"find {pid}")["node"])

    def wait_until_free(self, cpus: float) -> None:
        """Wait for the cluster to have `cpus` CPUs, none of them held; they come back a moment after a job ends."""
        until = time.monotonic() + 60
        while (seen := self._ask("cpus")) != {"free": cpus, "all": cpus}:
            assert time.monotonic() < until, f"of {cpus} CPUs there are {seen}"
            time.sleep(0.2)

    def _ask(self, request: str) -> dict[str, Any]:
        assert self._holder.stdin
        print(request, file=self._holder.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._holder.stdout
        line = self._holder.stdout.readline()
        assert line, f"the cluster's holder ended: {self._said.read_text()[-2000:]}"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def simulated_cluster() -> Iterator[Simulated]:
    """A cluster without nodes yet; it ends, to the last process, with the block."""
    temp = Path(tempfile.mkdtemp(prefix="rc", dir="/tmp"))  # sockets' paths are short or refused
    word = uuid.uuid4().hex
    with (temp / "said").open("w") as said:
        holder = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("cluster_holder.py")), str(temp)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env=ENV | {MARK: word},
        )
    try:
        yield Simulated(holder, temp / "said")
    finally:
        end_marked(word)
        holder.wait(60)
        shutil.rmtree(temp, ignore_errors=True)
