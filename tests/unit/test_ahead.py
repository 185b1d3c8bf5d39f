"""Imports that are begun before somebody needs them."""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path

import pytest

from ray_pipeline.stages import ahead

NAME = "imported_ahead_of_time"


@pytest.fixture(autouse=True)
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{NAME}.py").write_text("import threading\nBY = threading.current_thread().name\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, NAME, raising=False)


def ended() -> None:
    for thread in threading.enumerate():
        if thread.name == "imports":
            thread.join(10)


def test_what_was_begun_is_there() -> None:
    ahead.begin(NAME)
    ended()
    assert sys.modules[NAME].BY == "imports"


def test_what_cannot_be_imported_is_passed_over(capfd: pytest.CaptureFixture[str]) -> None:
    ahead.begin("no_such_module_anywhere", NAME)
    ended()
    assert NAME in sys.modules
    assert capfd.readouterr() == ("", "")


def test_the_collector_rests_inside_and_not_after() -> None:
    with pytest.raises(ZeroDivisionError), ahead.uncollected():
        assert not gc.isenabled()
        raise ZeroDivisionError
    assert gc.isenabled()


def test_a_collector_that_rests_is_left_so() -> None:
    gc.disable()
    try:
        with ahead.uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
