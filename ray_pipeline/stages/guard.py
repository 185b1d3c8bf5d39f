"""The poison guard: one bad track ends one worker process, and a file says which track and why.

Each worker notes the track it begins. A hang is ended by faulthandler's own C thread, which needs no GIL; growth of memory by
a thread of ours. Both end the process: nothing less gets out of a decoder that is stuck or swallowing memory. What the file
says afterwards: `timeout`, `out_of_memory`, or, if nothing was added to it, `worker_crash`.
"""

from __future__ import annotations

import faulthandler
import json
import os
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType

from ray_pipeline.schemas import Status

MEMORY_CHECK_S = 0.05


class Guard:
    """Watches the one track this process works on.

    Parameters
    ----------
    folder : where in-flight files go; the driver reads them with `verdicts`
    timeout_s : s a track may take
    memory_mb : MiB the process may grow by while it works on one track
    """

    def __init__(self, folder: Path, timeout_s: float, memory_mb: int) -> None:
        self._path = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._timeout_s = timeout_s
        self._limit = memory_mb * 2**20
        self._ceiling: int | None = None
        # Not its parents: a worker that starts again as the job ends would bring back what was cleared away.
        folder.mkdir(exist_ok=True)
        self._file = self._path.open("w", encoding="utf-8")
        threading.Thread(target=self._watch_memory, daemon=True).start()

    def begin(self, key: str) -> None:
        """The process now works on `key`; whatever ends it is put down to that."""
        self._note(json.dumps(key) + "\n")  # on one line, whatever is in it
        self._ceiling = _resident() + self._limit
        faulthandler.dump_traceback_later(self._timeout_s, exit=True, file=self._file)

    def rest(self) -> None:
        """Nothing is being worked on."""
        faulthandler.cancel_dump_traceback_later()
        self._ceiling = None
        self._note("")

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rest()

    def _note(self, text: str) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.write(text)
        self._file.flush()

    def _watch_memory(self) -> None:
        while True:
            time.sleep(MEMORY_CHECK_S)
            ceiling = self._ceiling
            if ceiling is not None and _resident() > ceiling:
                self._file.write(f"{Status.OUT_OF_MEMORY}\n")
                self._file.flush()
                os._exit(1)


def verdicts(folder: Path) -> dict[str, Status]:
    """Key → what ended the process that worked on it, from the in-flight files that were left behind."""
    found = {}
    for path in folder.glob("*-*"):
        line, _, rest = path.read_text(encoding="utf-8", errors="replace").partition("\n")
        try:
            key = json.loads(line)
        except ValueError:
            continue  # at rest, or ended before the key was written out
        if rest.startswith("Timeout"):
            found[key] = Status.TIMEOUT
        elif rest.startswith(Status.OUT_OF_MEMORY):
            found[key] = Status.OUT_OF_MEMORY
        else:
            found[key] = Status.WORKER_CRASH
    return found


def _resident() -> int:
    """Bytes of memory this process holds; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
