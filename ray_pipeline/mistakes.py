"""What is wrong with a config, in lines that say where: ``file:line: key: what is wrong``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ray_pipeline import shelf
from ray_pipeline.yaml_source import Lines

# Pydantic's names for what people call by another.
_NEEDED = {"tuple_type": "a list is needed", "model_type": "a mapping of keys is needed"}


def explain(
    error: ValidationError,
    at: tuple[str | int, ...],
    lines: Lines,
    model: type[BaseModel],
    skip: set[str] | None = None,
    passed: set[str] | None = None,
) -> list[str]:
    """A line for each key of `model`, which stands at `at`, that pydantic complains of.

    Sections in `skip` are left out; steps in `passed` are the model's alone, and nobody wrote them.
    """
    told: dict[tuple[str | int, ...], list[str]] = {}
    for item in error.errors():
        whole = tuple(step for step in item["loc"] if not _is_type_step(step))
        loc = tuple(step for step in whole if step not in (passed or ()))
        if skip and loc and loc[0] in skip:
            continue
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = f"unknown key{shelf.suggest(str(loc[-1]), _fields_at(model, whole[:-1]))}"
        elif item["type"] in _NEEDED:
            message = f"{_NEEDED[item['type']]}, not {shown(item['input'])}"
        elif "input" in item and not isinstance(item["input"], dict | list) and item["type"] != "missing":
            message = f"{message[0].lower()}{message[1:]}, not {shown(item['input'])}"
        told.setdefault((*at, *loc), []).append(message)
    # Where several types are taken, each has its complaint.
    return [f"{lines.where(key)}: {dotted(key)}: {'; or '.join(messages)}" for key, messages in told.items()]


def misread(raw: Mapping[str, Any], read: BaseModel, at: tuple[str | int, ...], lines: Lines) -> list[str]:
    """Lines for each true or false that stands where a number should; pydantic takes them for 1 and 0."""
    out = []
    for name, field in type(read).model_fields.items():
        key = field.alias or name
        value, seen = raw.get(key), getattr(read, name)
        if isinstance(value, bool) and isinstance(seen, int | float) and not isinstance(seen, bool):
            out.append(f"{lines.where((*at, key))}: {dotted((*at, key))}: a number is needed, not {str(value).lower()}")
        elif isinstance(value, dict) and isinstance(seen, BaseModel):
            out += misread(value, seen, (*at, key), lines)
    return out


def shown(value: Any) -> str:
    """`value` as it is quoted in a message, cut at 80 characters; who signs in by an address is left out."""
    text = re.sub(r"//[^/@]*@", "//…@", repr(value))
    return text if len(text) <= 80 else f"{text[:80]}…"


def _is_type_step(step: str | int) -> bool:
    """Pydantic puts the tried member of a union into the path (``literal[...]``, ``float``); people do not write it."""
    return isinstance(step, str) and (
        step.startswith(("literal[", "constrained-")) or step in {"float", "bool", "int", "str"}
    )


def _fields_at(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """Keys that are known at `path` below `model`; of a mapping, those of its values."""
    inside: Any = model
    for step in path:
        if get_origin(inside) is dict:
            inside = get_args(inside)[1]
        elif isinstance(inside, type) and issubclass(inside, BaseModel) and step in inside.model_fields:
            inside = inside.model_fields[str(step)].annotation
        else:
            return []
    if not (isinstance(inside, type) and issubclass(inside, BaseModel)):
        return []
    return [field.alias or name for name, field in inside.model_fields.items()]


def dotted(path: tuple[str | int, ...]) -> str:
    """``features[2]``, ``model.beta``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text
