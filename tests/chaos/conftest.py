"""What `make chaos` runs on: a cluster that loses processes and nodes. `make test` leaves this folder out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "ray"))  # small_job, outcome

from simulated import Simulated, simulated_cluster  # noqa: E402

HERE = Path(__file__).parent


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Losing nodes takes minutes: only who names this folder, or a file in it, gets it."""
    named = any(HERE in (path := (config.invocation_params.dir / arg.split("::")[0]).resolve()).parents or path == HERE for arg in config.args)
    return None if named else True


@pytest.fixture(scope="session")
def cluster() -> Iterator[Simulated]:
    with simulated_cluster() as cluster:
        yield cluster
