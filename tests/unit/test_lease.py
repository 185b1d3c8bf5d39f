"""One writer a table: who comes second is told who was first, and of two that take over one wins."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pyarrow as pa
import pytest

from ray_pipeline.errors import LeaseHeld
from ray_pipeline.store import Lease, Store, lease
from ray_pipeline.store.local import LocalFolder


def _held(path: Path, **changes: object) -> None:
    held = {"host": socket.gethostname(), "pid": os.getpid(), "token": "another", "time": time.time()}
    path.write_text(json.dumps(held | changes), encoding="utf-8")


def _dead_pid() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_second_is_told_who_holds_it(tmp_path: Path) -> None:
    with Lease(tmp_path, "features"), pytest.raises(LeaseHeld) as told:
        Lease(tmp_path, "features").__enter__()
    assert f"process {os.getpid()} on {socket.gethostname()}" in str(told.value)
    assert told.value.hint


def test_another_process_is_told_too(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from ray_pipeline.store import Lease\nwith Lease(Path(sys.argv[1]), 'f'): 0"
    with Lease(tmp_path, "f"):
        second = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
        )
    assert f"LeaseHeld: f: being written by process {os.getpid()} on" in second.stderr


def test_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with Lease(tmp_path, "features"):
            pass


def test_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Lease(tmp_path, "features"):
        raise ZeroDivisionError
    with Lease(tmp_path, "features"):
        pass


def test_two_tables_have_two_leases(tmp_path: Path) -> None:
    with Lease(tmp_path, "features"), Lease(tmp_path, "lyrics"):
        assert len(list(tmp_path.glob("*.json"))) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"pid": None},
        {"host": "elsewhere", "time": time.time() - 3600},
        {"time": "yesterday"},
    ],
    ids=["its process is gone", "no heartbeat for an hour", "no time at all"],
)
def test_stale_lease_is_taken_over(tmp_path: Path, changes: dict[str, object]) -> None:
    _held(tmp_path / "f.json", **{key: _dead_pid() if value is None else value for key, value in changes.items()})
    with Lease(tmp_path, "f"):
        assert json.loads((tmp_path / "f.json").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": "x"'], ids=["empty", "half", "list", "cut"])
def test_writer_that_died_over_it_holds_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "f.json").write_text(text)
    with Lease(tmp_path, "f"):
        pass


def test_fresh_lease_of_another_host_is_respected(tmp_path: Path) -> None:
    _held(tmp_path / "f.json", host="elsewhere", pid=_dead_pid())
    with pytest.raises(LeaseHeld, match="on elsewhere"), Lease(tmp_path, "f"):
        pass


def test_heartbeat_keeps_it_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.02)
    with Lease(tmp_path, "f"):
        first, times = json.loads((tmp_path / "f.json").read_text())["time"], []
        time.sleep(0.3)
        LocalFolder(tmp_path).update("f.json", lambda held: times.append(json.loads(held)["time"]))
        assert times[0] > first


def test_of_many_takers_one_wins(tmp_path: Path) -> None:
    """Round after round over a stale lease: a taker must never move a fresh lease out of the way."""
    takers, rounds = 8, 25
    for number in range(rounds):
        path = tmp_path / f"{number}.json"
        _held(path, pid=_dead_pid() if number == 0 else 2**22 + 1)
        start, won = Barrier(takers), Barrier(takers)

        def take(name: str = str(number), start: Barrier = start, won: Barrier = won) -> bool:
            start.wait()
            try:
                with Lease(tmp_path, name):
                    won.wait()
                    return True
            except LeaseHeld:
                won.wait()
                return False

        with ThreadPoolExecutor(takers) as pool:
            winners = sum(future.result() for future in [pool.submit(take) for _ in range(takers)])
        assert winners == 1, f"round {number}: {winners} hold one lease"


def test_loser_of_a_takeover_leaves_the_winner_alone(tmp_path: Path) -> None:
    """A holder that slept through a takeover must not free the lease of who took over."""
    first = Lease(tmp_path, "f")
    with first:
        _held(tmp_path / "f.json", host="elsewhere")
    with pytest.raises(LeaseHeld, match="elsewhere"), Lease(tmp_path, "f"):
        pass


def test_a_writer_that_slept_through_a_takeover_commits_nothing(tmp_path: Path, cost: Callable[..., None]) -> None:
    store = Store(tmp_path)
    table = store.table("tracks", "x")
    rows = pa.table({"track_id": ["a"]})
    table.create(rows.schema)
    with store.lease("tracks") as first:
        table.append(rows)
        _held(tmp_path / "leases/tracks.json", host="elsewhere")
        first._beaten -= 2 * lease.STALE_S  # it did not run for a while
        for write in (lambda: table.append(rows), lambda: table.replace(rows), lambda: table.delete("true")):
            with pytest.raises(LeaseHeld, match="took over"):
                write()
    cost("a writer sleeps, and another takes over", "a table", table.read()["track_id"].to_pylist(), 1)
    assert table.count() == 1
