"""A job of small, quick settings over `folder`/music, its store in `folder`/store: in this process, or as a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from configs import SMALL

Run = Callable[..., Any]
MARK = "RAY_PIPELINE_TEST_MARK"
COMMAND = str(Path(sys.executable).with_name("ray-pipeline"))


def settings(folder: Path, **sections: Any) -> dict[str, Any]:
    """`sections` replace whole sections."""
    source = {"kind": "folder", "root": str(folder / "music")}
    return {"store": str(folder / "store"), "source": source} | SMALL | sections


def runs_in(folder: Path) -> Run:
    """`run("featurize", features=[…])`: run a command and give its context back."""
    from ray_pipeline.config import check
    from ray_pipeline.stages import pipeline
    from ray_pipeline.stages.context import Context

    def run(command: str = "run", **sections: Any) -> Any:
        ctx = Context.of(check(settings(folder, **sections)), command)
        pipeline.run(ctx, command)
        return ctx

    return run


def config_file(folder: Path, **sections: Any) -> Path:
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(settings(folder, **sections)), encoding="utf-8")
    return path


def start(*args: str | Path, **kwargs: Any) -> subprocess.Popen[str]:
    """`ray-pipeline ARGS` in a session of its own, as from a terminal of its own."""
    return subprocess.Popen(
        [COMMAND, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **kwargs,
    )


def finish(*args: str | Path, seconds: float = 240, **kwargs: Any) -> tuple[int, str]:
    """Exit code and all that `ray-pipeline ARGS` says."""
    job = start(*args, **kwargs)
    try:
        said, _ = job.communicate(timeout=seconds)
    finally:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
    return job.returncode, said


def marked(word: str) -> list[int]:
    """Processes that were started with `word` as `MARK` in their environment, less those that have ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={word}".encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def end_marked(word: str) -> None:
    """Kill what was started with `word`, to the last process."""
    while pids := marked(word):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
