"""No feature has numba compile anything, so that there is nothing to warm on a node before its workers start."""

from __future__ import annotations

import json
import subprocess
import sys

COMPILED = """
import json
import numba, numba.core.event as event
import numpy as np
from ray_pipeline import shelf
from ray_pipeline.features.spectra import Spectra

compiled = []

class Listener(event.Listener):
    def on_start(self, event):
        compiled.append(event.data["dispatcher"].py_func.__qualname__)

    def on_end(self, event):
        pass

event.register("numba:compile", Listener())
{first}
noise = np.random.default_rng(0).normal(0, 0.1, 44_100).astype(np.float32)
for name in shelf.shelf("feature"):
    shelf.part("feature", name)()(Spectra(noise, 22_050))
print(json.dumps(compiled))
"""


def compiled(first: str = "") -> list[str]:
    """What numba compiled while every feature was computed in a fresh process, after `first`."""
    code = COMPILED.replace("{first}", first)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280, check=True)
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_features_compile_nothing() -> None:
    assert compiled() == []


def test_what_is_compiled_would_be_heard() -> None:
    assert compiled("numba.njit(lambda x: x + 1)(1)") == ["<lambda>"]
