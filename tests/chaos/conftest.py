"""What `make chaos` runs on: a cluster that loses processes and nodes. `make test` leaves this folder out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "ray"))  # jobs of small settings, and what they came to

from simulated import Simulated, simulated_cluster  # noqa: E402


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Losing nodes takes minutes: only who names this folder, or a file in it, gets it."""
    named = [(config.invocation_params.dir / arg.partition("::")[0]).resolve() for arg in config.args]
    return None if any(HERE in (path, *path.parents) for path in named) else True


@pytest.fixture(scope="session")
def cluster() -> Iterator[Simulated]:
    with simulated_cluster() as cluster:
        yield cluster
