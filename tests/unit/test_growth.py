"""Nodes that may be added to a cluster, less those of their group that are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import ray
from ray._private.state import state

from ray_pipeline.config import check
from ray_pipeline.stages import growth
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.growth import MOST, Group, groups, grows

KINDS = {
    "head": {"resources": {"CPU": 4}, "max_workers": 0},
    "gpu": {"resources": {"CPU": 4, "GPU": 1}, "max_workers": 3},
    "cpu": {"resources": {"CPU": 8}, "max_workers": -1},
}
CPU = Group("cpu", 8.0, 0.0, MOST)


def node(group: str | None, *, alive: bool = True) -> dict[str, Any]:
    return {"Alive": alive, "Labels": {"ray.io/node-group": group} if group else {"ray.io/node-id": "1"}}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    told = tmp_path / "ray_bootstrap_config.yaml"
    told.write_text(json.dumps({"available_node_types": KINDS}), encoding="utf-8")
    monkeypatch.setattr(growth, "BOOTSTRAP", told)
    monkeypatch.setattr(state, "get_cluster_config", lambda: None)
    config = check({"store": str(tmp_path / "store"), "source": {"kind": "folder", "root": "/"}})
    return Context.of(config, "test", address="127.0.0.1:1")


@pytest.mark.parametrize(
    ("there", "left"),
    [
        ([node("head")], [Group("gpu", 4.0, 1.0, 3), CPU]),
        ([node("head"), node("gpu"), node("gpu")], [Group("gpu", 4.0, 1.0, 1), CPU]),
        ([node("gpu"), node("gpu", alive=False)], [Group("gpu", 4.0, 1.0, 2), CPU]),
        ([node("gpu"), node("gpu"), node("gpu")], [CPU]),
        ([node("head"), node(None)], [Group("gpu", 4.0, 1.0, 3), CPU]),
    ],
    ids=["none there", "two there", "one lost", "all there", "of no group"],
)
def test_what_is_there_may_not_be_added(
    cluster: Context, monkeypatch: pytest.MonkeyPatch, there: list[dict[str, Any]], left: list[Group]
) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: there)
    assert groups(cluster) == left
    assert grows(cluster)


def test_a_cluster_that_is_full_still_grows(cluster: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that it loses comes again."""
    growth.BOOTSTRAP.write_text(json.dumps({"available_node_types": {"gpu": KINDS["gpu"]}}), encoding="utf-8")
    monkeypatch.setattr(ray, "nodes", lambda: [node("gpu")] * 3)
    assert groups(cluster) == [] and grows(cluster)


def test_a_damaged_file_on_the_head_tells_of_none(cluster: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: [node("head")])
    growth.BOOTSTRAP.write_text("{", encoding="utf-8")
    assert groups(cluster) == [] and not grows(cluster)
