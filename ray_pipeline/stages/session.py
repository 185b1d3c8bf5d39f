"""A quiet Ray: started here, or the cluster at an address; ended only if it was started here."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray_pipeline.errors import ConfigError, ResourceError
from ray_pipeline.stages import growth
from ray_pipeline.stages.context import Context

# Ray reads these when it is imported or when a worker starts. Ray turns token auth on by itself for a local start and then
# refuses its own clients: the mode is always said.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_LOG_LEVEL": "WARNING",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "1",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # Ray's C++ core prints to the terminal of whoever imports it; set another level to see it.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
KNOCK_S = 10.0
_HANDED_DOWN: dict[str, str] = {}
AWS_PLACES = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION")
# Words and vectors change in their last bits with the number of BLAS threads: it is pinned in every worker.
WORKER_ENV = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


def aws_env() -> dict[str, str]:
    """Where S3 is, for workers on other nodes. Not who asks: Ray shows and logs what it hands on, so each node has its role."""
    return {name: os.environ[name] for name in AWS_PLACES if name in os.environ}


def _handed_on() -> dict[str, str]:
    """What workers at an address are told, but for what a submitted job says itself: Ray lets none be said twice."""
    try:
        job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
        said = set(job["runtime_env"]["env_vars"])
    except (KeyError, TypeError, ValueError):
        said = set()
    return {name: value for name, value in (WORKER_ENV | aws_env()).items() if name not in said}


def connect(ctx: Context) -> Any:
    """The `ray` module, connected; starts a Ray on this machine where no address is given. Called again, it does nothing."""
    for key, value in _QUIET.items():
        os.environ.setdefault(key, value)
    if not ctx.address:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        # As on other systems than Linux: Ray then takes 127.0.0.1 for this machine's address, and listens nowhere else.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    warnings.filterwarnings("ignore", message="lance is not fork-safe")
    warnings.filterwarnings("ignore", message="`ray_remote_args_fn` is deprecated")
    import ray

    if not ray.is_initialized():
        with _stderr_to(_log(ctx, "ray_start.log")):
            _start(ray, ctx)
    _quiet_data(ctx)
    return ray


def _log(ctx: Context, name: str) -> Path:
    """Where Ray's own words go; nowhere in a dry run, which writes nothing."""
    return Path(os.devnull) if ctx.dry else ctx.store.folder("logs") / name


