"""Row 26 of BAD_INPUTS: a GPU that was asked for and is not there is told before anything is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from configs import SMALL
from sounds import write
from typer.testing import CliRunner
from whisper_checkpoints import save

from ray_pipeline.cli.main import app
from ray_pipeline.errors import ResourceError
from ray_pipeline.lyrics.openai_whisper import OpenAIWhisper
from ray_pipeline.lyrics.openai_whisper import Params as OpenAIParams
from ray_pipeline.stages import pipeline, room, session
from ray_pipeline.stages.dry_run import dry_run


def gpus(monkeypatch: pytest.MonkeyPatch, here: int = 0, on_ray: int = 0) -> None:
    """What this machine and a Ray are to show, whatever they have."""
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: here)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: here > 0)
    resources = {"CPU": 2.0, "GPU": float(on_ray)}
    monkeypatch.setattr(session, "nodes", lambda ctx: [{"NodeManagerAddress": "pretend", "Resources": resources}])
    monkeypatch.setattr(room, "growth", lambda ctx: [])


@pytest.fixture
def source(tmp_path: Path) -> dict[str, Any]:
    write(tmp_path / "music/a.wav")
    return {"kind": "folder", "root": str(tmp_path / "music")}


def training(num_workers: int, use_gpu: bool | str = True) -> dict[str, Any]:
    return {"epochs": 2, "num_workers": num_workers, "use_gpu": use_gpu}


@pytest.mark.parametrize("command", ["run", "train"])
@pytest.mark.parametrize("num_workers", [0, 1])
def test_row_26_told_before_a_file_is_opened(
    command: str, num_workers: int, source: dict[str, Any], context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(monkeypatch)
    ctx = context(command, source=source, training=training(num_workers))
    with pytest.raises(ResourceError, match=r"training\.use_gpu is true, and this \w+ has no GPU") as told:
        pipeline.run(ctx, command)
    assert (told.value.exit_code, told.value.hint) == (2, "set training.use_gpu: auto")
    assert ctx.store.datasets() == []


@pytest.mark.parametrize("num_workers", [0, 1])
def test_row_26_told_by_a_dry_run(
    num_workers: int, source: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(monkeypatch)
    store = tmp_path / "store"
    settings = {"store": str(store), "source": source} | SMALL | {"training": training(num_workers)}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(settings))
    said = CliRunner().invoke(app, ["run", str(tmp_path / "job.yaml"), "--dry-run"])
    assert said.exit_code == 2
    assert "has no GPU" in said.output
    assert not store.exists()


@pytest.mark.ray
def test_row_26_told_of_a_ray_that_is_there(ray_session: Any, source: dict[str, Any], context: Any) -> None:
    if ray_session.cluster_resources().get("GPU"):
        pytest.skip("this machine has a GPU")
    ctx = context("run", source=source, training=training(1))
    with pytest.raises(ResourceError, match="this Ray has no GPU"):
        pipeline.run(ctx, "run")
    assert ctx.store.datasets() == []


def test_row_26_fewer_than_there_are_workers_is_told(
    source: dict[str, Any], context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(monkeypatch, here=1, on_ray=1)
    ctx = context("run", source=source, training=training(2))
    with pytest.raises(ResourceError, match=r"num_workers 2, and this \w+ has GPUs for 1"):
        pipeline.run(ctx, "run")
    assert ctx.store.datasets() == []


@pytest.mark.parametrize(("here", "on_ray", "address"), [(1, 0, None), (0, 1, "pretend:1")], ids=["here", "cluster"])
def test_row_26_one_that_is_there_is_not_told(
    here: int,
    on_ray: int,
    address: str | None,
    source: dict[str, Any],
    context: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A driver without a GPU may well send its training to a cluster that has one."""
    gpus(monkeypatch, here, on_ray)
    monkeypatch.setattr(room, "connected", lambda: False)
    ctx = context("run", source=source, training=training(1))
    ctx.address = address
    room.check_room(ctx, "run")


@pytest.mark.parametrize("use_gpu", [False, "auto"])
def test_row_26_not_asked_for_is_not_looked_for(
    use_gpu: bool | str, source: dict[str, Any], context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: pytest.fail("looked"))
    ctx = context("run", source=source, training=training(1, use_gpu))
    assert any("nothing is ingested yet" in line for line in dry_run(ctx))


def test_row_26_openai_whisper_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch)
    with pytest.raises(ResourceError, match="no GPU"):
        OpenAIWhisper(OpenAIParams(model=str(save(tmp_path / "random.pt"))), device="cuda")


def test_row_26_faster_whisper_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    ctranslate2 = pytest.importorskip("ctranslate2", reason="faster-whisper is not installed")
    from ray_pipeline.lyrics.faster_whisper import FasterWhisper, Params

    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 0)
    with pytest.raises(ResourceError, match="no GPU"):
        FasterWhisper(Params(model="tiny.en"), device="cuda")


def test_row_26_sentence_bert_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray_pipeline.lyrics.sbert import SentenceEmbedder

    gpus(monkeypatch)
    with pytest.raises(ResourceError, match="no GPU"):
        SentenceEmbedder("all-MiniLM-L6-v2", device="cuda")
