"""Row 32 of BAD_INPUTS: a Whisper checkpoint that was tampered with is refused with the reason, and nothing is executed."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bomb import Bomb
from sounds import write
from whisper_checkpoints import contents, save

from ray_pipeline.errors import WeightsError
from ray_pipeline.lyrics import openai_checkpoint
from ray_pipeline.lyrics.openai_whisper import OpenAIWhisper, Params
from ray_pipeline.stages import pipeline


@pytest.mark.parametrize("form", ["alone", "in a checkpoint", "as the zip's pickle"])
def test_row_32_pickle_bomb_does_not_go_off(tmp_path: Path, form: str) -> None:
    path, bomb = tmp_path / "bomb.pt", Bomb(tmp_path / "it-ran")
    if form == "alone":
        path.write_bytes(pickle.dumps(bomb))
    elif form == "in a checkpoint":
        save(path, contents() | {"extra": bomb})
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("bomb/data.pkl", pickle.dumps(bomb))
            archive.writestr("bomb/version", "3\n")
    with pytest.raises(WeightsError, match="refused") as raised:
        OpenAIWhisper.check(Params(model=str(path)))
    assert "weights_only=False" not in str(raised.value)
    bomb.assert_it_did_not_go_off()


NOISE = np.random.default_rng(0).bytes(5000)


@pytest.mark.parametrize(
    "data", [b"", b"<html>not found</html>", NOISE, b"PK\x03\x04" + NOISE], ids=["empty", "html", "noise", "zip"]
)
def test_row_32_no_checkpoint(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="refused"):
        openai_checkpoint.read(path)


def test_row_32_checkpoint_cut_short(tmp_path: Path) -> None:
    path = save(tmp_path / "model.pt")
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(WeightsError, match="refused"):
        openai_checkpoint.read(path)


def _without(key: str, found: dict[str, Any]) -> Any:
    return {name: value for name, value in found.items() if name != key}


def _with_dims(found: dict[str, Any], **dims: Any) -> Any:
    return found | {"dims": found["dims"] | dims}


def _with_weight(name: str, tensor: Any, found: dict[str, Any]) -> Any:
    return found | {"model_state_dict": found["model_state_dict"] | {name: tensor}}


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (lambda found: torch.zeros(3), "holds a Tensor"),
        (partial(_without, "dims"), "lacks parts"),
        (partial(_without, "model_state_dict"), "lacks parts"),
        (partial(_with_dims, n_vocab=10**12), "its dims say n_vocab = 1000000000000, its weights 51865"),
        (partial(_with_dims, n_text_layer=7), "its dims say n_text_layer = 7"),
        (partial(_with_dims, n_text_head=5), "5 attention heads"),
        (partial(_with_dims, n_text_head=0), "0 attention heads"),
        (partial(_with_dims, n_mels="80"), "not whole numbers"),
        (partial(_with_dims, depth=3), "dims are not a Whisper's"),
        (partial(_with_weight, "decoder.positional_embedding", torch.zeros(64)), "lacks parts"),
        (partial(_with_weight, "more", torch.zeros(1).expand(10**6, 10**6)), "more than the file has"),
    ],
)
def test_row_32_no_whisper(tmp_path: Path, tamper: Callable[[Any], Any], reason: str) -> None:
    path = save(tmp_path / "model.pt", tamper(contents()))
    with pytest.raises(WeightsError, match=reason):
        openai_checkpoint.read(path)


def test_row_32_dimensions_that_no_whisper_has(tmp_path: Path) -> None:
    path = save(tmp_path / "model.pt", contents(n_mels=40))
    with pytest.raises(WeightsError, match="no Whisper has"):
        openai_checkpoint.read(path)


@pytest.mark.parametrize(
    ("name", "tensor", "reason"),
    [
        ("decoder.ln.weight", torch.full((32,), torch.nan), "NaN"),
        ("decoder.ln.weight", torch.zeros(31), "refused"),
        ("decoder.extra", torch.zeros(1), "refused"),
    ],
)
def test_row_32_weights_that_do_not_fit(tmp_path: Path, name: str, tensor: Any, reason: str) -> None:
    path = save(tmp_path / "model.pt", _with_weight(name, tensor, contents()))
    with pytest.raises(WeightsError, match=reason):
        openai_checkpoint.load(path, "cpu", half=False)


def test_row_32_told_before_a_track_is_opened(tmp_path: Path, context: Any) -> None:
    write(tmp_path / "music/a.wav")
    bomb = Bomb(tmp_path / "it-ran")
    checkpoint = save(tmp_path / "model.pt", contents() | {"extra": bomb})
    lyrics = {"backend": "openai-whisper", "model": str(checkpoint)}
    ctx = context("run", source={"kind": "folder", "root": str(tmp_path / "music")}, lyrics=lyrics)
    with pytest.raises(WeightsError, match=r"model\.pt: refused as a Whisper checkpoint") as told:
        pipeline.run(ctx, "run")
    assert told.value.exit_code == 2
    assert ctx.store.datasets() == []
    bomb.assert_it_did_not_go_off()