@contextmanager
def _stderr_to(path: Path) -> Iterator[None]:
    """Ray's C++ core prints while it starts, whatever its settings; that goes to a file."""
    sys.stderr.flush()
    kept = os.dup(2)
    with path.open("ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _start(ray: Any, ctx: Context) -> None:
    address = ctx.address
    common = {"log_to_driver": ctx.verbose, "logging_level": logging.ERROR}
    if address and "://" in address:
        raise ConfigError(
            f"--address {address}: an address is host:port; Ray's client (ray://) does not carry Ray Data, Train and Tune",
            hint="give host:port on a machine of the cluster, or use `ray job submit`, whose own address is http://",
        )
    if address:
        try:
            _knock(address)
        except OSError as error:
            raise ResourceError(
                f"--address {address}: nothing answers there: {error}",
                hint="start a Ray with `ray start --head`, or leave --address out to start one here",
            ) from None
        try:
            ray.init(address=address, runtime_env={"env_vars": _handed_on()}, **common)
        except (OSError, RuntimeError, ValueError) as error:
            raise _not_let_in(address, error) from None
        return
    ctx.say("starting Ray on this machine")
    # Without "local" Ray would look for one that runs here already, and then refuse to be told of CPUs.
    try:
        with environment(WORKER_ENV):
            ray.init(address="local", num_cpus=_cpus(ctx), include_dashboard=False, **common)
            _HANDED_DOWN.update(os.environ)
    except Exception as error:
        if "timed out during startup" not in str(error):
            raise
        raise ResourceError(
            f"Ray did not start on this machine: {str(error).partition('. ')[0]}",
            hint="it may be busy, or out of memory: the same command goes on from here",
        ) from None


@contextmanager
def environment(given: dict[str, str]) -> Iterator[None]:
    """What a Ray that is started inside hands down. Workers with a runtime_env would be others than those it starts with."""
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def handed_down() -> Mapping[str, str]:
    """The environment that workers have from this process, where it started their Ray; else empty."""
    return _HANDED_DOWN


def _not_let_in(address: str, error: Exception) -> ResourceError:
    """Why somebody answers at `address`, and yet there is no connection."""
    if "ersion mismatch" not in str(error):
        # What Ray says of environments has their values in it, which may be secrets.
        why = "" if "env" in str(error) else f": {str(error).splitlines()[0]}"
        return ResourceError(
            f"--address {address}: no Ray lets us in there{why}",
            hint="it may ask for a token: set RAY_AUTH_MODE and RAY_AUTH_TOKEN here as they are at the head",
        )
    # Ray's own words name the versions of both sides.
    return ResourceError(
        f"--address {address}: {' '.join(str(error).split())}",
        hint="run the cluster and what submits to it from one image, or from one constraints.txt and one Python",
    )


def _knock(address: str) -> None:
    """Raise OSError where nobody listens at ``host:port``; Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()


def _cpus(ctx: Context) -> int | None:
    wanted = ctx.config.resources.num_cpus
    return None if wanted is None else max(1, int(wanted))


def _quiet_data(ctx: Context) -> None:
    """Ray Data: no bars of its own, its log to a file, and a block that fails is ours to deal with."""
    from ray.data import DataContext

    data = DataContext.get_current()
    data.enable_progress_bars = False
    data.max_errored_blocks = -1
    data.execution_no_progress_timeout_s = 600
    logs = _log(ctx, "ray_data.log")
    for name in ("ray.data", "ray.train", "ray.tune"):
        logger = logging.getLogger(name)
        if not any(getattr(h, "baseFilename", None) == str(logs) for h in logger.handlers):
            logger.handlers = [logging.FileHandler(logs, delay=True)]
            logger.propagate = False


def nodes(ctx: Context) -> list[dict[str, Any]]:
    """What Ray says of each node of the connected cluster that is alive."""
    return [node for node in connect(ctx).nodes() if node["Alive"]]


def cpus(ctx: Context) -> int:
    """CPUs that the connected cluster has, or may have once it has grown."""
    return max(1, int(there(ctx, "CPU") + sum(group.count * group.cpus for group in growth.groups(ctx))))


def gpus(ctx: Context) -> int:
    """GPUs that the connected cluster has, or may have once it has grown."""
    return int(there(ctx, "GPU") + sum(group.count * group.gpus for group in growth.groups(ctx)))


def there(ctx: Context, kind: str) -> float:
    """How much of `kind`, as Ray calls it ("CPU", "GPU"), the nodes of the connected cluster have now."""
    return float(connect(ctx).cluster_resources().get(kind, 0))


def grows(ctx: Context) -> bool:
    """Whether nodes may be added to the connected cluster."""
    connect(ctx)
    return growth.grows(ctx)


def on_nodes(nodes: Iterable[str], function: Callable[..., Any], *args: Any) -> list[Any]:
    """References to ``function(*args)`` on each of `nodes`, their ids: all asked at once, each once, none of its CPUs taken."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task: Any = ray.remote(num_cpus=0, max_retries=0)(function)
    there = [NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
    return [task.options(scheduling_strategy=one).remote(*args) for one in there]


@contextmanager
def one_thread() -> Iterator[None]:
    """What a worker's environment says, for what runs here: threads that share a sum change its last bits."""
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def own_interrupt() -> Iterator[None]:
    """Ray Train takes Ctrl-C for itself, leaves by SystemExit, and never gives it back: in here it stays KeyboardInterrupt."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


@contextmanager
def session() -> Iterator[None]:
    """Ends, on the way out, the Ray that was started inside; one that was there before goes on."""
    started_before = "ray" in sys.modules and sys.modules["ray"].is_initialized()
    try:
        yield
    finally:
        if not started_before and "ray" in sys.modules:
            sys.modules["ray"].shutdown()
            _HANDED_DOWN.clear()
