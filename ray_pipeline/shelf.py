"""Shelves: plain dicts from a part's name to where it lives, and the one function that fetches a part.

A shelf is `NAME = {"mfcc": "ray_pipeline.features.mfcc:Mfcc", …}` in a folder's ``__init__.py``. To add a part, write one
file that holds it and its `Params`, and add one line to the dict. Nothing is scanned, nothing registers itself.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import Any

from pydantic import BaseModel, ConfigDict

from ray_pipeline.errors import ConfigError

SHELVES: dict[str, str] = {
    "source": "ray_pipeline.sources:SOURCES",
    "feature": "ray_pipeline.features:FEATURES",
    "lyrics": "ray_pipeline.lyrics:TRANSCRIBERS",
    "fusion": "ray_pipeline.fusion:FUSIONS",
    "model": "ray_pipeline.models:MODELS",
    "clusterer": "ray_pipeline.clusterers:CLUSTERERS",
    "metric": "ray_pipeline.metrics:METRICS",
}


class Params(BaseModel):
    """A part's own settings: immutable, and no key that the part does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: str = ""


def shelf(name: str) -> dict[str, str]:
    """The dict of the shelf `name`, one of `SHELVES`."""
    module, attribute = SHELVES[name].split(":")
    found: dict[str, str] = getattr(import_module(module), attribute)
    return found


def part(name: str, kind: str) -> Any:
    """The class or function that the shelf `name` holds under `kind`.

    Raises
    ------
    ConfigError
        No such part; the message says which there are, and which one was likely meant.
    """
    module, attribute = _address(name, kind)
    return getattr(import_module(module), attribute)


def params_of(name: str, kind: str) -> type[Params]:
    """The `Params` of the part `kind`, from the part's own file; no heavy library is imported."""
    module, _ = _address(name, kind)
    found: type[Params] = import_module(module).Params
    return found


def suggest(word: str, known: list[str]) -> str:
    """`; did you mean 'x'?` where something is near, and the known names."""
    near = difflib.get_close_matches(word, known, n=1)
    guess = f"; did you mean '{near[0]}'?" if near else ""
    return f"{guess}; known: {', '.join(sorted(known))}" if not guess else f"{guess} known: {', '.join(sorted(known))}"


def _address(name: str, kind: str) -> tuple[str, str]:
    parts = shelf(name)
    if kind not in parts:
        raise ConfigError(f"unknown {name} '{kind}'{suggest(str(kind), list(parts))}")
    module, attribute = parts[kind].split(":")
    return module, attribute
