"""The poison guard: one bad track ends one worker process, and a file says which track and why.

Each worker notes the track it begins. A hang is ended by faulthandler's own C thread, which needs no GIL; growth of memory by
a thread of ours. Both end the process: nothing less gets out of a decoder that is stuck or swallowing memory. What the note
says afterwards: `timeout`, `out_of_memory`, or, if nothing was added to it, `worker_crash`.

Notes lie on the worker's own node, and only while a track is worked on: who dies leaves one, and nobody else does.
"""

from __future__ import annotations

import faulthandler
import json
import os
import stat
import tempfile
import threading
import time
import uuid
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType

from ray_pipeline.errors import StoreError
from ray_pipeline.schemas import Status

MEMORY_CHECK_S = 0.05


class Guard:
    """Watches the one track this process works on.

    Parameters
    ----------
    folder : where notes go; `verdicts` reads them
    timeout_s : s a track may take
    memory_mb : MiB the process may grow by while it works on one track, or on those that go through a model together
    """

    def __init__(self, folder: Path, timeout_s: float, memory_mb: int) -> None:
        self._path = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._timeout_s = timeout_s
        self._limit = memory_mb * 2**20
        self._ceiling: int | None = None
        self._file: TextIOWrapper | None = None
        # A note is not put away while something is added to it.
        self._lock = threading.Lock()
        threading.Thread(target=self._watch_memory, daemon=True).start()

    def begin(self, key: str, n: int = 1) -> None:
        """The process now works on `key`; whatever ends it is put down to that. `n` tracks together have `n` times the time."""
        with self._lock:
            self._file = self._file or _opened(self._path)
            self._file.seek(0)
            self._file.truncate()
            self._file.write(json.dumps(key) + "\n")  # on one line, whatever is in it
            self._file.flush()
            self._ceiling = _resident() + self._limit
        faulthandler.dump_traceback_later(n * self._timeout_s, exit=True, file=self._file)

    def rest(self) -> None:
        """Nothing is being worked on."""
        faulthandler.cancel_dump_traceback_later()
        with self._lock:
            self._ceiling = None
            if self._file:
                self._file.close()
                self._file = None
                self._path.unlink(missing_ok=True)
                with suppress(OSError):  # not empty: others are at work
                    self._path.parent.rmdir()

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rest()

    def _watch_memory(self) -> None:
        while True:
            time.sleep(MEMORY_CHECK_S)
            with self._lock:
                if self._file and self._ceiling is not None and _resident() > self._ceiling:
                    self._file.write(f"{Status.OUT_OF_MEMORY}\n")
                    self._file.flush()
                    os._exit(1)


def notes_folder(name: str) -> Path:
    """Where the notes of the pass `name` lie on this node."""
    return Path(tempfile.gettempdir()) / f"ray_pipeline-{name}"


def verdicts(folder: Path) -> dict[str, Status]:
    """Key → what ended the process that worked on it, from the notes that were left behind."""
    found = {}
    for path in folder.glob("*-*"):
        line, _, rest = path.read_text(encoding="utf-8", errors="replace").partition("\n")
        try:
            key = json.loads(line)
        except ValueError:
            continue  # ended before the key was written out
        if rest.startswith("Timeout"):
            found[key] = Status.TIMEOUT
        elif rest.startswith(Status.OUT_OF_MEMORY):
            found[key] = Status.OUT_OF_MEMORY
        else:
            found[key] = Status.WORKER_CRASH
    return found


def _opened(path: Path) -> TextIOWrapper:
    """`path`, new, in a folder that is ours alone; a worker that comes to rest may remove the folder in between."""
    while True:
        _make_private(path.parent)
        with suppress(FileNotFoundError):
            return path.open("x", encoding="utf-8")


def _make_private(folder: Path) -> None:
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        return
    with suppress(FileNotFoundError):
        seen = folder.lstat()
        if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid():
            raise StoreError(f"{folder}: not a folder of this user", hint="somebody else put it there; remove it")


def _resident() -> int:
    """Bytes of memory this process holds; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
