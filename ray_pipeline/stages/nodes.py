"""Every other node of a cluster asked, before any work, whether it runs what the driver runs and sees what it is sent to."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from ray_pipeline.errors import ResourceError
from ray_pipeline.stages import node_report, session
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.node_report import SAME, Report, Wanted

# s. The first task of a job on a node may wait for pip to install what runtime_env.yaml asks for.
PATIENCE_S = 2000

_FIX = {
    "store": "name a folder that is mounted at the same path on every node, or s3://…",
    "source.root": "mount the music at the same path on every node, or name it as s3://…",
    "source.audio_root": "mount the music at the same path on every node, or name it as s3://…",
    "lyrics.model": "name the model by its size, or put the weights on a path that every node sees, or on s3://…",
    "text.model": "name the model by its name, or put the weights on a path that every node sees, or on s3://…",
}


def check_nodes(ctx: Context, paths: AbstractContextManager[list[Wanted]]) -> None:
    """Raise ResourceError where a node that may be given work cannot do it as the driver would."""
    others = _others(ctx)
    if not others:
        return
    with paths as wanted:
        found = ask(ctx, others, wanted)
    compare(node_report.versions(), found, ctx.run.note)
    lines = [
        f"{setting}: node {name} {why}"
        for name, report in sorted(found.items())
        for setting, why in report.lacks.items()
    ]
    if lines:
        settings = sorted({setting for report in found.values() for setting in report.lacks})
        raise ResourceError("\n".join(lines), hint="; ".join(f"{setting}: {_FIX[setting]}" for setting in settings))


def _others(ctx: Context) -> dict[str, str]:
    """Node id → name of each node that may be given work, but for the driver's own."""
    ray = session.connect(ctx)
    here = "" if ray.util.client.ray.is_connected() else ray.get_runtime_context().get_node_id()
    names: dict[str, str] = {}
    for node in session.nodes(ctx):
        resources = node["Resources"]
        if node["NodeID"] != here and (resources.get("CPU") or resources.get("GPU")):
            address = node["NodeManagerAddress"]
            # Nodes simulated on one machine share an address.
            names[node["NodeID"]] = address if address not in names.values() else f"{address}/{node['NodeID'][:6]}"
    return names


def ask(ctx: Context, others: dict[str, str], wanted: list[Wanted]) -> dict[str, Report]:
    """Name of each node → what it says, all at once.

    Raises
    ------
    ResourceError
        A node cannot run a task of ours, or does not answer.
    """
    ray: Any = session.connect(ctx)
    asked = session.on_nodes(others, node_report.report, wanted)
    found = {}
    for name, reference in zip(others.values(), asked, strict=True):
        try:
            found[name] = ray.get(reference, timeout=PATIENCE_S)
        except (ray.exceptions.RayError, ModuleNotFoundError) as error:
            raise _mute(name, error) from None
    return found


def _mute(name: str, error: Exception) -> ResourceError:
    """The error for a node that gives no report."""
    why = next((line for line in str(error).splitlines()[::-1] if line.strip()), type(error).__name__).strip()
    if "No module named" in str(error):
        why = str(error)[str(error).index("No module named") :].splitlines()[0]
    return ResourceError(
        f"node {name} cannot run this package: {why[:300]}",
        hint="every node needs it: build the image of deploy/Dockerfile, or submit with --runtime-env runtime_env.yaml",
    )


def compare(here: dict[str, str], found: dict[str, Report], note: Any) -> None:
    """Hold the versions of nodes against the driver's: what must be the same is refused, the rest noted.

    Raises
    ------
    ResourceError
        Another Python, Ray or ray_pipeline; each line names the node and both versions.
    """
    lines = []
    for name, report in sorted(found.items()):
        for package, version in report.versions.items():
            if version == here[package]:
                continue
            told = f"node {name} runs {_worded(package, version)}, the driver {_worded(package, here[package])}"
            if package in SAME:
                lines.append(told)
            else:
                note(f"{told}: numbers may differ in their last digits")
    if lines:
        raise ResourceError(
            "\n".join(lines),
            hint="run every node from one image, or submit with --working-dir . and --runtime-env runtime_env.yaml",
        )


def _worded(package: str, version: str) -> str:
    if package == "code":
        return f"ray_pipeline's code {version}"
    return f"{'Python' if package == 'python' else 'Ray' if package == 'ray' else package} {version}"
