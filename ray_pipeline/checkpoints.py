"""A training's state in a folder: weights, Adam's moments, and its course; whoever reads it goes on where it was written."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ray_pipeline.errors import TrainingError
from ray_pipeline.model_files import read_json, read_tensors, write_folder
from ray_pipeline.models.base import BaseVae
from ray_pipeline.models.contract import State, check_state
from ray_pipeline.store.files import Folder, folder_at

_FLOAT32 = np.dtype(np.float32)
_ANEW = "Remove the folder to train from the start, or give this training one of its own."


class Pace:
    """When the next state is due: `every_s` after the last, and later where writing takes long: at most 5 % of the time.

    Used around the writing, which it times: ``if pace.due(): with pace: write(…)``.
    """

    SHARE = 0.05

    def __init__(self, every_s: float) -> None:
        self._every_s = self._wait_s = every_s
        self._last = time.monotonic()

    def due(self) -> bool:
        return time.monotonic() - self._last >= self._wait_s

    def __enter__(self) -> None:
        self._last = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        began, self._last = self._last, time.monotonic()
        self._wait_s = max(self._every_s, (self._last - began) / self.SHARE)


def write(
    folder: Path | Folder,
    epoch: int,
    model: BaseVae,
    optimizer: torch.optim.Optimizer,
    course: Mapping[str, State],
    run: dict[str, Any],
) -> None:
    """Leave the state as `<folder>/epoch-000010/`, then remove older ones: at any moment one whole state is there.

    `course` {part: arrays} is what else there is to go on from; `run` is JSON, and must be the same for whoever reads it.
    """
    parts = {"model": model.state(), "adam": _moments(optimizer), **course}
    tensors = {f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()}
    states, former = folder_at(folder), _written(folder)
    write_folder(states / _name(epoch), {"state": tensors}, "state", {"run": run})
    for number in former:
        if number != epoch:
            states.remove(_name(number))


def newest(folder: Path | Folder) -> int:
    """The epoch of the newest state; 0 where there is none."""
    return max(_written(folder), default=0)


def read(
    folder: Path | Folder, epoch: int, model: BaseVae, optimizer: torch.optim.Optimizer, run: dict[str, Any]
) -> dict[str, State]:
    """Put the state after `epoch` into `model` and `optimizer`, and return its course.

    Raises
    ------
    TrainingError
        The state belongs to another `run`, or cannot be read, or does not fit the model.
    """
    place = folder_at(folder) / _name(epoch)
    try:
        about = read_json(place, "state.json")
        if about.get("run") != run:
            raise TrainingError("this checkpoint belongs to other settings, other tracks or another seed")
        parts: dict[str, State] = {}
        for name, array in read_tensors(place, "state.safetensors", about).items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = array
        model.load_state(parts.pop("model", {}))
        _load_moments(model, optimizer, parts.pop("adam", {}))
    except TrainingError as error:
        raise TrainingError(f"{place.address}: {error}", hint=_ANEW) from None
    return parts


def _name(epoch: int) -> str:
    return f"epoch-{epoch:06d}"


def _written(folder: Path | Folder) -> list[int]:
    """The epochs of which a whole state is there."""
    states = folder_at(folder)
    names = (name for name in states.names() if name.startswith("epoch-"))
    numbers = {name: name.removeprefix("epoch-") for name in names}
    return [int(n) for name, n in numbers.items() if n.isdecimal() and (states / name).is_whole("state.json")]


def _moments(optimizer: torch.optim.Optimizer) -> State:
    state: dict[int, dict[str, torch.Tensor]] = optimizer.state_dict()["state"]
    return {f"{i}.{name}": tensor.cpu().numpy() for i, moments in state.items() for name, tensor in moments.items()}


def _load_moments(model: BaseVae, optimizer: torch.optim.Optimizer, tensors: dict[str, NDArray]) -> None:
    if not tensors:  # fp16 may have skipped every step so far
        return
    expected: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
    for i, parameter in enumerate(model.parameters()):
        for name, shape in (("exp_avg", parameter.shape), ("exp_avg_sq", parameter.shape), ("step", ())):
            expected[f"{i}.{name}"] = (tuple(shape), _FLOAT32)
    check_state(expected, tensors)
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, array in tensors.items():
        number, name = key.split(".")
        state.setdefault(int(number), {})[name] = torch.from_numpy(np.array(array))
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
