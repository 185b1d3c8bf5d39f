"""Imports of large packages: begun while something else is waited for, or made without the garbage collector's help."""

from __future__ import annotations

import gc
import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def begin(*names: str) -> None:
    """Import `names` in a thread. Who needs one of them meanwhile waits for it; one that fails will fail there.

    Only for what imports nothing that this process imports meanwhile and that imports it in turn: two threads would each wait
    for the other.
    """

    def run() -> None:
        for name in names:
            with suppress(ImportError):
                importlib.import_module(name)

    threading.Thread(target=run, name="imports", daemon=True).start()


@contextmanager
def uncollected() -> Iterator[None]:
    """Import inside without the garbage collector: it finds nothing there, and it would look often."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
