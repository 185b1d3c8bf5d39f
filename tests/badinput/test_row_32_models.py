"""Row 32 of BAD_INPUTS: a fitted model whose files were tampered with is refused with the reason, and nothing is executed."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bomb import Bomb
from processed import process
from safetensors.numpy import load_file, save_file
from sounds import write

from ray_pipeline import shelf
from ray_pipeline.errors import TrainingError
from ray_pipeline.model_files import FORMAT, load, save

WEIGHTS = ("model.safetensors", "fusion.safetensors")
FILES = ("card.json", *WEIGHTS)
Arrays = dict[str, np.ndarray]


def saved_in(folder: Path, seed: int = 0) -> Path:
    """An untrained VAE and its fusion."""
    x = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    fusion = shelf.part("fusion", "audio")(shelf.params_of("fusion", "audio")())
    fusion.fit({"mfcc": x}, {})
    params = shelf.params_of("model", "beta")(latent_dim=3, hidden=(16, 8), dropout=0.1)
    save(folder, shelf.part("model", "beta")(params, {"fused": (6,)}, seed), fusion, {"seed": seed})
    return folder


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return saved_in(tmp_path / "saved")


def rewrite_card(folder: Path, **changes: object) -> None:
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, **changes}))


def sealed(folder: Path) -> None:
    """Give the card the digests of the files as they are now, as someone would who means to deceive."""
    rewrite_card(folder, sha256={name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in WEIGHTS})


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_row_32_card_holds_the_digest_of_each_file(saved: Path) -> None:
    _, _, card = load(saved)
    assert card["sha256"] == {name: hashlib.sha256((saved / name).read_bytes()).hexdigest() for name in WEIGHTS}


@pytest.mark.parametrize("name", WEIGHTS)
def test_row_32_flipped_bit_among_the_numbers(name: str, saved: Path) -> None:
    before = load_file(saved / name)
    flip(saved / name, -1)
    after = load_file(saved / name)
    assert sum(not np.array_equal(before[key], after[key]) for key in before) == 1, "safetensors itself saw it"
    with pytest.raises(TrainingError, match=rf"{name}: changed since it was written, its SHA-256 is \w+… and") as told:
        load(saved)
    assert str(saved) in str(told.value)
    assert "train" in told.value.hint


def test_row_32_another_models_weights(saved: Path, tmp_path: Path) -> None:
    other = saved_in(tmp_path / "other", seed=1)
    (saved / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(TrainingError, match=r"model\.safetensors: changed since"):
        load(saved)


@pytest.mark.parametrize("digests", [None, {}, [], "x", dict.fromkeys(WEIGHTS, 1)])
def test_row_32_card_without_digests(digests: object, saved: Path) -> None:
    rewrite_card(saved, sha256=digests)
    with pytest.raises(TrainingError, match="holds no sha256 of it"):
        load(saved)


@pytest.mark.parametrize("name", WEIGHTS)
def test_row_32_pickle_in_place(name: str, saved: Path, tmp_path: Path) -> None:
    bomb = Bomb(tmp_path / "it-ran")
    (saved / name).write_bytes(pickle.dumps(bomb))
    sealed(saved)
    with pytest.raises(TrainingError, match=f"{name}: no safetensors file that can be read"):
        load(saved)
    bomb.assert_it_did_not_go_off()


def _shape(tensors: Arrays) -> Arrays:
    return {name: np.zeros((3, 3), np.float32) for name in tensors}


def _dtype(tensors: Arrays) -> Arrays:
    return {name: array.astype(np.float64) for name, array in tensors.items()}


def _nan(tensors: Arrays) -> Arrays:
    return {name: np.full_like(array, np.nan) if array.dtype.kind == "f" else array for name, array in tensors.items()}


def _fewer(tensors: Arrays) -> Arrays:
    return dict(list(tensors.items())[1:])


def _more(tensors: Arrays) -> Arrays:
    return tensors | {"zzz": np.zeros(1, np.float32)}


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (_shape, r"float32\[3, 3\]"),
        (_dtype, "is float64"),
        (_nan, "NaN or infinity|finite float32"),
        (_fewer, "is missing"),
        (_more, "'zzz' is unexpected"),
    ],
)
def test_row_32_tensors_that_do_not_fit(
    name: str, tamper: Callable[[Arrays], Arrays], reason: str, saved: Path
) -> None:
    """With digests that are right: what is wrong is told all the same."""
    save_file(tamper(load_file(saved / name)), saved / name)
    sealed(saved)
    with pytest.raises(TrainingError, match=reason) as told:
        load(saved)
    assert str(saved) in str(told.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": {"kind": "os.system"}}, "unknown model 'os.system'"),
        ({"model": {"kind": "beta", "latent_dim": -1}}, "latent_dim"),
        ({"model": {"kind": "beta", "latent_dim": 4, "hidden": [16, 8], "dropout": 0.1}}, "is float32"),
        ({"model": "beta"}, "not a mapping"),
        ({"fusion": {"kind": "concat"}}, "'lyrics.mean' is missing"),
        ({"shapes": {"fused": [7]}}, "is float32"),
        ({"shapes": {"fused": [10**12]}}, "no shape of a view"),
        ({"shapes": {}}, "not a mapping of views"),
        ({"format": 99}, "format 99"),
        ({"format": 1}, f"format 1, this version reads {FORMAT}"),
        ({"padding": "x" * 1_000_001}, "more than 1000000"),
    ],
)
def test_row_32_card_that_was_tampered_with(saved: Path, changes: dict[str, object], reason: str) -> None:
    rewrite_card(saved, **changes)
    with pytest.raises(TrainingError, match=reason):
        load(saved)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [None, b"", b"[]", b"\xff" * 100], ids=["gone", "empty", "a list", "noise"])
def test_row_32_file_that_is_gone_or_no_such_file(saved: Path, name: str, content: bytes | None) -> None:
    (saved / name).unlink()
    if content is not None:
        (saved / name).write_bytes(content)
    with pytest.raises(TrainingError, match=name.replace(".", r"\.")):
        load(saved)


@pytest.mark.parametrize("name", WEIGHTS)
def test_row_32_file_cut_short(name: str, saved: Path) -> None:
    os.truncate(saved / name, (saved / name).stat().st_size - 7)
    with pytest.raises(TrainingError, match=f"{name}: no safetensors file"):
        load(saved)


def test_row_32_stage_names_the_model_and_makes_it_again(stages_here: None, tmp_path: Path) -> None:
    for name in "abcd":
        write(tmp_path / f"music/{name}.wav")

    def run(*stages: str, **sections: Any) -> Any:
        return process(tmp_path / "store", {"kind": "folder", "root": str(tmp_path / "music")}, *stages, **sections)

    [folder] = (run("run").store.root / "models").iterdir()
    before = (folder / "model.safetensors").read_bytes()
    flip(folder / "model.safetensors", -1)
    three = {"kind": "kmeans", "n_clusters": 3}
    with pytest.raises(TrainingError, match="changed since it was written") as told:
        run("evaluate", clusterer=three)
    assert str(folder) in str(told.value)
    assert told.value.hint.startswith("remove the folder")
    for path in (*folder.iterdir(), folder):
        path.rmdir() if path.is_dir() else path.unlink()
    assert run("train").run.done["train"] == 1
    assert (folder / "model.safetensors").read_bytes() == before
    assert run("evaluate", clusterer=three).run.done["evaluate"] == 1
