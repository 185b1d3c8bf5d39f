"""Which precision a device is given, and what fp16 does where a gradient overflows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ray_pipeline import precision, shelf, training
from ray_pipeline.config import Training
from ray_pipeline.models.base import BaseVae, Posterior, Tensors
from ray_pipeline.precision import LEAST_SCALE, load_scaler, resolve_precision, scaler_for, scaler_state
from ray_pipeline.training import fit

CPU, GPU = torch.device("cpu"), torch.device("cuda")
# Twenty halvings above what is sound: the first steps overflow, whatever the data.
FAR_TOO_HIGH = 2.0**40


def data(n: int = 8) -> dict[str, np.ndarray]:
    return {"fused": np.random.default_rng(0).normal(size=(n, 6)).astype(np.float32)}


def make() -> BaseVae:
    params = shelf.params_of("model", "vae")(latent_dim=3, hidden=(16, 8))
    model: BaseVae = shelf.part("model", "vae")(params, {"fused": (6,)}, 0)
    return model


def parameters(model: BaseVae) -> dict[str, bytes]:
    """What steps change; BatchNorm's means are no part of it."""
    return {name: tensor.detach().numpy().tobytes() for name, tensor in model.named_parameters()}


def one_step_an_epoch(epochs: int) -> Training:
    return Training(epochs=epochs, batch_size=8, learning_rate=1e-2, lr_step=1000, precision="fp16")


@pytest.fixture
def too_high(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss scale that overflows for some twenty steps."""
    monkeypatch.setattr(
        training, "scaler_for", lambda *_: torch.amp.GradScaler("cpu", init_scale=FAR_TOO_HIGH, enabled=True)
    )


def test_auto_is_fp32_on_a_cpu_and_scales_nothing() -> None:
    assert resolve_precision("auto", CPU) == "fp32"
    assert not scaler_for("fp32", CPU).is_enabled()


@pytest.mark.parametrize(("in_hardware", "expected"), [(True, "bf16"), (False, "fp16")])
def test_auto_on_a_gpu_is_what_its_hardware_has(
    in_hardware: bool, expected: precision.Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a pretended GPU: a T4 emulates bf16, and is slower in it than in fp32."""
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: in_hardware or including_emulation
    )
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    assert resolve_precision("auto", GPU) == expected
    assert scaler_for(expected, GPU).is_enabled() == (expected == "fp16")


@pytest.mark.parametrize("wanted", ["fp32", "bf16", "fp16"])
def test_what_is_asked_for_by_name_is_taken(wanted: str) -> None:
    assert resolve_precision(wanted, CPU) == resolve_precision(wanted, GPU) == wanted


@pytest.mark.usefixtures("too_high")
def test_overflow_skips_the_step_and_training_goes_on() -> None:
    model, untrained = make(), make()
    first = fit(model, data(), {}, one_step_an_epoch(1), seed=0)
    assert (first.status, len(first.epochs)) == ("ok", 1)
    assert parameters(model) == parameters(untrained), "the one step was skipped"
    history = fit(model, data(), {}, one_step_an_epoch(150), seed=0)
    assert (history.status, len(history.epochs)) == ("ok", 150)
    losses = [epoch.loss for epoch in history.epochs]
    assert np.mean(losses[-20:]) < 0.9 * np.mean(losses[:20])


@pytest.mark.usefixtures("too_high")
@pytest.mark.parametrize("stopped_after", [2, 40], ids=["before any step was taken", "after some"])
def test_loss_scale_is_gone_on_from(stopped_after: int, tmp_path: Path) -> None:
    undisturbed, resumed = make(), make()
    fit(undisturbed, data(), {}, one_step_an_epoch(60), seed=0)
    fit(make(), data(), {}, one_step_an_epoch(stopped_after), seed=0, checkpoint=tmp_path)
    fit(resumed, data(), {}, one_step_an_epoch(60), seed=0, checkpoint=tmp_path)
    assert parameters(resumed) == parameters(undisturbed)


def test_state_of_a_scaler_is_taken_over() -> None:
    used, fresh = scaler_for("fp16", CPU), scaler_for("fp16", CPU)
    used.load_state_dict(used.state_dict() | {"scale": 8.0, "_growth_tracker": 17})
    load_scaler(fresh, scaler_state(used))
    assert fresh.state_dict() == used.state_dict()


class Steep(BaseVae):
    """Its loss is finite, and its gradient is not, whatever the scale: d sqrt(x) / dx at 0."""

    def __init__(self) -> None:
        super().__init__(shelf.params_of("model", "vae")(), {"fused": (6,)}, beta=1.0)
        self.weight = nn.Parameter(torch.zeros(6))

    def inference(self, views: Tensors, masks: Tensors) -> Posterior:
        return Posterior(views["fused"][:, :1], None)

    def generative(self, z: Tensor, views: Tensors) -> Tensors:
        return {"fused": views["fused"] + self.weight.square().sqrt()}


@pytest.mark.parametrize("wanted", ["fp32", "fp16"])
def test_gradient_that_no_scale_helps_is_divergence(wanted: str) -> None:
    model = Steep()
    history = fit(model, data(), {}, Training(epochs=200, batch_size=8, precision=wanted), seed=0)
    assert history.status == "diverged" and history.diverged_at is not None
    assert model.weight.tolist() == [0.0] * 6
    if wanted == "fp16":
        assert history.diverged_at == int(np.log2(65536 / LEAST_SCALE)) + 1, "each step halved the scale, from 65,536"
