"""What may never be in this package: code that would run what it reads. Read from the syntax of every file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ray_pipeline import shelf
from ray_pipeline.config import load
from ray_pipeline.errors import ConfigError

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("ray_pipeline", "jobs") for path in (ROOT / folder).rglob("*.py"))

MODULES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle", "code", "telnetlib", "pty"}
NAMES = {"eval", "exec", "compile", "__import__"}
CALLS = {
    "os.system",
    "os.popen",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "np.load",
    "numpy.load",
    "pd.read_pickle",
}
# An exception's name, to be told apart from others; no function that reads.
MAY_BE_IMPORTED = {("pickle", "UnpicklingError")}


def offences(tree: ast.AST) -> Iterator[str]:
    """What in `tree` would run what it reads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {one.name}" for one in node.names if one.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield from (f"from {node.module} import {one.name}" for one in node.names
                        if (node.module, one.name) not in MAY_BE_IMPORTED)  # fmt: skip
        elif isinstance(node, ast.Call):
            yield from _of_call(node)


def _of_call(node: ast.Call) -> Iterator[str]:
    called = ast.unparse(node.func)
    given = {word.arg: ast.unparse(word.value) for word in node.keywords}
    if called in NAMES or called in CALLS or re.fullmatch(r"(\w+\.)*Tuner\.restore|(\w+\.)*from_pickle", called):
        yield called
    if called == "torch.load" and given.get("weights_only") != "True":
        yield "torch.load without weights_only=True"
    if given.get("shell") == "True" or given.get("allow_pickle") == "True" or given.get("trust_remote_code") == "True":
        yield ast.unparse(node)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_runs_what_it_reads(path: Path) -> None:
    assert list(offences(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "import torch; torch.load('a.pt')",
        "torch.load(path, weights_only=False)",
        "yaml.load(text, Loader=yaml.SafeLoader)",
        "tune.Tuner.restore(path)",
        "np.load(path)",
        "eval(text)",
        "subprocess.run(line, shell=True)",
    ],
)
def test_it_would_be_seen(code: str) -> None:
    assert list(offences(ast.parse(code)))


HOSTILE = ["os:system", "os.system", "ray_pipeline.shelf:part", "../../etc/passwd", "__class__", "builtins:eval", ""]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize(
    "setting", ["source.kind", "lyrics.backend", "fusion.kind", "model.kind", "clusterer.kind", "features"]
)
def test_a_name_in_a_config_leads_only_to_a_shelf(setting: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("source: {kind: folder, root: /}\n")
    value = f"['{name}']" if setting == "features" else f"'{name}'"
    with pytest.raises(ConfigError, match=f"unknown {setting.split('.', maxsplit=1)[0].rstrip('s')}"):
        load(path, [f"{setting}={value}"])


@pytest.mark.parametrize("name", shelf.SHELVES)
def test_a_shelf_leads_only_into_this_package(name: str) -> None:
    for address in shelf.shelf(name).values():
        assert address.startswith("ray_pipeline."), address
