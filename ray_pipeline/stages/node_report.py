"""What a node runs and what it sees: executed on the driver and, by a task, on every other node. It imports nothing heavy."""

from __future__ import annotations

import hashlib
import os
import platform
import uuid
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ray_pipeline import __version__

SAMPLE = 5  # entries of a folder by which it is told from another one of its name
# What must be the same everywhere; of the others a difference is noted.
SAME = ("python", "ray", "ray_pipeline", "code")
_PACKAGES = ("ray", "torch", "librosa", "pylance", "pyarrow", "scikit-learn", "numpy")


@dataclass(frozen=True)
class Wanted:
    """A local path that workers are sent to. What the driver saw there is what they must see."""

    setting: str
    path: str
    entries: tuple[tuple[str, int], ...] = ()
    digest: str = ""
    write: bool = False


@dataclass(frozen=True)
class Report:
    """Of one node: its versions by name, and what it lacks by setting."""

    versions: dict[str, str]
    lacks: dict[str, str]


def wanted(setting: str, path: str, *, hashed: bool = False, write: bool = False) -> Wanted:
    """`path` as this process sees it; `hashed` for what must be the same to the last byte."""
    return Wanted(setting, path, _entries(path), _digest(path) if hashed else "", write)


def report(paths: list[Wanted]) -> Report:
    """What this node runs, and why it cannot do with which of `paths`."""
    seen = {one.setting: lack(one) for one in paths}
    return Report(versions(), {setting: why for setting, why in seen.items() if why})


def lack(one: Wanted) -> str:
    """Why this node cannot do with a path; empty if it can."""
    if not os.path.exists(one.path):  # noqa: PTH110 — the path may hold undecodable bytes
        return f"does not see {one.path}"
    for name, size in one.entries:
        try:
            there = _size(os.path.join(one.path, name))  # noqa: PTH118
        except OSError:
            there = None
        if there != size:
            return f"has a {one.path} of its own: '{name}', which lies in the driver's, is not the same in it"
    try:
        if one.digest and _digest(one.path) != one.digest:
            return f"has other contents at {one.path} than the driver"
        if one.write:
            _write_beside(Path(one.path))
    except OSError as error:
        return f"cannot use {one.path}: {error.strerror}"
    return ""


def versions() -> dict[str, str]:
    """Of Python and what results depend on; ``code`` is a digest of this package's own files."""
    # What travels with a job is not installed, so it is asked itself.
    found = {"python": platform.python_version(), "ray_pipeline": __version__, "code": _code()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _code() -> str:
    root = Path(__file__).parents[1]
    found = hashlib.blake2b(digest_size=4)
    for path in sorted(root.rglob("*.py")):
        found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _entries(path: str) -> tuple[tuple[str, int], ...]:
    """A few entries of a folder; none of a file."""
    found: list[tuple[str, int]] = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                found.append((entry.name, _size(entry.path)))
                if len(found) == SAMPLE:
                    break
    except OSError:
        return ()
    return tuple(found)


def _size(path: str) -> int:
    """Bytes of a file; -1 of a folder, whose size says nothing."""
    return -1 if os.path.isdir(path) else os.stat(path).st_size  # noqa: PTH112, PTH116


def _digest(path: str) -> str:
    """SHA-256 of a file, or of all files in a folder and below."""
    root = Path(path)
    found = hashlib.sha256()
    for file in sorted(root.rglob("*")) if root.is_dir() else [root]:
        if file.is_file():
            with file.open("rb") as opened:
                found.update(
                    file.relative_to(root).as_posix().encode() + hashlib.file_digest(opened, "sha256").digest()
                )
    return found.hexdigest()


def _write_beside(path: Path) -> None:
    own = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    own.write_bytes(b"")
    own.unlink()
