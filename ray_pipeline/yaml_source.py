"""YAML read safely, with the line of every key.

Only plain data: no tags, no anchors (a few lines of aliases expand to gigabytes), no key twice, under 50 kB. Numbers
are read as people write them: ``1e-3`` is a float, and only ``true`` and ``false`` are booleans, as in YAML 1.2.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ray_pipeline.errors import ConfigError

MAX_BYTES = 50_000  # PyYAML takes some 10 µs a byte
MAX_DEPTH = 40
MAX_DIGITS = 100

_INT = re.compile(r"[-+]?[0-9][0-9_]*\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".inf": math.inf, "-.inf": -math.inf, ".nan": math.nan,
}  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """Where a config came from, as its errors name it."""

    name: str


@dataclass
class Lines:
    """Where each key stands: ``where(("model", "beta"))`` is ``x.yaml:12`` or ``--set model.beta``."""

    origin: Origin
    at: dict[tuple[str | int, ...], str] = field(default_factory=dict)

    def set(self, path: tuple[str | int, ...], place: str) -> None:
        self.at[path] = place

    def replace(self, path: tuple[str | int, ...], place: str) -> None:
        """`path`, and whatever stood below it, now comes from `place`."""
        for former in [at for at in self.at if at[: len(path)] == path]:
            del self.at[former]
        self.at[path] = place

    def where(self, path: tuple[str | int, ...]) -> str:
        for end in range(len(path), 0, -1):
            if path[:end] in self.at:
                return self.at[path[:end]]
        return self.origin.name


def read_yaml(path: Path) -> tuple[dict[str, Any], Lines]:
    """The mapping that `path` holds, and where its keys stand.

    Raises
    ------
    ConfigError
        The file cannot be read, is not YAML, is empty, too large, not a mapping, has a key twice, an alias or a tag.
    """
    try:
        with path.open("rb") as file:
            found = file.read(MAX_BYTES + 1)
        text = found.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror or error}", hint="name a config, e.g. tune_configs/demo.yaml"
        ) from None
    except ValueError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    if len(found) > MAX_BYTES:
        raise ConfigError(f"{path}: over {MAX_BYTES:,} bytes is no config")
    lines = Lines(Origin(str(path)))
    node = _compose(text, str(path))
    if node is None:
        raise ConfigError(f"{path}: the file is empty")
    value = _value(node, (), str(path), lines)
    if not isinstance(value, dict):
        raise ConfigError(f"{path}:1: a mapping of keys is needed, not {type(value).__name__}")
    return value, lines


def parse_value(text: str, place: str) -> Any:
    """One YAML value, as in ``--set key=VALUE``."""
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{place}: too long")
    node = _compose(text, place)
    return None if node is None else _value(node, (), place, Lines(Origin(place)))


class _Loader(yaml.SafeLoader):
    """Composes plain data; what would make a short text long, or slow, is refused on sight."""

    def fetch_more_tokens(self) -> Any:
        if self.flow_level + len(self.indents) > MAX_DEPTH:
            raise self._refused(f"more than {MAX_DEPTH} levels deep")
        return super().fetch_more_tokens()

    def fetch_alias(self) -> None:
        raise self._refused("anchors, aliases and tags are not read here")

    fetch_anchor = fetch_tag = fetch_alias

    def _refused(self, why: str) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(problem=why, problem_mark=self.get_mark())


def _compose(text: str, place: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        number = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{place}:{number}: not valid YAML: the character {chr(error.character)!a}") from None
    try:
        node: yaml.Node | None = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        problem = "a tab; indent with spaces" if "'\\t'" in str(error.problem) else error.problem
        raise ConfigError(f"{place}{line}: not valid YAML: {problem or error}") from None
    finally:
        loader.dispose()
    return node


def _value(node: yaml.Node, path: tuple[str | int, ...], place: str, lines: Lines) -> Any:
    if path:
        lines.at.setdefault(path, f"{place}:{node.start_mark.line + 1}")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, place, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, i), place, lines) for i, item in enumerate(node.value)]
    return _scalar(node, place)


def _mapping(node: yaml.MappingNode, path: tuple[str | int, ...], place: str, lines: Lines) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = f"{place}:{key_node.start_mark.line + 1}"
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError(f"{line}: a key must be a word")
        key = str(key_node.value)
        if key in out:
            raise ConfigError(f"{line}: {'.'.join(map(str, (*path, key)))}: the key stands here twice")
        lines.set((*path, key), line)
        out[key] = _value(value_node, (*path, key), place, lines)
    return out


def _scalar(node: yaml.Node, place: str) -> Any:
    text = str(node.value)
    if any(0xD800 <= ord(c) < 0xE000 for c in text):
        raise ConfigError(f"{place}:{node.start_mark.line + 1}: half a character, {text[:40]!a}")
    if getattr(node, "style", None) is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.match(text) and len(text) <= MAX_DIGITS:
        return int(text.replace("_", ""))
    if _FLOAT.match(text):
        return float(text)
    return text
