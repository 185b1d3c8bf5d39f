"""Each of the 33 cases that must not break the system has a test that bears its number."""

from __future__ import annotations

import re
from pathlib import Path

NAMED = re.compile(r"^def test_rows?_([0-9_]+(?:and_[0-9_]+)?)", re.MULTILINE)


def test_every_case_has_a_test() -> None:
    files = Path(__file__).parents[1].rglob("test_*.py")
    names = [name for file in files for name in NAMED.findall(file.read_text(encoding="utf-8"))]
    assert {int(number) for name in names for number in re.findall("[0-9]+", name)} == set(range(1, 34))
