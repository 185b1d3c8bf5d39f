"""What the transcribe stage puts into one call of a transcriber, and on whose account."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sounds import tone, write

from ray_pipeline.config import Audio
from ray_pipeline.lyrics.base import Heard, LyricsParams
from ray_pipeline.stages.hearing import NOBODY, DecodeWindows, HearLyrics

WORDS = "{} giant metal Santa Claus watches over us"


class Ear:
    """Hears the length of each window; cannot bear `bad`, a window's length."""

    model_id = "ear"

    def __init__(self, batch: int, bad: int = -1, error: type[Exception] = MemoryError) -> None:
        self.batch = batch
        self.bad = bad
        self.error = error
        self.calls: list[int] = []

    def transcribe(self, windows: list[np.ndarray]) -> list[Heard]:
        self.calls.append(len(windows))
        if any(len(window) == self.bad for window in windows):
            raise self.error("no room")
        return [Heard(WORDS.format(len(window)), "en", 0.1, -0.3, 1.2) for window in windows]


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    """Tracks a, b, c of 2, 3 and 65 s (so three windows), and d, which is no audio."""
    for name, seconds in (("a", 2.0), ("b", 3.0), ("c", 65.0)):
        write(tmp_path / f"{name}.wav", tone(seconds, rate=16_000), rate=16_000)
    (tmp_path / "d.wav").write_bytes(b"noise")
    found = []
    for name in "adbc":
        stat = (tmp_path / f"{name}.wav").stat()
        row = {"track_id": name, "content_hash": name, "uri": (tmp_path / f"{name}.wav").as_uri()}
        found.append(row | {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns})
    return found


def processed(rows: list[dict[str, Any]], ear: Ear) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Rows that come out, by track, and the keys that were begun."""
    work = HearLyrics(LyricsParams(), "cpu", "ear")
    work._transcriber = ear
    begun: list[str] = []

    def begin(key: str, n: int = 1) -> None:
        assert (n > 1) == (key == NOBODY), "tracks together have the time of each"
        begun.append(key)

    decoded = DecodeWindows(LyricsParams(), Audio()).process(rows, begin)
    out = work.process([row | more for row, more in zip(rows, decoded, strict=True)], begin)
    assert len(out) == len(rows)
    return {row["track_id"]: row for row in out}, begun


def test_on_a_cpu_each_track_is_heard_on_its_own_account(rows: list[dict[str, Any]]) -> None:
    ear = Ear(batch=1)
    _, begun = processed(rows, ear)
    assert ear.calls == [1, 1, 3]
    assert NOBODY not in begun


def test_on_a_gpu_all_windows_go_in_one_call_on_nobodys_account(rows: list[dict[str, Any]]) -> None:
    ear = Ear(batch=16)
    _, begun = processed(rows, ear)
    assert ear.calls == [5]
    assert begun == ["a", "d", "b", "c", NOBODY]


def test_rows_are_the_same_either_way(rows: list[dict[str, Any]]) -> None:
    together, _ = processed(rows, Ear(batch=16))
    assert together == processed(rows, Ear(batch=1))[0]
    assert together["d"]["status"] == "unsupported"
    assert together["b"]["text"] == WORDS.format(48_000)
    assert together["c"]["text"].count("Santa") == 3


@pytest.mark.parametrize(("error", "status"), [(MemoryError, "out_of_memory"), (RuntimeError, "worker_crash")])
def test_a_track_that_spoils_a_call_spoils_only_itself(
    rows: list[dict[str, Any]], error: type[Exception], status: str
) -> None:
    ear = Ear(batch=16, bad=48_000, error=error)
    out, begun = processed(rows, ear)
    assert {name: row["status"] for name, row in out.items()} == {"a": "ok", "b": status, "c": "ok", "d": "unsupported"}
    assert "no room" in out["b"]["error"]
    assert begun == ["a", "d", "b", "c", NOBODY, "a", "b", "c"]
    assert ear.calls == [5, 1, 1, 3]


def test_a_block_of_one_is_on_its_own_account(rows: list[dict[str, Any]]) -> None:
    assert processed(rows[:1], Ear(batch=16))[1] == ["a", "a"]
