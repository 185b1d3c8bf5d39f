"""Several workers on one model: two processes joined over loopback, as Ray Train joins them, and no Ray."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from configs import make_config
from torch import Tensor, nn

from ray_pipeline import ranks, shelf
from ray_pipeline.collection import Collection
from ray_pipeline.config import Training
from ray_pipeline.models.base import BaseVae, Posterior, Tensors
from ray_pipeline.stages.ray_train import fit_here
from ray_pipeline.training import History, fit

N = 37


class Plain(BaseVae):
    """Without BatchNorm, dropout and noise: nothing in it depends on who computes which rows."""

    def __init__(self) -> None:
        super().__init__(shelf.params_of("model", "vae")(), {"fused": (6,)}, beta=1.0)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.encoder, self.decoder = nn.Linear(6, 2), nn.Linear(2, 6)

    def inference(self, views: Tensors, masks: Tensors) -> Posterior:
        return Posterior(self.encoder(views["fused"]), None)

    def generative(self, z: Tensor, views: Tensors) -> Tensors:
        return {"fused": self.decoder(z)}


def data() -> dict[str, np.ndarray]:
    return {"fused": np.random.default_rng(0).normal(size=(N, 6)).astype(np.float32)}


def train(model: BaseVae, epochs: int, batch_size: int = 5, checkpoint: Path | None = None) -> History:
    """Batches of 5, 5, … and 2: parts of three and two, and one that is too small to be parted."""
    settings = Training(epochs=epochs, batch_size=batch_size, learning_rate=1e-2)
    return fit(model, data(), {}, settings, seed=3, checkpoint=checkpoint, checkpoint_every_s=0)


def plain(rank: int, folder: Path) -> dict[str, Any]:
    model = Plain()
    history = train(model, 8)
    return {"loss": [e.loss for e in history.epochs], "weights": model.encoder.weight.flatten().tolist()}


def vae() -> BaseVae:
    model: BaseVae = shelf.part("model", "vae")(
        shelf.params_of("model", "vae")(latent_dim=2, hidden=(8,)), {"fused": (6,)}, 0
    )
    return model


def undisturbed(rank: int, folder: Path) -> dict[str, Any]:
    model = vae()
    train(model, 12)
    return {"state": _hex(model)}


def interrupted(rank: int, folder: Path) -> dict[str, Any]:
    """Trained for five epochs, and again from there."""
    train(vae(), 5, checkpoint=folder)
    model = vae()
    history = train(model, 12, checkpoint=folder)
    return {"state": _hex(model), "epochs": len(history.epochs), "left": sorted(p.name for p in folder.iterdir())}


def unlike(rank: int, folder: Path) -> dict[str, Any]:
    """Rank 1 does not see that the first of three models is finished."""
    wanted = {seed: f"model-{seed}" for seed in range(3)}
    mine = folder / str(rank)
    config = make_config(folder, source={"kind": "folder", "root": "/"}, model={"kind": "vae", "hidden": [8]})
    if rank == 0:
        (mine / "model-0").mkdir(parents=True)
        (mine / "model-0/card.json").write_text("{}")
    ended = fit_here(_collection(), config, wanted, mine, folder / "log")
    return {"ended": ended, "written": sorted(path.name for path in mine.glob("*"))}


def _collection() -> Collection:
    x = data()["fused"]
    names = [f"t{i:02d}" for i in range(N)]
    return Collection(names, names, {"mfcc": x}, {"mfcc": np.ones(N, np.bool_)})


def _hex(model: BaseVae) -> str:
    return "".join(array.tobytes().hex() for _, array in sorted(model.state().items()))


def _run(function: Callable[[int, Path], dict[str, Any]], rank: int, folder: Path) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    (folder / "work").mkdir(exist_ok=True)
    found = function(rank, folder / "work")
    (folder / f"{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


def by_two(function: Callable[[int, Path], dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """What `function(rank, folder)` gives in each of two processes that train together."""
    spawn = multiprocessing.get_context("spawn")
    children = [spawn.Process(target=_run, args=(function, rank, folder)) for rank in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(200)
    assert [child.exitcode for child in children] == [0, 0]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def test_two_train_a_plain_model_as_one_does(tmp_path: Path) -> None:
    first, second = by_two(plain, tmp_path)
    alone = plain(0, tmp_path)
    assert first == second, "what the ranks hold is one model"
    np.testing.assert_allclose(first["loss"], alone["loss"], rtol=1e-5)
    np.testing.assert_allclose(first["weights"], alone["weights"], rtol=1e-4, atol=1e-6)


def test_two_go_on_from_a_state_as_if_nothing_had_been(tmp_path: Path) -> None:
    for name in ("undisturbed", "interrupted"):
        (tmp_path / name).mkdir()
    (expected, _) = by_two(undisturbed, tmp_path / "undisturbed")
    (found, other) = by_two(interrupted, tmp_path / "interrupted")
    assert found["state"] == expected["state"], "of the first rank, which is the one that is kept"
    assert (found["epochs"], found["left"]) == (12, ["epoch-000012"])
    assert other["epochs"] == 12


def test_ranks_fit_the_same_models_whatever_each_sees_of_a_folder(tmp_path: Path) -> None:
    first, second = by_two(unlike, tmp_path)
    assert [one["seed"] for one in first["ended"]] == [one["seed"] for one in second["ended"]] == [1, 2]
    assert [one["loss"] for one in first["ended"]] == [one["loss"] for one in second["ended"]]
    assert first["written"] == ["model-0", "model-1", "model-2"]
    assert second["written"] == [], "the first rank alone writes"


@pytest.mark.parametrize(("world", "n"), [(1, 1), (1, 7), (2, 3), (2, 4), (2, 5), (3, 5), (3, 6), (4, 9)])
def test_shares_are_fit_for_batchnorm_and_add_up_to_the_batch(
    world: int, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "world_size", lambda: world)
    shares = []
    for rank in range(world):
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        shares.append(ranks.share(torch.arange(n)))
    assert sum(weight for _, weight in shares) == pytest.approx(n)
    assert all(len(rows) >= min(ranks.FEWEST_ROWS, n) for rows, _ in shares)
    if n >= world * ranks.FEWEST_ROWS:
        assert sorted(torch.cat([rows for rows, _ in shares]).tolist()) == list(range(n))
