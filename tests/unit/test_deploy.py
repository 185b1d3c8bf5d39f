"""deploy/: manifests against a small schema of our own. The images are not built here."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "rayjob.yaml").read_text(encoding="utf-8"))
    return found


def pods(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    workers = {group["groupName"]: group["template"]["spec"] for group in cluster["workerGroupSpecs"]}
    submitter = job["spec"]["submitterPodTemplate"]["spec"]
    return {"head": cluster["headGroupSpec"]["template"]["spec"], "submitter": submitter, **workers}


def test_it_is_a_ray_job_of_the_version_that_was_tested(job: dict[str, Any]) -> None:
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == version("ray")
    assert job["spec"]["shutdownAfterJobFinishes"] is True


def test_its_entry_point_is_there(job: dict[str, Any]) -> None:
    words = job["spec"]["entrypoint"].split()
    for name in (word for word in words if word.endswith((".py", ".yaml"))):
        assert (DEPLOY.parent / name).is_file(), name


def test_no_pod_is_root_or_may_become_it(job: dict[str, Any]) -> None:
    assert set(pods(job)) == {"head", "submitter", "cpu", "t4"}
    for name, pod in pods(job).items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name


def test_every_pod_asks_for_the_token_and_mounts_what_it_needs(job: dict[str, Any]) -> None:
    """The operator makes the token (`authOptions`); the mode is said all the same, as everywhere."""
    assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    for name, pod in pods(job).items():
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        for container in pod["containers"]:
            env = {one["name"]: one["value"] for one in container["env"]}
            assert env["RAY_AUTH_MODE"] == "token", name
            assert not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(env), name
            assert {mount["name"] for mount in container.get("volumeMounts", [])} == volumes, name


def test_only_the_gpu_pods_hold_a_gpu_and_requests_are_limits(job: dict[str, Any]) -> None:
    for name, pod in pods(job).items():
        (container,) = pod["containers"]
        resources = container["resources"]
        assert resources["requests"] == resources["limits"], name
        assert ("nvidia.com/gpu" in resources["limits"]) == (name == "t4"), name
        assert container["image"] == f"ray-pipeline:{'gpu' if name == 't4' else 'cpu'}", name


def test_the_policy_lets_in_the_runs_own_pods_and_the_operator_only(job: dict[str, Any]) -> None:
    policy = yaml.safe_load((DEPLOY / "networkpolicy.yaml").read_text(encoding="utf-8"))["spec"]
    labels = policy["podSelector"]["matchLabels"]
    cluster = job["spec"]["rayClusterSpec"]
    groups = [group["template"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    assert all(one["metadata"]["labels"] == labels for one in [*groups, job["spec"]["submitterPodTemplate"]])
    assert policy["policyTypes"] == ["Ingress"]
    assert [set(rule["from"][0]) for rule in policy["ingress"]] == [{"podSelector"}, {"namespaceSelector"}]
    assert policy["ingress"][1]["ports"] == [{"protocol": "TCP", "port": 8265}]


def test_images_are_pinned_not_root_and_have_both_targets() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    stages = dict(re.findall(r"^FROM (\S+) AS (\w+)", text, re.M))
    assert stages == {f"rayproject/ray:{version('ray')}-py311-{kind}": kind for kind in ("cpu", "gpu")}
    assert text.count("USER ray\n") == 2 and "USER root" not in text
    assert text.count("--constraint constraints.txt") == 4
    assert re.findall(r"'\.\[(\S+)\]'", text) == ["offline,s3"] * 2, "weights without a hub, and stores on s3://"
    for source in re.findall(r"^COPY --chown=\S+ (.+) \S+$", text, re.M):
        assert all((DEPLOY.parent / name).exists() for name in source.split()), source
