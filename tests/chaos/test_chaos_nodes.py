"""Nodes that differ from the driver's are told before a track is opened. The nodes are simulated, what they lack is not:
one has a mount namespace of its own, one imports other code."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from simulated import ENV, Simulated
from small_job import config_file, finish
from sounds import write
from whisper_checkpoints import save

from ray_pipeline.store import open_store

pytestmark = pytest.mark.ray
ROOT = Path(__file__).parents[2]

Add = Callable[..., str]


@pytest.fixture
def add(cluster: Simulated) -> Iterator[Add]:
    """`add(hide=…)`: a node that goes again with the test; there are two that are like the driver's."""
    cluster.ready(2)
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace may be made here")
    made: list[str] = []

    def start(**how: Any) -> str:
        made.append(cluster.add(**{key: str(value) for key, value in how.items()}))
        cluster.wait_until_free(len(cluster.nodes))
        return made[-1]

    yield start
    for node in made:
        cluster.remove(node)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with music; beside it, so that either can be hidden alone, there will be the store."""
    for name in "abcdef":
        write(tmp_path / "music" / f"{name}.wav")
    (tmp_path / "store").mkdir()
    return tmp_path


def ingest(job: Path, cluster: Simulated, *more: str, command: str = "ingest") -> tuple[int, str]:
    return finish(command, job, "--address", cluster.address, *more, env=ENV)


def refused(place: Path, cluster: Simulated, node: str, told: str, *more: str, **kwargs: Any) -> str:
    """What is said by a command that ends with 2, names `node` and `told`, and has opened nothing."""
    job = kwargs.pop("job", None) or config_file(place, resources={})
    code, said = ingest(job, cluster, *more, **kwargs)
    assert code == 2, said
    assert "Traceback" not in said
    line = next((line for line in said.splitlines() if told in line), said)
    assert re.search(rf"node 127\.0\.0\.1(/{node[:6]})?", line), said
    assert told in line
    assert not (place / "store/tracks").exists()
    return said


def test_nodes_that_see_all_are_let_work(cluster: Simulated, place: Path) -> None:
    cluster.ready(2)
    code, said = ingest(config_file(place, resources={}), cluster)
    assert code == 0, said
    assert len(open_store(place / "store").datasets()) == 2
    assert list((place / "store/scratch").iterdir()) == []


def test_music_that_one_node_does_not_see(cluster: Simulated, add: Add, place: Path) -> None:
    node = add(hide=place / "music")
    said = refused(place, cluster, node, f"has a {place}/music of its own")
    assert "source.root: mount the music at the same path on every node, or name it as s3://" in said


def test_a_dry_run_tells_it_too_and_writes_nothing(cluster: Simulated, add: Add, place: Path) -> None:
    node = add(hide=place / "music")
    refused(place, cluster, node, f"has a {place}/music of its own", "--dry-run")
    assert list((place / "store").iterdir()) == []


def test_a_dry_run_tells_of_every_node(cluster: Simulated, place: Path) -> None:
    cluster.ready(2)
    code, said = ingest(config_file(place, resources={}), cluster, "--dry-run", command="run")
    assert code == 0, said
    assert len(re.findall(r"^there is  127\.0\.0\.1: 1 CPU$", said, re.M)) == 2
    assert "featurize: a worker with 0.9 CPUs; room for 2" in said
    assert list((place / "store").iterdir()) == []


def test_a_store_that_one_node_does_not_see(cluster: Simulated, add: Add, place: Path) -> None:
    node = add(hide=place / "store")
    said = refused(place, cluster, node, f"does not see {place}/store/scratch/seen-")
    assert "store: name a folder that is mounted at the same path on every node, or s3://" in said


def test_weights_that_only_the_driver_has(cluster: Simulated, add: Add, place: Path) -> None:
    (place / "weights").mkdir()
    save(place / "weights/random.pt")
    words = {"backend": "openai-whisper", "model": str(place / "weights/random.pt")}
    job = config_file(place, resources={}, lyrics=words, fusion={"kind": "audio"})
    node = add(hide=place / "weights")
    refused(place, cluster, node, f"does not see {place}/weights/random.pt", job=job, command="transcribe")


def test_a_node_with_other_code(cluster: Simulated, add: Add, place: Path) -> None:
    shutil.copytree(ROOT / "ray_pipeline", place / "former", ignore=shutil.ignore_patterns("__pycache__"))
    with (place / "former/training.py").open("a") as file:
        file.write("# as it was a version ago\n")
    node = add(code=place / "former")
    refused(place, cluster, node, "runs ray_pipeline's code ")


def test_a_node_without_this_package(cluster: Simulated, add: Add, place: Path) -> None:
    """In its place lies what cannot be imported, as where half a package was copied."""
    (place / "none").mkdir()
    (place / "none/__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'ray_pipeline'\")\n")
    node = add(code=place / "none")
    said = refused(place, cluster, node, "cannot run this package: No module named 'ray_pipeline'")
    assert "runtime_env.yaml" in said
