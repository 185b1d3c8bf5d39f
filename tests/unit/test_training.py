"""The training loop: seeds, resuming, the arithmetic of the loss, and what it saves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ray_pipeline import shelf
from ray_pipeline.config import Training
from ray_pipeline.errors import TrainingError
from ray_pipeline.models.base import BaseVae, Output, Posterior
from ray_pipeline.optimizer import Adam
from ray_pipeline.training import Epoch, batches, fit, load, resolve_precision, save


def make(seed: int = 0, **settings: object) -> BaseVae:
    params = shelf.params_of("model", "beta")(latent_dim=3, hidden=(16, 8), dropout=0.1, **settings)
    model: BaseVae = shelf.part("model", "beta")(params, {"fused": (6,)}, seed)
    return model


def data(n: int = 33) -> dict[str, np.ndarray]:
    return {"fused": np.random.default_rng(0).normal(size=(n, 6)).astype(np.float32)}


def weights(model: BaseVae) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in model.state().items()}


def settings(epochs: int = 6, **more: object) -> Training:
    return Training(epochs=epochs, batch_size=8, lr_step=2, **more)


def trained(seed: int = 1, epochs: int = 6, checkpoint: Path | None = None) -> BaseVae:
    model = make(seed)
    fit(model, data(), {}, settings(epochs), seed=seed, checkpoint=checkpoint, checkpoint_every_s=0)
    return model


def test_the_same_seed_gives_the_same_weights_whatever_torchs_state() -> None:
    first = weights(trained())
    torch.manual_seed(999)
    assert weights(trained()) == first
    assert weights(trained(seed=2)) != first


def test_torchs_own_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    trained()
    assert torch.equal(torch.rand(3), expected)


def test_a_resumed_run_ends_in_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def die(epoch: Epoch) -> None:
        if epoch.epoch == 5:
            raise Killed

    with pytest.raises(Killed):
        fit(make(1), data(), {}, settings(), seed=1, checkpoint=tmp_path, checkpoint_every_s=0, on_epoch=die)
    seen: list[int] = []
    resumed = make(77)
    history = fit(
        resumed, data(), {}, settings(), seed=1, checkpoint=tmp_path, on_epoch=lambda epoch: seen.append(epoch.epoch)
    )
    assert 1 < seen[0] <= 5 and seen == list(range(seen[0], 7))
    assert [epoch.epoch for epoch in history.epochs] == [1, 2, 3, 4, 5, 6]
    assert weights(resumed) == weights(trained())
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-000006"]


def test_a_finished_checkpoint_is_only_read(tmp_path: Path) -> None:
    expected = weights(trained(checkpoint=tmp_path))
    again = make(3)
    history = fit(again, data(), {}, settings(), seed=1, checkpoint=tmp_path, on_epoch=pytest.fail)
    assert weights(again) == expected and len(history.epochs) == 6 and len(history.kl_per_dim) == 3


def test_a_checkpoint_of_another_seed_is_refused(tmp_path: Path) -> None:
    trained(checkpoint=tmp_path)
    with pytest.raises(TrainingError, match="another seed"):
        fit(make(), data(), {}, settings(), seed=2, checkpoint=tmp_path)


def test_a_checkpoint_of_other_data_is_refused(tmp_path: Path) -> None:
    trained(checkpoint=tmp_path)
    other = {"fused": data()["fused"] + 1}
    with pytest.raises(TrainingError, match="other tracks"):
        fit(make(1), other, {}, settings(), seed=1, checkpoint=tmp_path)


def test_loss_is_reconstruction_plus_beta_times_kl() -> None:
    model = make(beta=4.0)
    x = {"fused": torch.ones(2, 6)}
    mask = {"fused": torch.tensor([[True] * 6, [True, True] + [False] * 4])}
    posterior = Posterior(torch.tensor([[1.0, 0, 0], [0, 2.0, 0]]), torch.zeros(2, 3))
    out = model.loss(x, mask, Output(posterior, {"fused": torch.full((2, 6), 3.0)}))
    assert out.reconstruction.item() == pytest.approx((6 * 4 + 2 * 4) / 2)
    assert out.kl_per_dim.tolist() == pytest.approx([0.25, 1.0, 0.0])
    assert out.loss.item() == pytest.approx(16 + 4 * 1.25)


def test_the_losses_of_every_epoch_add_up() -> None:
    history = fit(make(beta=4.0), data(), {}, settings(), seed=0)
    for epoch in history.epochs:
        assert epoch.loss == pytest.approx(epoch.reconstruction + 4 * epoch.kl, rel=1e-5)
    assert sum(history.kl_per_dim) == pytest.approx(history.epochs[-1].kl, rel=1e-5)


def test_training_lowers_the_loss() -> None:
    rng = np.random.default_rng(0)
    x = {"fused": (rng.normal(size=(200, 1)) @ rng.normal(size=(1, 6)) * 3).astype(np.float32)}
    history = fit(make(), x, {}, Training(epochs=30, batch_size=32, learning_rate=3e-3), seed=0)
    assert history.epochs[-1].loss < 0.6 * history.epochs[0].loss


@pytest.mark.parametrize(("n", "size", "expected"), [(9, 8, [9]), (10, 8, [8, 2]), (16, 8, [8, 8]), (2, 2, [2])])
def test_no_batch_holds_a_single_row_and_every_row_comes_once(n: int, size: int, expected: list[int]) -> None:
    found = list(batches(n, size, torch.Generator().manual_seed(0)))
    assert [len(rows) for rows in found] == expected
    assert sorted(torch.cat(found).tolist()) == list(range(n))


def test_one_track_and_none_are_refused_with_a_reason() -> None:
    with pytest.raises(TrainingError, match="1 tracks: a VAE needs at least 2"):
        fit(make(), data(1), {}, settings(), seed=0)
    with pytest.raises(TrainingError, match="no tracks"):
        fit(make(), data(0), {}, settings(), seed=0)


def test_views_of_different_lengths_are_refused() -> None:
    with pytest.raises(TrainingError, match="same number of tracks"):
        fit(make(), {**data(), "lyrics": np.zeros((3, 2), np.float32)}, {}, settings(), seed=0)


def test_another_view_than_the_models_is_refused() -> None:
    with pytest.raises(TrainingError, match="needs view 'fused'; given: mfcc"):
        fit(make(), {"mfcc": data()["fused"]}, {}, settings(), seed=0)


def test_learning_rate_halves_as_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    step = Adam.step
    monkeypatch.setattr(Adam, "step", lambda self: (rates.append(self.param_groups[0]["lr"]), step(self))[1])
    fit(make(), data(8), {}, settings(5), seed=0)
    assert rates == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_stays_near_fp32_and_keeps_fp32_weights(precision: str) -> None:
    model, full = make(), make()
    history = fit(model, data(), {}, settings(), seed=0, precision=precision)
    exact = fit(full, data(), {}, settings(), seed=0)
    assert history.precision == precision and history.status == "ok"
    assert history.epochs[-1].loss == pytest.approx(exact.epochs[-1].loss, rel=0.05)
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_auto_precision_is_fp32_on_a_cpu() -> None:
    assert resolve_precision("auto", torch.device("cpu")) == "fp32"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    fusion = shelf.part("fusion", "audio")(shelf.params_of("fusion", "audio")())
    fusion.fit({"mfcc": data()["fused"]}, {})
    save(tmp_path / "m", trained(), fusion, {"seed": 1, "notes": ["hello"]})
    return tmp_path / "m"


def test_save_replaces_what_was_there_and_leaves_nothing_else(saved: Path) -> None:
    model, fusion, card = load(saved)
    save(saved, model, fusion, {"seed": 2})
    assert load(saved)[2]["seed"] == 2 and card["notes"] == ["hello"]
    assert [path.name for path in saved.parent.iterdir()] == ["m"]
    assert {path.name for path in saved.iterdir()} == {"model.safetensors", "fusion.safetensors", "card.json"}
