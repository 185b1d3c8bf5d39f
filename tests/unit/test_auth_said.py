"""Wherever a Ray is started or spoken to, the mode of its auth is said: Ray's own default differs between the two sides."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = re.compile(r"\bray (start|up|submit|attach|dashboard|exec|rsync-up|status|job [a-z]+|list)\b")
TEXTS = sorted(
    path
    for pattern in (
        "*.md",
        "*.yaml",
        "Makefile",
        "docs/**/*.md",
        "deploy/*",
        "tune_configs/*.yaml",
        "jobs/*.py",
        ".ci/*",
    )
    for path in ROOT.glob(pattern)
    if path.is_file()
)


def said(line: str) -> bool:
    """Of each command that a line tells to type, whether the mode stands before it."""
    before = 0
    for found in COMMAND.finditer(line):
        if "RAY_AUTH_MODE=" not in line[before : found.start()]:
            return False
        before = found.end()
    return True


def commands(path: Path) -> list[str]:
    """Lines that are commands, and not words about one, which stand in backticks."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        bare = re.sub(r"`[^`]*`", "", line)
        if COMMAND.search(bare):
            found.append(bare)
    return found


def test_there_are_such_commands() -> None:
    assert sum(len(commands(path)) for path in TEXTS) > 10
    assert not said("ray start --head") and said("RAY_AUTH_MODE=token ray up x")


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_says_it(path: Path) -> None:
    assert [line for line in commands(path) if not said(line)] == []


def test_a_ray_that_is_started_here_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an address the mode is set before Ray is imported; with one it is the user's to say, and kept."""
    code = (ROOT / "ray_pipeline/stages/session.py").read_text(encoding="utf-8")
    assert code.index('setdefault("RAY_AUTH_MODE", "disabled")') < code.index("    import ray\n")
