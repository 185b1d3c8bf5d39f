"""cluster.yaml: what Ray's own check lets through, and what it would not notice."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))
    return found


def test_ray_takes_it(cluster: dict[str, Any]) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(cluster)
    validate_config(prepared)
    assert set(prepared["available_node_types"]) == {"head", "t4", "cpu"}
    assert prepared["available_node_types"]["head"]["resources"]["CPU"] == 0


def test_no_key_is_misspelt(cluster: dict[str, Any]) -> None:
    """Ray's check passes over keys of the provider and of node types that it does not know."""
    assert set(cluster["provider"]) <= {
        "type",
        "region",
        "availability_zone",
        "cache_stopped_nodes",
        "use_internal_ips",
    }
    known = {"resources", "min_workers", "max_workers", "node_config", "docker"}
    instance = {"InstanceType", "ImageId", "InstanceMarketOptions", "BlockDeviceMappings"}
    for name, node in cluster["available_node_types"].items():
        assert set(node) <= known, name
        assert set(node["node_config"]) <= instance, name


def test_ray_and_python_are_those_that_were_tested(cluster: dict[str, Any]) -> None:
    images = [cluster["docker"]["image"], cluster["available_node_types"]["t4"]["docker"]["worker_image"]]
    for image in images:
        assert image.startswith(f"rayproject/ray:{version('ray')}-py311-")
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"ray=={version('ray')}" in pinned


def test_nodes_have_what_stores_on_s3_and_weights_without_a_hub_need(cluster: dict[str, Any]) -> None:
    (line,) = [line for line in cluster["setup_commands"] if "pip install" in line]
    assert line.endswith("'.[offline,s3]'")


def test_nothing_answers_without_the_token_and_the_dashboard_is_on_loopback(cluster: dict[str, Any]) -> None:
    starts = [
        line for key in ("head", "worker") for line in cluster[f"{key}_start_ray_commands"] if "ray start" in line
    ]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in line for line in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert not [line for line in starts if "0.0.0.0" in line]
    assert any(path.endswith(".ray/auth_token") for path in cluster["file_mounts"])


def test_workers_come_and_go_and_gpus_are_spot(cluster: dict[str, Any]) -> None:
    nodes = cluster["available_node_types"]
    assert nodes["t4"]["node_config"]["InstanceType"] == "g4dn.xlarge"
    assert nodes["t4"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert all(nodes[name]["min_workers"] == 0 < nodes[name]["max_workers"] for name in ("t4", "cpu"))


def test_what_it_mounts_is_there(cluster: dict[str, Any]) -> None:
    local = [path for path in cluster["file_mounts"].values() if not path.startswith("~")]
    assert local and all((ROOT / path).exists() for path in local)
