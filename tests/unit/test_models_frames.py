"""Models over time: the order of frames matters to them, any size will do, and where the view has to come from is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from configs import make_config
from threads import one_thread

from ray_pipeline import experiment, shelf, training
from ray_pipeline.config import Training, check
from ray_pipeline.errors import ConfigError
from ray_pipeline.experiment import Collection
from ray_pipeline.models.base import BaseVae
from ray_pipeline.models.self_attention import waves

__all__ = ["one_thread"]

KINDS = ["conv2d", "gru", "transformer"]
SMALL = {"latent_dim": 4, "channels": (4, 8), "width": 16, "n_heads": 2, "dropout": 0.0}
NOWHERE = {"kind": "folder", "root": "/"}


def make(kind: str, shape: tuple[int, int] = (8, 6), seed: int = 0) -> BaseVae:
    found = shelf.params_of("model", kind)
    params = found(**{key: value for key, value in SMALL.items() if key in found.model_fields})
    model: BaseVae = shelf.part("model", kind)(params, {"log_mel": shape, "other": (3,)}, seed)
    return model


def rising_and_falling(n: int = 40) -> dict[str, np.ndarray]:
    """Frames that rise in even tracks, and the very same frames backwards in odd ones: float32 [n, 8, 6]."""
    rng = np.random.default_rng(0)
    up = np.linspace(-2, 2, 8)[:, None] + 0.1 * rng.normal(size=(n // 2, 8, 6))
    frames = np.stack([up, up[:, ::-1]], axis=1).reshape(n, 8, 6)
    return {"log_mel": frames.astype(np.float32)}


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_frames_matters(kind: str) -> None:
    views = rising_and_falling()
    model = make(kind)
    training.fit(model, views, {}, Training(epochs=40, batch_size=20, learning_rate=5e-3, lr_step=40), seed=0)
    mu = model.encode(views, {}).mu
    up, down = mu[::2], mu[1::2]
    between = np.linalg.norm(up.mean(axis=0) - down.mean(axis=0))
    assert between > 3 * max(up.std(axis=0).max(), down.std(axis=0).max())


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_rebuilt_in_their_order(kind: str) -> None:
    views = rising_and_falling()
    model = make(kind)
    training.fit(model, views, {}, Training(epochs=60, batch_size=20, learning_rate=5e-3, lr_step=60), seed=0)
    with torch.no_grad():
        rebuilt = model.generative(torch.from_numpy(model.encode(views, {}).mu), {})["log_mel"].mean(dim=2)
    rise = rebuilt[:, -2:].mean(dim=1) - rebuilt[:, :2].mean(dim=1)
    assert (rise[::2] > 1).all() and (rise[1::2] < -1).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (7, 5), (64, 128)])
def test_any_number_of_frames_and_bands_will_do(kind: str, shape: tuple[int, int]) -> None:
    model = make(kind, shape)
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float16)
    latents = model.encode({"log_mel": x}, {})
    assert latents.mu.shape == (3, 4) and np.isfinite(latents.recon_error).all()
    assert model.shapes == {"log_mel": shape}


def test_places_differ_from_each_other_and_near_ones_least() -> None:
    places = waves(64, 16)
    apart = torch.cdist(places, places)
    assert apart[~torch.eye(64, dtype=torch.bool)].min() > 0.5
    assert (apart[0, 1] < apart[0, 2:]).all()


def test_layers_of_one_transformer_begin_differently() -> None:
    layers = [module for module in make("transformer").modules() if isinstance(module, torch.nn.MultiheadAttention)]
    weights = [layer.in_proj_weight.detach() for layer in layers]
    assert len(weights) == 4
    assert all(not torch.equal(a, b) for i, a in enumerate(weights) for b in weights[:i])


def test_a_width_that_heads_cannot_share_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.width: must be even, and divisible by n_heads, 4"):
        config(tmp_path, model={"kind": "transformer", "width": 18})


def config(tmp_path: Path, **sections: Any) -> Any:
    base = {"features": ["mfcc", "log_mel"], "fusion": {"kind": "none"}, "model": {"kind": "gru", "width": 8}}
    return make_config(tmp_path, source=NOWHERE, **base | sections)


def test_only_the_view_that_it_takes_is_read(tmp_path: Path) -> None:
    assert experiment.views_needed(config(tmp_path)) == ("log_mel",)
    both = config(tmp_path, fusion={"kind": "none", "views": ["mfcc", "log_mel"]})
    assert experiment.views_needed(both) == ("mfcc", "log_mel")


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        (
            {"fusion": {"kind": "concat"}},
            "fusion.kind: model 'gru' takes view 'log_mel' as it is; set fusion.kind: none",
        ),
        ({"features": ["mfcc"]}, r"model\.view: 'log_mel' is not among features: \[mfcc\]"),
        ({"fusion": {"kind": "none", "views": ["mfcc"]}}, r"model\.view: 'log_mel' is not among features: \[mfcc\]"),
    ],
)
def test_a_view_that_it_cannot_have_is_told_before_anything_is_computed(
    tmp_path: Path, sections: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        experiment.views_needed(config(tmp_path, **sections))


def test_an_experiment_on_frames_beside_other_views(tmp_path: Path) -> None:
    """float16 dB, as they are stored; the model takes its view and is scored on rebuilding that alone."""
    rng = np.random.default_rng(0)
    names = [f"t{i}" for i in range(20)]
    views = {
        "mfcc": rng.normal(size=(20, 20)).astype(np.float32),
        "log_mel": rng.normal(-40, 12, (20, 8, 6)).astype(np.float16),
    }
    masks = {name: np.ones(20, np.bool_) for name in views}
    fitted, latents, found = experiment.run(Collection(names, names, views, masks), config(tmp_path), 0)
    assert fitted.model.shapes == {"log_mel": (8, 6)} and latents.mu.shape == (20, 32)
    rebuilt = {score.metric: score for score in found.scores}["reconstruction"].value
    assert rebuilt == pytest.approx(latents.recon_error.mean(), rel=1e-5) and rebuilt < 2 * 48


def test_settings_are_read_back_from_plain_values(tmp_path: Path) -> None:
    settings = config(tmp_path)
    assert check(settings.plain()) == settings
