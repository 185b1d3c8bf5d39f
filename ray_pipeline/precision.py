"""fp32, bf16 or fp16: which a device is given, and the loss scaling that fp16 needs (Micikevicius et al., "Mixed Precision
Training", 2018)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import numpy as np
import torch

from ray_pipeline.history import Precision
from ray_pipeline.models.contract import State, check_state

# fp16 halves its loss scale at each overflow. Below its own smallest normal number no scale is of help any more.
LEAST_SCALE = 2.0**-14


def resolve_precision(precision: str, device: torch.device) -> Precision:
    """`auto` is fp32 on a CPU, bf16 on a GPU that has it in hardware, fp16 on one that does not."""
    if precision != "auto":
        return cast(Precision, precision)
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """Within it, products are taken in `precision`; weights and losses stay float32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype={"bf16": torch.bfloat16, "fp16": torch.float16}[precision])


def scaler_for(precision: Precision, device: torch.device) -> torch.amp.GradScaler:
    """Scales the loss in fp16, where small gradients would be 0, and skips a step whose gradient overflows; else nothing."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")


def scaler_state(scaler: torch.amp.GradScaler) -> State:
    return {name: np.array(value, np.float64) for name, value in scaler.state_dict().items()}


def load_scaler(scaler: torch.amp.GradScaler, state: State) -> None:
    """Take over what `scaler_state` gave; TrainingError names what does not fit."""
    known = scaler.state_dict()
    check_state({name: ((), np.dtype(np.float64)) for name in known}, state)
    scaler.load_state_dict({name: type(value)(state[name]) for name, value in known.items()})
