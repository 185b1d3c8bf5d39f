"""The course of a training: its epochs, what the latents hold at the end, and how it ended."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field, fields
from typing import Literal

import numpy as np

from ray_pipeline.models.contract import State, check_state

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Epoch:
    """Means over the epoch's tracks; `epoch` counts from 1, `kl` is in nats, `seconds` is wall time."""

    epoch: int
    loss: float
    reconstruction: float
    kl: float
    seconds: float


@dataclass
class History:
    """What a fit did; `diverged` at epoch e means that the weights are those after epoch e - 1."""

    epochs: list[Epoch] = field(default_factory=list)
    kl_per_dim: list[float] = field(default_factory=list)
    status: Literal["ok", "diverged"] = "ok"
    diverged_at: int | None = None
    precision: Precision = "fp32"

    def state(self) -> State:
        """What there is to go on from, float64: epochs [n_epochs, 5] and kl_per_dim [latent_dim]."""
        epochs = np.array(list(map(astuple, self.epochs)), np.float64).reshape(-1, len(fields(Epoch)))
        return {"epochs": epochs, "kl_per_dim": np.array(self.kl_per_dim, np.float64)}

    def load_state(self, state: State, n_epochs: int) -> None:
        """Take over the state after `n_epochs`; TrainingError names what does not fit."""
        latent_dim = state["kl_per_dim"].size if "kl_per_dim" in state else 0
        expected = {"epochs": (n_epochs, len(fields(Epoch))), "kl_per_dim": (latent_dim,)}
        check_state({name: (shape, np.dtype(np.float64)) for name, shape in expected.items()}, state)
        self.epochs = [Epoch(int(number), *means) for number, *means in state["epochs"].tolist()]
        self.kl_per_dim = state["kl_per_dim"].tolist()
