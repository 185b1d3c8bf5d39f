"""Tracks decoded on CPUs and heard on a GPU at once: each one row, the GPU ahead of nobody, a crash put down to its track.

There is no GPU: Ray is told of one, and a stand-in hears. See `pretend_gpu`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_flight import notes
from pretend_gpu import BATCH, BLOCK, command, good, words

pytestmark = [pytest.mark.ray, pytest.mark.slow]

N = 48


def outcome(folder: Path, scenario: str, lengths: dict[str, float]) -> tuple[dict[str, Any], list[list[str]]]:
    """What the script came to, and its events."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        command(folder, scenario, lengths), capture_output=True, text=True, timeout=400, check=False, env=env
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    came_to = json.loads(ended.stdout.splitlines()[-1])
    assert not notes("transcribe", came_to["run"]["time"])
    return came_to, [line.split() for line in (folder / "events").read_text().splitlines()]


def most_waiting(events: list[list[str]]) -> int:
    """The most tracks that were decoded and not yet taken to be heard."""
    waiting = most = 0
    for what, *_ in events:
        waiting += {"decoded": 1, "hearing": -1}.get(what, 0)
        most = max(most, waiting)
    return most


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[list[str]]]:
    return outcome(tmp_path_factory.mktemp("clean"), "clean", good(N))


def test_each_track_is_one_row_with_its_own_words(clean: tuple[dict[str, Any], list[list[str]]]) -> None:
    came_to, events = clean
    assert len(came_to["rows"]) == N
    assert {row["name"]: row["text"] for row in came_to["rows"]} == words(good(N))
    assert Counter(what for what, *_ in events) == {"decoding": N, "decoded": N, "hearing": N, "heard": N}


def test_decoding_goes_on_while_the_gpu_hears(clean: tuple[dict[str, Any], list[list[str]]]) -> None:
    _, events = clean
    at = {(what, track): when for when, (what, track, _) in enumerate(events)}
    calls = [when for when, (what, *_) in enumerate(events) if what == "hearing"]
    assert len({pid for what, _, pid in events if what.startswith("hea")}) == 1
    assert {pid for what, _, pid in events if what == "hearing"}.isdisjoint(
        pid for what, _, pid in events if what == "decoding"
    )
    during = [track for what, track, _ in events if what == "decoded" and calls[0] < at[what, track] < calls[-1]]
    assert len(during) > N // 2


def test_decoders_wait_for_the_gpu(clean: tuple[dict[str, Any], list[list[str]]]) -> None:
    """What is decoded ahead is bounded by `pools.BATCHES_AHEAD`, however slowly the GPU hears, and is not nothing."""
    came_to, events = clean
    assert BATCH <= most_waiting(events) <= came_to["room"] + 2 * BLOCK < N


def test_record_and_terminal_tell_of_it(clean: tuple[dict[str, Any], list[list[str]]]) -> None:
    run = clean[0]["run"]
    assert (run["done"]["transcribe"], run["retried"]["transcribe"], run["bad"]["transcribe"]) == (N, 0, {})
    assert 0 < run["rates"]["transcribe"] < 100
    assert 0 <= run["gpu_idle"]["transcribe"] < 0.9
    (line,) = [line for line in clean[0]["said"] if line.startswith("transcribe: ")]
    assert f"{N} tracks in " in line and line.endswith(
        f"GPU idle {run['gpu_idle']['transcribe']:.0%}".replace("%", " %")
    )


def test_poison_of_either_pool_costs_only_itself(tmp_path: Path) -> None:
    lengths = good(12) | {"crash": 2.0, "hang": 2.1, "deafens": 5.0, "holds": 6.0}
    came_to, _ = outcome(tmp_path, "clean", lengths)
    rows = {row["name"]: row for row in came_to["rows"]}
    assert len(came_to["rows"]) == len(lengths)
    assert {name: row["status"] for name, row in rows.items()} == dict.fromkeys(good(12), "ok") | {
        "crash": "worker_crash",
        "hang": "timeout",
        "deafens": "worker_crash",
        "holds": "timeout",
    }
    assert {name: rows[name]["text"] for name in good(12)} == words(good(12))
    assert came_to["run"]["bad"]["transcribe"] == {"timeout": 2, "worker_crash": 2}


@pytest.mark.parametrize(("what", "at_most"), [("decoding", BLOCK), ("hearing", BATCH)])
def test_a_killed_worker_costs_what_it_had(what: str, at_most: int, tmp_path: Path, cost: Callable[..., None]) -> None:
    came_to, events = outcome(tmp_path, f"kill {what}", good(N))
    assert {row["name"]: row["text"] for row in came_to["rows"]} == words(good(N))
    assert len(came_to["rows"]) == N
    again = [track for track, times in Counter(track for one, track, _ in events if one == what).items() if times > 1]
    names = [row["name"] for row in came_to["rows"]]
    cost(f"a worker of the pool that is {what} is killed", "transcribe, two pools", names, N, again=len(again))
    assert 1 <= len(again) <= at_most
    assert came_to["run"]["retried"]["transcribe"] <= at_most
