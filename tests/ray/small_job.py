"""A job of small, quick settings over `folder`/music, its store in `folder`/store: in this process, or as a command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Run = Callable[..., Any]
COMMAND = str(Path(sys.executable).with_name("ray-pipeline"))


def settings(folder: Path, **sections: Any) -> dict[str, Any]:
    """`sections` replace whole sections."""
    small = {
        "store": str(folder / "store"),
        "source": {"kind": "folder", "root": str(folder / "music")},
        "features": ["mfcc"],
        "lyrics": {"backend": "none"},
        "fusion": {"kind": "audio"},
        "model": {"kind": "pca"},
        "training": {"epochs": 2, "num_workers": 0},
        "clusterer": {"kind": "kmeans", "n_clusters": 2},
        "scoring": {"seeds": 1, "null_draws": 2, "permutations": 20},
        "resources": {"num_cpus": 2},
        "max_bad_fraction": 0.99,
    }
    return small | sections


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
    said, _ = job.communicate(timeout=seconds)
    return job.returncode, said
