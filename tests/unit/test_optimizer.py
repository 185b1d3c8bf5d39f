"""Adam is torch's, and its first step does not load torch's compiler."""

from __future__ import annotations

import subprocess
import sys

import torch

from ray_pipeline.optimizer import Adam

LOADED = """
import sys
import numpy as np
import torch
from ray_pipeline import shelf, training
from ray_pipeline.config import Training, check
if {of_torch}:
    training.Adam = torch.optim.Adam
config = check({"store": "s", "source": {"kind": "folder", "root": "/"}, "model": {"kind": "vae", "latent_dim": 2}})
views, masks = {"fused": np.ones((4, 3), np.float32)}, {"fused": np.ones(4, bool)}
model = shelf.part("model", "vae")(config.model, {"fused": (3,)}, 0)
training.fit(model, views, masks, Training(epochs=2), seed=0)
print("torch._dynamo" in sys.modules)
"""


def loads_the_compiler(*, of_torch: bool) -> bool:
    code = LOADED.replace("{of_torch}", str(of_torch))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280, check=True)
    return {"True": True, "False": False}[done.stdout.splitlines()[-1]]


def test_training_does_not_load_the_compiler() -> None:
    assert not loads_the_compiler(of_torch=False)


def test_with_the_adam_of_torch_it_would() -> None:
    assert loads_the_compiler(of_torch=True)


def weights(kind: type[torch.optim.Optimizer], steps: int, *, interrupted: bool = False) -> list[torch.Tensor]:
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(5, 3), torch.randn(7, 5)
    given = {"lr": 0.01, "fused": True}
    optimizer = kind(layer.parameters(), **given)
    for step in range(steps):
        if interrupted and step == steps // 2:
            kept, optimizer = optimizer.state_dict(), kind(layer.parameters(), **given)
            optimizer.load_state_dict(kept)
        optimizer.zero_grad(set_to_none=True)
        layer(x).square().mean().backward()
        optimizer.step()
    return [weight.detach() for weight in layer.parameters()]


def test_steps_are_those_of_torch_bit_for_bit() -> None:
    ours, theirs = weights(Adam, 20), weights(torch.optim.Adam, 20)
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    assert not torch.equal(ours[0], weights(Adam, 19)[0])


def test_state_that_is_loaded_goes_on_alike() -> None:
    whole, resumed = weights(Adam, 20), weights(Adam, 20, interrupted=True)
    assert all(torch.equal(one, other) for one, other in zip(whole, resumed, strict=True))
