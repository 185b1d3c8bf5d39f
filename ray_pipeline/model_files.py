"""A fitted model on disk: `model.safetensors`, `fusion.safetensors`, `card.json` in one folder, whole or not at all."""

from __future__ import annotations

import json
import platform
import shutil
import uuid
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ray_pipeline import shelf
from ray_pipeline.errors import ConfigError, TrainingError
from ray_pipeline.fusion import FusionPart
from ray_pipeline.models.contract import Model

FORMAT = 1
_MAX_JSON_BYTES = 1_000_000
_MAX_DIM = 1_000_000
_VERSIONS = ("numpy", "scikit-learn", "torch")


def save(folder: Path, model: Model, fusion: FusionPart, card: Mapping[str, Any]) -> None:
    """Write `folder`, replacing one that is there; `card` is what else a reader should know, as JSON values."""
    full = {
        **card,
        "format": FORMAT,
        "model": model.params.model_dump(mode="json"),
        "fusion": fusion.params.model_dump(mode="json"),
        "shapes": {name: list(shape) for name, shape in model.shapes.items()},
        "n_parameters": model.n_parameters,
        "notes": [*card.get("notes", []), *fusion.notes],
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _VERSIONS},
    }
    write_folder(folder, {"model": model.state(), "fusion": fusion.state()}, {"card": full})


def load(folder: Path) -> tuple[Model, FusionPart, dict[str, Any]]:
    """The model, fusion and card that `save` wrote; nothing in the folder is executed.

    Raises
    ------
    TrainingError
        A file is missing, is no safetensors, or holds tensors or settings that do not fit; the text says which.
    """
    card = read_json(folder / "card.json")
    if card.get("format") != FORMAT:
        raise TrainingError(f"{folder / 'card.json'}: format {card.get('format')!r}, this version reads {FORMAT}")
    try:
        fusion = shelf.part("fusion", _kind(card, "fusion"))(_params(card, "fusion"))
        build = shelf.part("model", _kind(card, "model"))
        model = build(_params(card, "model"), _shapes(card), 0)
        fusion.load_state(read_tensors(folder / "fusion.safetensors"))
        model.load_state(read_tensors(folder / "model.safetensors"))
    except (ConfigError, TrainingError) as error:
        raise TrainingError(f"{folder}: {error}") from None
    return model, fusion, card


def write_folder(
    folder: Path,
    tensors: Mapping[str, Mapping[str, NDArray]],
    texts: Mapping[str, Mapping[str, Any]],
    replaces: Iterable[Path] = (),
) -> None:
    """Write `<name>.safetensors` and `<name>.json`, put them at `folder` in one step, then remove what is replaced."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex[:8]
    fresh = folder.with_name(f".{folder.name}.{token}.new")
    fresh.mkdir()
    for name, arrays in tensors.items():
        save_file({key: np.array(array, order="C") for key, array in arrays.items()}, fresh / f"{name}.safetensors")
    for name, value in texts.items():
        (fresh / f"{name}.json").write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    aside = folder.with_name(f".{folder.name}.{token}.old")
    if folder.exists():
        folder.replace(aside)
    fresh.replace(folder)
    for old in (aside, *(path for path in replaces if path != folder)):
        shutil.rmtree(old, ignore_errors=True)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON mapping of at most 1 MB."""
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise TrainingError(f"{path}: {path.stat().st_size} bytes, more than {_MAX_JSON_BYTES}: not one of ours")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"{path}: cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise TrainingError(f"{path}: a JSON mapping is needed, not {type(found).__name__}")
    return found


def read_tensors(path: Path) -> dict[str, NDArray]:
    """The arrays of a safetensors file; any other content, a pickle say, is refused unread."""
    try:
        return load_file(path)
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise TrainingError(f"{path}: no safetensors file that can be read: {error}") from None


def _kind(card: dict[str, Any], name: str) -> str:
    found = card.get(name)
    if not isinstance(found, dict) or not isinstance(found.get("kind"), str):
        raise TrainingError(f"card.json: '{name}' is not a mapping with a 'kind'")
    return str(found["kind"])


def _params(card: dict[str, Any], name: str) -> shelf.Params:
    try:
        return shelf.params_of(name, _kind(card, name)).model_validate(card[name])
    except ValidationError as error:
        first = error.errors()[0]
        raise TrainingError(f"card.json: {name}.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _shapes(card: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    found = card.get("shapes")
    if not isinstance(found, dict) or not found:
        raise TrainingError("card.json: 'shapes' is not a mapping of views")
    for name, shape in found.items():
        whole = isinstance(shape, list) and shape and all(type(size) is int and size > 0 for size in shape)
        if not whole or prod(shape) > _MAX_DIM:
            raise TrainingError(f"card.json: shapes.{name}: {shape!r} is no shape of a view")
    return {name: tuple(shape) for name, shape in found.items()}
