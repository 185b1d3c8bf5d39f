"""One writer a table: a small file that names who writes, kept fresh by a heartbeat."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ray_pipeline.errors import LeaseHeld, StoreError

HEARTBEAT_S = 15.0
STALE_S = 60.0


class Lease:
    """Held while a ``with`` block runs; another writer of the same table gets `LeaseHeld`.

    A lease whose heartbeat is older than 60 s, or whose process on this host is gone, is taken over. Who looks at the file
    or writes it locks it for that moment, so that of two that would take it over one finds the other's name in it.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / (name.replace("/", "-") + ".json")
        self._name = name
        self._stop = threading.Event()
        self._token = uuid.uuid4().hex

    def __enter__(self) -> Lease:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked() as file:
            held = _read(file)
            if held and not _stale(held):
                raise LeaseHeld(
                    f"{self._name}: being written by process {held.get('pid')} on {held.get('host')}",
                    hint="wait for that job; if its machine is gone, the lease ends by itself after a minute",
                )
            _write(file, self._mine())
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        with suppress(StoreError), self._locked() as file:
            if _read(file).get("token") == self._token:
                _write(file, {})

    def _mine(self) -> dict[str, Any]:
        return {"host": socket.gethostname(), "pid": os.getpid(), "token": self._token, "time": time.time()}

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            with suppress(StoreError), self._locked() as file:
                if _read(file).get("token") != self._token:
                    return
                _write(file, self._mine())

    @contextmanager
    def _locked(self) -> Iterator[IO[str]]:
        """The lease's file, which stays when nobody holds the lease: were it removed, two could lock two files."""
        try:
            with os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666), "r+", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield file
        except OSError as error:
            raise StoreError(
                f"{self.path}: {error.strerror}", hint="is the disk full, or the store read-only?"
            ) from None


def _read(file: IO[str]) -> dict[str, Any]:
    """Who holds the lease; nobody, if the file is empty or its writer died over it."""
    file.seek(0)
    try:
        found = json.load(file)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _write(file: IO[str], held: dict[str, Any]) -> None:
    # Written over, and cut afterwards: on a full disk the old text stands.
    file.seek(0)
    file.write(json.dumps(held))
    file.truncate()


def _stale(held: dict[str, Any]) -> bool:
    if (
        held.get("host") == socket.gethostname()
        and not Path(f"/proc/{held.get('pid')}").exists()
        and Path("/proc").exists()
    ):
        return True
    written = held.get("time")
    return not isinstance(written, int | float) or time.time() - written > STALE_S
