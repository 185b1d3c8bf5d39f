"""A fitted model: `model.safetensors`, `fusion.safetensors`, `card.json` in one folder, on disk or S3, whole or not at all.

The card holds the SHA-256 of both files: a bit that flips among the numbers leaves a safetensors file as valid as before. On
S3 their names hold a digest too (`Folder.name_for`), and it is the card that tells which they are.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Mapping
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as tensor_bytes

from ray_pipeline import shelf
from ray_pipeline.errors import ConfigError, TrainingError
from ray_pipeline.fusion import FusionPart
from ray_pipeline.models.contract import Model
from ray_pipeline.store.files import Folder, folder_at

FORMAT = 2
SHA256 = "sha256"
_AGAIN = "remove the folder, and `ray-pipeline train` makes it again"
_MAX_JSON_BYTES = 1_000_000
_MAX_DIM = 1_000_000
_VERSIONS = ("numpy", "scikit-learn", "torch")


def save(folder: Path | Folder, model: Model, fusion: FusionPart, card: Mapping[str, Any]) -> None:
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
    write_folder(folder_at(folder), {"model": model.state(), "fusion": fusion.state()}, "card", full)


def load(folder: Path | Folder) -> tuple[Model, FusionPart, dict[str, Any]]:
    """The model, fusion and card that `save` wrote; nothing in the folder is executed.

    Raises
    ------
    TrainingError
        A file is missing, is no safetensors, has changed since it was written, or holds tensors or settings that do not
        fit; the text says which.
    """
    place = folder_at(folder)
    card = read_json(place, "card.json")
    if card.get("format") != FORMAT:
        raise TrainingError(
            f"{place.at('card.json')}: format {card.get('format')!r}, this version reads {FORMAT}", hint=_AGAIN
        )
    try:
        fusion = shelf.part("fusion", _kind(card, "fusion"))(_params(card, "fusion"))
        build = shelf.part("model", _kind(card, "model"))
        model = build(_params(card, "model"), _shapes(card), 0)
        fusion.load_state(read_tensors(place, "fusion.safetensors", card))
        model.load_state(read_tensors(place, "model.safetensors", card))
    except (ConfigError, TrainingError) as error:
        raise TrainingError(f"{place.address}: {error}", hint=_AGAIN) from None
    return model, fusion, card


def write_folder(
    folder: Folder, tensors: Mapping[str, Mapping[str, NDArray]], name: str, about: Mapping[str, Any]
) -> None:
    """Set `folder` to `<part>.safetensors` for each of `tensors` and `<name>.json` with `about`, whole or not at all.

    Where there are tensors, the JSON gets the key ``sha256``: file name → digest, for `read_tensors`.
    """
    parts = {f"{part}.safetensors": tensor_bytes(_in_order(arrays)) for part, arrays in tensors.items()}
    files = {folder.name_for(part, data): data for part, data in parts.items()}
    digests = {SHA256: {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}} if files else {}
    text = json.dumps({**about, **digests}, indent=1, allow_nan=False)
    folder.write_all({**files, f"{name}.json": f"{text}\n".encode()}, last=f"{name}.json")


def read_json(folder: Folder, name: str) -> dict[str, Any]:
    """A JSON mapping of at most 1 MB."""
    place = folder.at(name)
    try:
        size = folder.size(name)
        if size > _MAX_JSON_BYTES:
            raise TrainingError(f"{place}: {size} bytes, more than {_MAX_JSON_BYTES}: not one of ours")
        found = json.loads(folder.read(name))
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"{place}: cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise TrainingError(f"{place}: a JSON mapping is needed, not {type(found).__name__}")
    return found


def read_tensors(folder: Folder, name: str, about: Mapping[str, Any] | None = None) -> dict[str, NDArray]:
    """The arrays of a safetensors file; any other content, a pickle say, is refused unread.

    `about` is the JSON that `write_folder` wrote beside it: with it, a file that has changed since is refused too.
    """
    name = _kept_as(name, about or {})
    place = folder.at(name)
    try:
        data = folder.read(name)
        tensors = load_tensors(data)
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise TrainingError(f"{place}: no safetensors file that can be read: {error}") from None
    if about is not None:
        _check_digest(place, name, data, about.get(SHA256))
    return tensors


def _kept_as(name: str, about: Mapping[str, Any]) -> str:
    """What the file `name` is called in its folder, as far as `about` tells."""
    stem, _, ending = name.rpartition(".")
    files = about.get(SHA256)
    named = re.compile(rf"{re.escape(stem)}-[0-9a-f]{{16}}\.{re.escape(ending)}")
    return next(filter(named.fullmatch, files), name) if isinstance(files, dict) else name


def _in_order(arrays: Mapping[str, NDArray]) -> dict[str, NDArray]:
    return {name: np.array(array, order="C") for name, array in arrays.items()}


def _check_digest(place: str, name: str, data: bytes, known: Any) -> None:
    """Compare the digest of what was read with the one in `known` {file name: digest}."""
    expected = known.get(name) if isinstance(known, dict) else None
    if not isinstance(expected, str):
        raise TrainingError(f"{place}: the JSON beside it holds no {SHA256} of it, so it cannot be checked")
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise TrainingError(
            f"{place}: changed since it was written, its SHA-256 is {found[:16]}… and should be {expected[:16]}…"
        )


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
