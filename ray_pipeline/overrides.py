"""Keys set in a config that is still plain values: by ``--set key=value``, and by a point of a search space."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ray_pipeline import shelf
from ray_pipeline.errors import ConfigError
from ray_pipeline.yaml_source import Lines, parse_value

# Sections that hold one part of a shelf: section -> (shelf, the key that names the part, what is taken if it is left out).
PARTS = {
    "source": ("source", "kind", "folder"),
    "lyrics": ("lyrics", "backend", "openai-whisper"),
    "fusion": ("fusion", "kind", "concat"),
    "model": ("model", "kind", "vae"),
    "clusterer": ("clusterer", "kind", "kmeans"),
}


def override(raw: dict[str, Any], lines: Lines, text: str) -> None:
    """Apply one ``key=value``."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text}: write it as key=value, for example --set model.beta=4")
    path = tuple(key.strip().split("."))
    if not all(path):
        raise ConfigError(f"--set {text}: a name is missing before or after a dot")
    _set(raw, path, parse_value(value, f"--set {key}"), f"--set {key}")
    lines.replace(path, f"--set {key}")


def with_keys(raw: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `raw` with the dotted keys of `point` set.

    Raises
    ------
    ConfigError
        A key leads through what is no mapping.
    """
    out = copy.deepcopy(dict(raw))
    # Whole sections and kinds first: they decide which other keys there are.
    for key in sorted(point, key=lambda key: (key.count("."), not key.endswith((".kind", ".backend")))):
        _set(out, tuple(key.split(".")), copy.deepcopy(point[key]), f"tune.{key}")
    return out


def _set(raw: dict[str, Any], path: tuple[str, ...], value: Any, what: str) -> None:
    """Set one key; another part named by it drops the keys that only the former part knew."""
    at: Any = raw
    for step in path[:-1]:
        at = at.setdefault(step, {}) if isinstance(at, dict) else None
        if not isinstance(at, dict):
            raise ConfigError(f"{what}: '{step}' is not a mapping")
    if path[0] in PARTS and path[1:] == (PARTS[path[0]][1],):
        _drop_former(at, path[0], value)
    at[path[-1]] = value


def _drop_former(raw: dict[str, Any], section: str, kind: Any) -> None:
    name, key, default = PARTS[section]
    try:
        new = shelf.params_of(name, str(kind)).model_fields
        old = shelf.params_of(name, str(raw.get(key, default))).model_fields
    except ConfigError:
        return
    for field in set(raw) & (set(old) - set(new)):
        del raw[field]
