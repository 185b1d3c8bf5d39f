"""One writer a table: a small file that names who writes, kept fresh by a heartbeat."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType

from ray_pipeline.errors import LeaseHeld, StoreError

HEARTBEAT_S = 15.0
STALE_S = 60.0


class Lease:
    """Held while a ``with`` block runs; another writer of the same table gets `LeaseHeld`.

    A lease whose heartbeat is older than 60 s, or whose process on this host is gone, is taken over. Taking over renames
    the old file away first: of two that try, one finds it gone.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / (name.replace("/", "-") + ".json")
        self._name = name
        self._stop = threading.Event()
        self._token = uuid.uuid4().hex

    def __enter__(self) -> Lease:
        for _ in range(3):
            try:
                self._create()
                break
            except FileExistsError:
                self._take_over()
            except OSError as error:
                raise StoreError(f"{self.path}: {error.strerror}", hint="is the store read-only?") from None
        else:
            raise LeaseHeld(f"{self._name}: another job took the lease at the same moment", hint="try again")
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._read().get("token") == self._token:
            self.path.unlink(missing_ok=True)

    def _create(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Linked into place whole, so that nobody ever reads half a lease.
        whole = self.path.with_suffix(f".{self._token}")
        whole.write_text(self._text(), encoding="utf-8")
        try:
            os.link(whole, self.path)
        finally:
            whole.unlink()

    def _text(self) -> str:
        held = {"host": socket.gethostname(), "pid": os.getpid(), "token": self._token, "time": time.time()}
        return json.dumps(held)

    def _read(self) -> dict[str, object]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _take_over(self) -> None:
        held = self._read()
        if held and not _stale(held):
            raise LeaseHeld(
                f"{self._name}: being written by process {held.get('pid')} on {held.get('host')}",
                hint="wait for that job; if its machine is gone, the lease ends by itself after a minute",
            )
        try:
            self.path.rename(self.path.with_suffix(f".stale-{self._token}"))
        except FileNotFoundError:
            return
        self.path.with_suffix(f".stale-{self._token}").unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            if self._read().get("token") != self._token:
                return
            whole = self.path.with_suffix(f".{self._token}")
            whole.write_text(self._text(), encoding="utf-8")
            whole.replace(self.path)


def _stale(held: dict[str, object]) -> bool:
    if (
        held.get("host") == socket.gethostname()
        and not Path(f"/proc/{held.get('pid')}").exists()
        and Path("/proc").exists()
    ):
        return True
    written = held.get("time")
    return not isinstance(written, int | float) or time.time() - written > STALE_S
