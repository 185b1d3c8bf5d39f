"""A Ray cluster simulated on this machine, held by this process and told over stdin what to lose.

    python cluster_holder.py TEMP_FOLDER

The head has no CPU, so that all work lies on the nodes, of one CPU each. One request a line in, one line of JSON out:

    add              start a node        -> {"node": "…", "temp": "/…", its folder for temporary files, as no other node's}
    add hide=PATH    one in a mount namespace of its own, to which the folder PATH is empty
    add code=PATH    one in such a namespace, in which PATH lies in place of this package
    add group=NAME   one that says that it is of this group of nodes
    add gpu=1        one that is told of a GPU there is not, and has two CPUs
    remove NODE      end it gracefully   -> {}
    kill NODE        SIGKILL its raylet  -> {}
    find PID         where a worker runs -> {"node": "…"}
    cpus             free and all        -> {"free": 2.0, "all": 3.0}

The first line out is {"address": "127.0.0.1:…"}. The end of stdin ends the cluster.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
# As on other systems: Ray then takes 127.0.0.1 for this machine's address, and nothing listens beyond it.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

CLONE_NEWNS = 0x20000  # of <sched.h>
PACKAGE = Path(__file__).parents[2] / "ray_pipeline"
THREADS: list[ThreadPoolExecutor] = []
LOOPBACK = {"node_ip_address": "127.0.0.1"}


class Holder:
    def __init__(self, temp: str) -> None:
        import ray
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False, "temp_dir": temp, **LOOPBACK}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.ray = ray
        ray.init(address=self.cluster.address, log_to_driver=False)
        self.nodes: dict[str, Any] = {}
        self.temp = Path(temp)
        self.added = 0

    def add(self, *how: str) -> dict[str, Any]:
        told = dict(word.split("=", 1) for word in how)
        has = {"num_cpus": 2, "num_gpus": int(told.pop("gpu"))} if "gpu" in told else {"num_cpus": 1}
        labels = {"labels": {"ray.io/node-group": told.pop("group")}} if "group" in told else {}
        self.added += 1
        own = self.temp / f"node-{self.added}"
        own.mkdir()
        start = partial(self.cluster.add_node, **has, **labels, env_vars={"TMPDIR": str(own)}, **LOOPBACK)
        mounts = {"hide": ["-t", "tmpfs", "none", told.get("hide")], "code": ["--bind", told.get("code"), str(PACKAGE)]}
        node = _where_mounted(mounts[next(iter(told))], start) if told else start()
        self.nodes[node.node_id] = node
        return {"node": node.node_id, "temp": str(own)}

    def remove(self, name: str) -> dict[str, Any]:
        self.cluster.remove_node(self.nodes.pop(name), allow_graceful=True)
        return {}

    def kill(self, name: str) -> dict[str, Any]:
        node = self.nodes.pop(name)
        os.kill(_raylet(node).pid, signal.SIGKILL)
        _raylet(node).wait()
        self.cluster.remove_node(node, allow_graceful=False)  # its agents, which it leaves behind
        return {}

    def find(self, pid: str) -> dict[str, Any]:
        above = set(_above(int(pid)))
        (name,) = [name for name, node in self.nodes.items() if _raylet(node).pid in above]
        return {"node": name}

    def cpus(self) -> dict[str, Any]:
        return {
            "free": self.ray.available_resources().get("CPU", 0.0),
            "all": self.ray.cluster_resources().get("CPU", 0.0),
        }

    def end(self) -> None:
        self.ray.shutdown()
        self.cluster.shutdown()


def _where_mounted(args: list[str | None], start: Callable[[], Any]) -> Any:
    """What `start` gives in a thread for which alone, and for all that it starts, ``mount ARGS`` was done; only root may.

    The thread stays there: what it starts shares its view of the file system, so that it could not go back, and ends with it.
    """

    def run() -> Any:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", *filter(None, args)], check=True)
        with patch("ray._private.utils.set_sigterm_handler"):  # which only a main thread may
            return start()

    THREADS.append(ThreadPoolExecutor(1))
    return THREADS[-1].submit(run).result()


def _raylet(node: Any) -> Any:
    (raylet,) = node.all_processes["raylet"]
    return raylet.process


def _above(pid: int) -> Iterator[int]:
    """The process that started `pid`, the one that started that, …"""
    while pid > 1:
        status = Path(f"/proc/{pid}/status").read_text()
        pid = int(status.partition("PPid:")[2].split()[0])
        yield pid


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what Ray prints is no answer
    holder = Holder(sys.argv[1])
    requests: dict[str, Callable[..., dict[str, Any]]] = {
        "add": holder.add,
        "remove": holder.remove,
        "kill": holder.kill,
        "find": holder.find,
        "cpus": holder.cpus,
    }
    print(json.dumps({"address": holder.cluster.address}), file=answers)
    for line in sys.stdin:
        request, *names = line.split()
        print(json.dumps(requests[request](*names)), file=answers)
    holder.end()


if __name__ == "__main__":
    main()
