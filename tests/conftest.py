"""Shared fixtures: real data where it lies, one Ray for all tests, contexts to run stages in."""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from configs import make_config

# The one place that says where real music lies by default.
DATA = Path(os.environ.get("RAY_PIPELINE_TEST_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")).resolve()

os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real clips and FMA tables; see RAY_PIPELINE_TEST_DATA."""
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA}; set RAY_PIPELINE_TEST_DATA to a folder that has it")
    return DATA


@pytest.fixture(scope="session")
def fma_clips(data_dir: Path) -> list[Path]:
    """The ten real FMA clips."""
    return sorted((data_dir / "fma/fma_small/000").glob("*.mp3"))


@pytest.fixture(scope="session")
def whisper_tiny_en(data_dir: Path) -> Path:
    """Whisper tiny.en as OpenAI's checkpoint, beside the data's folder."""
    path = data_dir.parent / "models/whisper/tiny.en.pt"
    if not path.is_file():
        pytest.skip(f"no weights at {path}")
    return path


@pytest.fixture(scope="session")
def ray_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One Ray with 2 CPUs for the whole test run, started the way a run starts its own."""
    from ray_pipeline.stages import session
    from ray_pipeline.stages.context import Context

    ctx = Context.of(make_config(tmp_path_factory.mktemp("ray"), source={"kind": "folder", "root": "/"}), "test")
    yield session.connect(ctx)
    import ray

    ray.shutdown()


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., Any]:
    """`context(source={…}, …)`: a Context over a fresh store; called again, it is a later run of the same store."""
    from ray_pipeline.stages.context import Context

    def make(command: str = "test", **sections: Any) -> Any:
        return Context.of(make_config(tmp_path / "store", **sections), command)

    return make


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Any]:
    """One S3 protocol server on loopback for the whole test run."""
    pytest.importorskip("moto")
    from s3_server import Server

    server = Server()
    yield server
    server.stop()


@pytest.fixture
def bucket(s3_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """``s3://…`` of a fresh bucket, the environment that leads there, and few, quick retries; the gate is open."""
    from ray_pipeline.store import objects

    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(objects, "TRIES", 3)
    monkeypatch.setattr(objects, "MOST_WAIT_S", 0.1)
    objects.client.cache_clear()
    s3_server.gate.open()
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3_server.client().create_bucket(Bucket=name)
    yield f"s3://{name}"
    s3_server.gate.open()
    objects.client.cache_clear()


@pytest.fixture
def gate(s3_server: Any) -> Any:
    """What stands before the server: it can refuse, delay and cut."""
    return s3_server.gate


@pytest.fixture
def cost() -> Callable[..., None]:
    """`cost(fault, where, ids, n, again, time)`: what a fault cost, seen by the test that made it.

    `ids` are those that are there, of `n` that should be: what is lost or doubled is counted here. `again` is how many were
    worked on twice; `time` is that from the fault until all were there, as a multiple of the whole work undisturbed.
    bench/reliability.py makes a page of these lines; else they go nowhere.
    """
    path = os.environ.get("RAY_PIPELINE_RELIABILITY")

    def note(fault: str, where: str, ids: Iterable[Any], n: int, again: int = 0, time: float | None = None) -> None:
        found = list(ids)
        line = {"fault": fault, "where": where, "rows": n, "lost": n - len(set(found))}
        line |= {"doubled": len(found) - len(set(found)), "again": again, "time": time}
        if path:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    return note


def pytest_configure() -> None:
    """A shell has what it starts in the background ignore Ctrl-C, and that is inherited: commands under test are not to."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--turn", metavar="I/N", help="run the I-th of N parts of the files that are collected, I from 0")


@pytest.hookimpl(trylast=True)  # of what `-m` left
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files that take minutes run in turn, each whole, for its tests may build upon each other.

    Long files go first, so that of two workers none is left with them at the end.
    """
    items.sort(key=lambda item: item.path.parent.name != "ray")
    turn = config.getoption("--turn")
    if turn:
        part, parts = map(int, turn.split("/"))
        files = sorted({item.path for item in items})
        chosen = set(files[part::parts])
        config.hook.pytest_deselected(items=[item for item in items if item.path not in chosen])
        items[:] = [item for item in items if item.path in chosen]
