"""Training under Ray Train: the model that one process would have made, and its files."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outcome import done, rows

from ray_pipeline.store.verify import verify

pytestmark = pytest.mark.ray

VAE = {"model": {"kind": "vae"}, "scoring": {"seeds": 2, "null_draws": 2, "permutations": 20}}
HERE = {"training": {"epochs": 4, "num_workers": 0}}
THERE = {"training": {"epochs": 4, "num_workers": 1}}


def model_folders(ctx: Any) -> list[Path]:
    return [ctx.store.root / "models" / Path(address).stem for address in ctx.run.tables["latents"]]


def losses(folder: Path, store: Path) -> dict[str, list[float]]:
    """Tag → values in the event files of a model."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(store / "tensorboard" / folder.name))
    events.Reload()
    return {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_ray_train_makes_the_model_that_one_process_makes(run: Any) -> None:
    here = run("train", **VAE, **HERE)
    alone = rows(here, "latents"), [json.loads((f / "card.json").read_text()) for f in model_folders(here)]
    for table in ("models", "latents", "tensorboard"):
        shutil.rmtree(here.store.root / table)
    on_ctrl_c = signal.getsignal(signal.SIGINT)
    ctx = run("train", **VAE, **THERE)
    assert signal.getsignal(signal.SIGINT) is on_ctrl_c
    assert done(ctx) == {"train": 2}
    assert model_folders(ctx) == model_folders(here), "where it was trained is no part of a model's name"
    assert rows(ctx, "latents") == alone[0]
    for folder, card in zip(model_folders(ctx), alone[1], strict=True):
        _check_files(ctx, folder, card)
    assert not list(ctx.store.root.glob("scratch/*"))
    assert verify(ctx.store) == []


def _check_files(ctx: Any, folder: Path, alone: dict[str, Any]) -> None:
    assert {path.name for path in folder.iterdir()} == {"card.json", "model.safetensors", "fusion.safetensors"}
    card = json.loads((folder / "card.json").read_text())
    loss = [epoch["loss"] for epoch in card["history"]]
    assert loss == [epoch["loss"] for epoch in alone["history"]]
    assert len(loss) == 4
    assert card["seed"] == alone["seed"]
    written = losses(folder, ctx.store.root)
    np.testing.assert_allclose(written["train/loss"], loss, rtol=1e-6)
    assert {"train/kl", "train/reconstruction", "kl_per_dim"} <= set(written)


def test_model_without_its_card_is_trained_again(run: Any, first: Any) -> None:
    (folder,) = model_folders(first)
    (folder / "card.json").unlink()
    assert done(run()) == {"train": 1}
    assert (folder / "card.json").is_file()
