"""Row 32 of BAD_INPUTS: a training does not go on from a state that was tampered with; it says why, and executes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bomb import Bomb
from safetensors.numpy import load_file, save_file

from ray_pipeline import shelf
from ray_pipeline.config import Training
from ray_pipeline.errors import TrainingError
from ray_pipeline.training import History, fit

Arrays = dict[str, np.ndarray]


def train(checkpoint: Path, epochs: int = 2) -> History:
    params = shelf.params_of("model", "beta")(latent_dim=3, hidden=(16, 8), dropout=0.1)
    model = shelf.part("model", "beta")(params, {"fused": (6,)}, 0)
    x = np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32)
    return fit(model, {"fused": x}, {}, Training(epochs=epochs, batch_size=8), seed=0, checkpoint=checkpoint)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The folder with the state after two epochs."""
    train(tmp_path / "progress")
    [folder] = (tmp_path / "progress").iterdir()
    assert {path.name for path in folder.iterdir()} == {"state.safetensors", "state.json"}
    return folder


def sealed(folder: Path) -> None:
    """Write down the digest of the tensors as they are now."""
    about = json.loads((folder / "state.json").read_text())
    about["sha256"] = {"state.safetensors": hashlib.sha256((folder / "state.safetensors").read_bytes()).hexdigest()}
    (folder / "state.json").write_text(json.dumps(about))


def refused(state: Path, reason: str) -> None:
    with pytest.raises(TrainingError, match=reason) as told:
        train(state.parent, epochs=4)
    assert str(state) in str(told.value)
    assert "remove the folder" in told.value.hint.lower()


def test_row_32_state_as_it_was_is_gone_on_from(state: Path) -> None:
    sealed(state)
    assert [epoch.epoch for epoch in train(state.parent, epochs=4).epochs] == [1, 2, 3, 4]


def test_row_32_pickle_in_place(state: Path, tmp_path: Path) -> None:
    bomb = Bomb(tmp_path / "it-ran")
    (state / "state.safetensors").write_bytes(pickle.dumps(bomb))
    sealed(state)
    refused(state, "no safetensors file that can be read")
    bomb.assert_it_did_not_go_off()


def _shape(tensors: Arrays) -> Arrays:
    return {name: np.zeros((3, 3), array.dtype) for name, array in tensors.items()}


def _nan(tensors: Arrays) -> Arrays:
    weights = (name for name in tensors if name.startswith("model.") and tensors[name].dtype == np.float32)
    return tensors | {name: np.full_like(tensors[name], np.nan) for name in weights}


def _fewer_moments(tensors: Arrays) -> Arrays:
    return {name: array for name, array in tensors.items() if not name.startswith("adam.0.")}


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (_shape, r"\[3, 3\], not"),
        (_nan, "holds NaN or infinity"),
        (_fewer_moments, "is missing"),
        (lambda _: {}, "missing"),
    ],
    ids=["another shape", "NaN", "fewer moments", "no tensors"],
)
def test_row_32_tensors_that_do_not_fit(tamper: Callable[[Arrays], Arrays], reason: str, state: Path) -> None:
    """With a digest that is right: what is wrong is told all the same."""
    save_file(tamper(load_file(state / "state.safetensors")), state / "state.safetensors")
    sealed(state)
    refused(state, reason)


def test_row_32_flipped_bit_among_the_numbers(state: Path) -> None:
    data = bytearray((state / "state.safetensors").read_bytes())
    data[-1] ^= 1
    (state / "state.safetensors").write_bytes(data)
    refused(state, "changed since it was written")


def test_row_32_cut_short(state: Path) -> None:
    os.truncate(state / "state.safetensors", (state / "state.safetensors").stat().st_size - 7)
    refused(state, "no safetensors file")


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff" * 100, b"{}", b'{"run": {}}', b"[" * 10**5])
def test_row_32_what_is_said_of_it(content: bytes, state: Path) -> None:
    (state / "state.json").write_bytes(content)
    refused(state, r"state\.json|belongs to other settings")


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
def test_row_32_file_that_is_gone(name: str, state: Path) -> None:
    (state / name).unlink()
    refused(state, name.replace(".", r"\."))
