"""What stages ask of Ray against what nodes have, on nodes that are only told of."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ray_pipeline.errors import ResourceError
from ray_pipeline.stages import growth, ray_train, room, session
from ray_pipeline.stages.dry_run import dry_run
from ray_pipeline.stages.room import Ask, Node, places

SOURCE = {"kind": "folder", "root": "/"}
WORDS = {"backend": "openai-whisper", "model": "tiny"}


@pytest.fixture
def cluster(context: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`cluster([(cpus, gpus), …], command, …)`: a context whose Ray has these nodes."""

    def make(nodes: list[tuple[float, float]], command: str = "run", more: list[Node] | None = None, **kw: Any) -> Any:
        told = [
            {"NodeManagerAddress": f"10.0.0.{i}", "NodeID": str(i), "Resources": {"CPU": cpus, "GPU": gpus}}
            for i, (cpus, gpus) in enumerate(nodes)
        ]
        monkeypatch.setattr(session, "nodes", lambda ctx: told)
        monkeypatch.setattr(room, "growth", lambda ctx: more or [])
        ctx = context(command, source=SOURCE, **kw)
        ctx.address = "pretend:1"
        return ctx

    return make


def test_a_worker_lies_on_one_node() -> None:
    nodes = [Node("a", 4, 0), Node("b", 4, 1)]
    assert places(Ask("sweep", 6), nodes) == 0
    assert places(Ask("sweep", 2), nodes) == 4
    assert places(Ask("train", 0.9, 1), nodes) == 1
    assert places(Ask("embed", 0, 1), nodes) == 1
    assert places(Ask("sweep", 0.1), [Node("c", 0.3, 0)]) == 3
    assert places(Ask("sweep", 2), [Node("d", 4, 0, count=3)]) == 6


@pytest.mark.parametrize(
    ("nodes", "command", "kw", "told"),
    [
        (
            [(0, 0)],
            "featurize",
            {},
            r"featurize: a worker takes 0\.9 CPUs, and no node of this Ray has that: 10\.0\.0\.0",
        ),
        ([(2, 0)], "run", {"training": {"num_workers": 3}}, r"training\.num_workers is 3, and this Ray has CPUs for 2"),
        ([(8, 1), (8, 1)], "train", {"training": {"num_workers": 3, "use_gpu": True}}, r"has GPUs for 2"),
        ([(8, 1)], "train", {"training": {"num_workers": 2}}, r"num_workers is 2, and this Ray has GPUs for 1"),
        ([(1, 2), (1, 0)], "train", {"training": {"num_workers": 3}}, r"has CPUs for 1"),
        ([(4, 0), (4, 0)], "sweep", {"tune": 6}, r"sweep: a trial takes 6 CPUs, and no node .*: 4 CPUs, 10\.0\.0\.1"),
        ([(0, 1)], "audit", {}, r"audit: a task takes 0\.9 CPUs"),
        ([(0, 1)], "transcribe", {"lyrics": WORDS}, r"transcribe: a decoder takes 0\.9 CPUs, .*10\.0\.0\.0: 1 GPU"),
    ],
)
def test_what_no_node_will_have_is_refused(
    nodes: list[tuple[float, float]], command: str, kw: dict[str, Any], told: str, cluster: Any
) -> None:
    if "tune" in kw:
        kw = {"tune": {"cpus_per_trial": kw["tune"], "clusterer.n_clusters": {"grid": [2, 3]}}}
    with pytest.raises(ResourceError, match=told) as raised:
        room.check_room(cluster(nodes, command, **kw), command)
    assert raised.value.exit_code == 2 and raised.value.hint


@pytest.mark.parametrize("nodes", [[(1, 1)], [(0, 1), (1, 0)], [(1, 0)]], ids=["one node", "two", "no GPU"])
def test_words_are_decoded_on_a_cpu_wherever_they_are_heard(nodes: list[tuple[float, float]], cluster: Any) -> None:
    ctx = cluster(nodes, "transcribe", lyrics=WORDS)
    room.check_room(ctx, "transcribe")
    decoders = [line for line in room.told(ctx, "transcribe") if line.startswith("transcribe: a decoder")]
    assert decoders == (["transcribe: a decoder with 0.9 CPUs; room for 1"] if any(gpus for _, gpus in nodes) else [])


def test_vectors_are_made_on_a_gpu_alone(cluster: Any) -> None:
    room.check_room(cluster([(0, 1)], "embed", lyrics=WORDS), "embed")


def test_nodes_that_may_be_added_count(cluster: Any) -> None:
    t4 = Node("t4", 4, 1, count=2, alive=False)
    ctx = cluster([(0, 0)], "run", [t4], training={"num_workers": 2, "use_gpu": True})
    room.check_room(ctx, "run")
    assert "there is  up to 2 more 't4': 4 CPUs and 1 GPU" in room.told(ctx, "run")


def test_an_autoscalers_own_file_is_read(context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray
    from ray._private.state import state

    kinds = {
        "head": {"resources": {"CPU": 0}, "max_workers": 0},
        "t4": {"resources": {"CPU": 4, "GPU": 1}, "max_workers": 3},
    }
    (tmp_path / "bootstrap").write_text(json.dumps({"available_node_types": kinds}))
    monkeypatch.setattr(growth, "BOOTSTRAP", tmp_path / "bootstrap")
    monkeypatch.setattr(state, "get_cluster_config", lambda: None)
    monkeypatch.setattr(ray, "nodes", list)
    ctx = context(source=SOURCE)
    assert room.growth(ctx) == []
    ctx.address = "pretend:1"
    assert room.growth(ctx) == [Node("t4", 4, 1, count=3, alive=False)]
    (tmp_path / "bootstrap").write_text("[not json")
    assert room.growth(ctx) == []


def test_a_dry_run_tells_what_there_is_and_what_it_takes(
    context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "connected", lambda: False)
    monkeypatch.setattr(session, "connect", lambda ctx: pytest.fail("a Ray was started"))
    (tmp_path / "a.wav").write_bytes(b"listed, and not opened")
    source = {"kind": "folder", "root": str(tmp_path)}
    said = dry_run(context("run", source=source, training={"num_workers": 2}))
    assert said[0].startswith("there is  this machine: 2 CPUs")
    assert "featurize: a worker with 0.9 CPUs; room for 2" in said
    assert "train: 2 workers, each with 0.9 CPUs; room for 2" in said
    assert not [line for line in said if line.startswith(("transcribe", "audit", "sweep"))]


def test_a_dry_run_refuses_without_a_ray(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "connected", lambda: False)
    with pytest.raises(ResourceError, match=r"training\.num_workers is 3, and this machine has CPUs for 2"):
        dry_run(context("run", source=SOURCE, training={"num_workers": 3}))


def test_workers_of_a_training_are_counted_by_node(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker lies on one node: ten nodes of one CPU hold ten workers of 0.9, one node of ten CPUs holds eleven."""
    ctx = context(source=SOURCE)

    def room(*nodes: dict[str, Any]) -> int:
        cluster = SimpleNamespace(nodes=lambda: [{"Alive": True, "Resources": {}} | node for node in nodes])
        monkeypatch.setattr(session, "connect", lambda ctx: cluster)
        return ray_train._room(ctx)

    one, dead = {"Resources": {"CPU": 1.0}}, {"Alive": False, "Resources": {"CPU": 8.0}}
    assert room(*[one] * 10) == 10
    assert room({"Resources": {"CPU": 10.0}}) == 11
    assert room(one, dead, {}) == 1
