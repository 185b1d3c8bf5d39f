"""A training's state in a folder: weights, Adam's moments, and JSON; whoever reads it goes on where it was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ray_pipeline.errors import TrainingError
from ray_pipeline.model_files import read_json, read_tensors, write_folder
from ray_pipeline.models.base import BaseVae
from ray_pipeline.models.contract import check_state

_FLOAT32 = np.dtype(np.float32)


def write(folder: Path, epoch: int, model: BaseVae, optimizer: torch.optim.Optimizer, about: dict[str, Any]) -> None:
    """Leave the state as `<folder>/epoch-000010/`, then remove older ones: at any moment one whole state is there."""
    tensors = {f"model.{name}": array for name, array in model.state().items()}
    for i, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{i}.{name}": tensor.cpu().numpy() for name, tensor in moments.items()}
    write_folder(folder / f"epoch-{epoch:06d}", {"state": tensors}, {"state": about}, replaces=_written(folder))


def read(folder: Path, model: BaseVae, optimizer: torch.optim.Optimizer, run: dict[str, Any]) -> dict[str, Any] | None:
    """Put the newest state into `model` and `optimizer` and return what was said about it; None if there is none.

    Raises
    ------
    TrainingError
        The state belongs to another `run`, or cannot be read, or does not fit the model.
    """
    written = _written(folder)
    if not written:
        return None
    about = read_json(written[-1] / "state.json")
    if about.get("run") != run:
        raise TrainingError(
            f"{written[-1]}: this checkpoint belongs to other settings, other tracks or another seed",
            hint="Remove the folder, or give this training one of its own.",
        )
    tensors = read_tensors(written[-1] / "state.safetensors")
    moments = {name: array for name, array in tensors.items() if name.startswith("adam.")}
    weights = {name.removeprefix("model."): array for name, array in tensors.items() if name not in moments}
    model.load_state(weights)
    _load_moments(model, optimizer, moments)
    return about


def _written(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch-??????"))


def _load_moments(model: BaseVae, optimizer: torch.optim.Optimizer, tensors: dict[str, NDArray]) -> None:
    expected: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
    for i, parameter in enumerate(model.parameters()):
        for name, shape in (("exp_avg", parameter.shape), ("exp_avg_sq", parameter.shape), ("step", ())):
            expected[f"adam.{i}.{name}"] = (tuple(shape), _FLOAT32)
    check_state(expected, tensors)
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, array in tensors.items():
        _, number, name = key.split(".")
        state.setdefault(int(number), {})[name] = torch.from_numpy(np.array(array))
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
