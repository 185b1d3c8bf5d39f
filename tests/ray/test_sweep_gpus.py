"""Trials share a GPU by fractions; the GPU is pretended, on a simulated node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sweeps import write_store

pytestmark = [pytest.mark.ray, pytest.mark.slow]
HERE = Path(__file__).parent


@pytest.mark.parametrize(("share", "most"), [(0.5, 2), (1.0, 1)])
def test_as_many_trials_run_at_once_as_the_gpu_has_room_for(tmp_path: Path, share: float, most: int) -> None:
    write_store(tmp_path)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent), str(HERE.parents[1])])}
    env |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    env.pop("RAY_ADDRESS", None)
    command = [sys.executable, str(HERE / "pretend_gpus.py"), str(tmp_path), str(share)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["statuses"] == ["ok"] * 4
    assert told["at_once"] == most, "there are CPUs for eight"
    assert all(one["gpus"] == [0] and one["device"] == "cuda" for one in told["trials"])
