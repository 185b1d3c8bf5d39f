"""Two who write one model on S3, after a lease was taken over: the first card stands, and what it names is untouched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from ray_pipeline.errors import StoreError, TrainingError
from ray_pipeline.model_files import read_json, read_tensors, write_folder
from ray_pipeline.store import Folder, folder_at

PARTS = ("model", "fusion")


@pytest.fixture
def place(bucket: str) -> Folder:
    return folder_at(f"{bucket}/store/models/m")


def write(place: Folder, value: float, fusion: float | None = None) -> None:
    """A model whose numbers are all `value`, and those of its fusion `fusion`."""
    values = {"model": value, "fusion": value if fusion is None else fusion}
    tensors = {part: {"x": np.full(3, values[part], np.float32)} for part in PARTS}
    write_folder(place, tensors, "card", {"by": value})


def read(place: Folder) -> tuple[float, ...]:
    """The values of model and fusion, and what the card says."""
    card = read_json(place, "card.json")
    arrays = [read_tensors(place, f"{part}.safetensors", card)["x"] for part in PARTS]
    return (*(float(array[0]) for array in arrays), card["by"])


def meanwhile(gate: Any, at: str, do: Callable[[], None]) -> None:
    """Do it once, when a file that begins with `at` is about to be put."""
    left = [do]

    def where(method: str, path: str) -> bool:
        if method == "PUT" and path.rpartition("/")[2].startswith(at) and left:
            left.pop()()
        return False

    gate.where = where


@pytest.mark.parametrize("at", ["model", "fusion", "card"])
@pytest.mark.parametrize("fusion", [2.0, 7.0], ids=["all differs", "the same fusion"])
def test_the_loser_leaves_the_winners_model_whole(place: Folder, gate: Any, at: str, fusion: float) -> None:
    """Whatever of the loser's was there before the winner began."""
    meanwhile(gate, at, lambda: write(place, 1.0, fusion))
    with pytest.raises(StoreError, match=r"card\.json: another job wrote it meanwhile"):
        write(place, 2.0, 7.0)
    assert read(place) == (1.0, fusion, 1.0)


def test_a_model_that_is_written_again_replaces_the_former(place: Folder) -> None:
    write(place, 1.0)
    write(place, 2.0)
    assert read(place) == (2.0, 2.0, 2.0)
    assert len(place.names()) == 3


def test_what_a_killed_writer_left_stops_nobody_and_goes(place: Folder, gate: Any) -> None:
    gate.where, gate.fail = (lambda method, path: method == "PUT" and path.endswith("card.json")), 99
    with pytest.raises(StoreError):
        write(place, 1.0)
    gate.open()
    write(place, 2.0)
    assert read(place) == (2.0, 2.0, 2.0)
    assert len(place.names()) == 3


def test_models_of_earlier_versions_are_read(place: Folder) -> None:
    files = {f"{part}.safetensors": save({"x": np.full(3, 5.0, np.float32)}) for part in PARTS}
    card = {"by": 5.0, "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}}
    place.write_all({**files, "card.json": json.dumps(card).encode()}, last="card.json")
    assert read(place) == (5.0, 5.0, 5.0)


def test_in_a_folder_names_are_as_ever(tmp_path: Path) -> None:
    write(folder_at(tmp_path / "m"), 1.0)
    assert folder_at(tmp_path / "m").names() == ["card.json", "fusion.safetensors", "model.safetensors"]
    assert read(folder_at(tmp_path / "m")) == (1.0, 1.0, 1.0)


def test_a_weight_that_changed_is_refused_by_its_name(place: Folder) -> None:
    write(place, 1.0)
    name = next(name for name in place.names() if name.startswith("model-"))
    place.write(name, save({"x": np.zeros(3, np.float32)}))
    with pytest.raises(TrainingError, match=rf"{name}: changed since it was written"):
        read(place)


@pytest.mark.parametrize("name", ["model-/../../x.safetensors", "model-0.safetensors", "modelx.safetensors"])
def test_a_card_leads_to_no_other_file(place: Folder, name: str) -> None:
    write(place, 1.0)
    place.write("card.json", json.dumps({"by": 1.0, "sha256": {name: "0"}}).encode())
    with pytest.raises(TrainingError, match=r"m/model\.safetensors: no safetensors file"):
        read(place)
