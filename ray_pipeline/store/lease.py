"""One writer a table: a small file that names who writes, kept fresh by a heartbeat."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from ray_pipeline.errors import LeaseHeld, StoreError
from ray_pipeline.store.files import Folder, folder_at

HEARTBEAT_S = 15.0
STALE_S = 60.0
LATE_S = 2 * HEARTBEAT_S


_HELD: set[Lease] = set()
"""The leases of this process."""


def confirm(uri: str) -> None:
    """Called before every commit to a table of a store: whoever slept through a takeover must not write.

    Raises
    ------
    LeaseHeld
        A lease that this process took in that store is another's by now.
    """
    for lease in list(_HELD):
        if lease.covers(uri):
            lease.confirm()


PRUNE = "prune"
"""The lease of who takes things away: while it is held, no other is given."""


class Lease:
    """Held while a ``with`` block runs; another writer of the same table gets `LeaseHeld`.

    A lease whose heartbeat is older than 60 s, or whose process on this host is gone, is taken over. Who looks at the file
    changes it in the same step, under a lock or by a conditional put, so that of two that would take it over one finds the
    other's name in it.
    """

    def __init__(self, folder: Path | Folder, name: str) -> None:
        self._folder = folder_at(folder)
        self._file = name.replace("/", "-") + ".json"
        self._name = name
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._beaten = 0.0
        self._token = uuid.uuid4().hex

    def __enter__(self) -> Lease:
        self._folder.update(self._file, self._take)
        try:
            self._check_not_pruned()
        except StoreError:
            self._let_go()
            raise
        self._beaten = time.time()
        _HELD.add(self)
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _HELD.discard(self)
        self._stop.set()
        self._thread.join()
        self._let_go()

    def covers(self, uri: str) -> bool:
        """Whether `uri` lies in the store whose lease this is."""
        return uri.startswith(self._folder.address.rpartition("/")[0] + "/")

    def confirm(self) -> None:
        """Raise LeaseHeld if it was taken over; looks only where its last heartbeat is late."""
        if time.time() - self._beaten > LATE_S:
            self._keep()
        if self._lost.is_set():
            raise LeaseHeld(
                f"{self._name}: another job took over while this one did not run for over {STALE_S:.0f} s",
                hint="what this one had committed is kept; run it again when the other has ended",
            )

    def is_held(self) -> bool:
        """Whether somebody writes now, or was killed over it: whoever comes to an end leaves the lease empty."""
        try:
            return bool(_read(self._folder.read(self._file)))
        except FileNotFoundError:
            return False

    def _check_not_pruned(self) -> None:
        """After the lease was taken: who prunes looks for the leases of others only once it has its own."""
        try:
            data = self._folder.read(f"{PRUNE}.json")
        except FileNotFoundError:
            return
        held = _read(data)
        if held and not _stale(held) and not any(one._is_mine(data) for one in (self, *_HELD)):
            raise LeaseHeld(
                f"{self._name}: the store is being pruned by process {held.get('pid')} on {held.get('host')}",
                hint="wait for that; if its machine is gone, the lease ends by itself after a minute",
            )

    def _let_go(self) -> None:
        with suppress(StoreError):
            self._folder.update(self._file, lambda held: b"{}" if self._is_mine(held) else None)

    def _take(self, data: bytes) -> bytes:
        held = _read(data)
        # It may be ours already: a put that was tried again had been done.
        if held and not self._is_mine(data) and not _stale(held):
            raise LeaseHeld(
                f"{self._name}: being written by process {held.get('pid')} on {held.get('host')}",
                hint="wait for that job; if its machine is gone, the lease ends by itself after a minute",
            )
        return self._mine()

    def _mine(self) -> bytes:
        who = _here() | {"pid": os.getpid(), "token": self._token, "time": time.time()}
        return json.dumps(who).encode()

    def _is_mine(self, data: bytes) -> bool:
        return _read(data).get("token") == self._token

    def _beat(self) -> None:
        while not (self._stop.wait(HEARTBEAT_S) or self._lost.is_set()):
            with suppress(StoreError):
                self._keep()

    def _keep(self) -> None:
        """Write the present time into the lease, or find that it is another's."""

        def keep(data: bytes) -> bytes | None:
            if self._is_mine(data):
                return self._mine()
            self._lost.set()
            return None

        self._folder.update(self._file, keep)
        self._beaten = time.time()


def _read(data: bytes) -> dict[str, Any]:
    """Who holds the lease; nobody, if there is nothing or its writer died over it."""
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _here() -> dict[str, str]:
    """This machine: many a host name is given twice, a boot's id is not; and containers number processes each for itself."""
    try:
        boot, pids = Path("/proc/sys/kernel/random/boot_id").read_text().strip(), Path("/proc/self/ns/pid").readlink()
        return {"host": socket.gethostname(), "boot": boot, "pids": str(pids)}
    except OSError:
        return {"host": socket.gethostname()}


def _stale(held: dict[str, Any]) -> bool:
    here = all(held.get(key, value) == value for key, value in _here().items())
    if here and not Path(f"/proc/{held.get('pid')}").exists() and Path("/proc").exists():
        return True
    written = held.get("time")
    return not isinstance(written, int | float) or time.time() - written > STALE_S
