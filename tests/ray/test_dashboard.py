"""Ray's own dashboard lists our trainings: a real head, its dashboard on loopback, asked as the page itself asks."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from head import ENV, Head, started
from ready_to_train import make_store
from small_job import config_file, finish

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

VAE = {"model": {"kind": "vae", "latent_dim": 3, "hidden": [16]}}


def train_runs(head: Head) -> list[dict[str, Any]]:
    """What the dashboard's page of Ray Train shows."""
    with urllib.request.urlopen(f"{head.dashboard}/api/train/v2/runs/v1", timeout=60) as answer:
        found: list[dict[str, Any]] = json.load(answer)["train_runs"]
    return found


def test_train_runs_are_in_the_dashboard(tmp_path: Path) -> None:
    make_store(tmp_path, 60)
    job = config_file(tmp_path, **VAE, training={"epochs": 2, "batch_size": 16, "num_workers": 1})
    with started() as head:
        code, said = finish("train", job, "--address", head.address, env=ENV, seconds=400)
        assert code == 0, said
        (run,) = train_runs(head)
    assert (run["status"], len(run["attempts"])) == ("FINISHED", 1)
    (worker,) = run["attempts"][0]["workers"]
    assert worker["world_rank"] == 0
    assert run["name"] == "fit"
