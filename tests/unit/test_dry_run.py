"""A dry run tells of the work and of weights that are yet to be fetched; it writes and fetches nothing, and starts no Ray."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from whisper_checkpoints import save

from ray_pipeline import schemas
from ray_pipeline.errors import NotFetched, SourceError
from ray_pipeline.lyrics import openai_checkpoint, weights
from ray_pipeline.stages import room, session
from ray_pipeline.stages.dry_run import dry_run
from ray_pipeline.stages.ingest import files_table, tracks_table
from ray_pipeline.stages.transcribe import lyrics_recipe

SOURCE = {"kind": "folder", "root": ""}
TINY = {"backend": "openai-whisper", "model": "tiny"}
TEXT = {"model": "paraphrase-MiniLM-L3-v2"}
NO_TINY = "lyrics.model: the weights of 'tiny' are not on this machine: they are yet to be fetched from "
NO_TEXT = "text.model: the weights of 'sentence-transformers/paraphrase-MiniLM-L3-v2' are not on this machine: "


@pytest.fixture(autouse=True)
def nothing_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Empty caches that stay so, and a folder of one file; who reaches for the network fails the test."""
    constants = pytest.importorskip("huggingface_hub.constants")
    snapshot = weights._snapshot

    def local_only(repo_id: str, patterns: list[str], *, local: bool) -> Path:
        return snapshot(repo_id, patterns, local=True) if local else pytest.fail(f"fetched {repo_id}")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache/hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(weights, "_snapshot", local_only)
    monkeypatch.setattr(weights, "reachable", lambda url: pytest.fail(f"asked {url}"))
    monkeypatch.setattr(openai_checkpoint, "_download", lambda url, *_: pytest.fail(f"fetched {url}"))
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: pytest.fail(f"connected to {address}"))
    monkeypatch.setattr(room, "connected", lambda: False)
    monkeypatch.setattr(session, "connect", lambda ctx: pytest.fail("started Ray"))
    monkeypatch.setitem(SOURCE, "root", str(tmp_path / "music"))
    (tmp_path / "music").mkdir()
    (tmp_path / "music/a.wav").write_bytes(b"listed, and not opened")
    yield
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def ingested(ctx: Any) -> Any:
    """`ctx`, with two tracks in its store."""
    rows = [{"track_id": i, "content_hash": i, "uri": f"/{i}.wav", "status": "ok", "error": ""} for i in "ab"]
    table = tracks_table(ctx)
    table.create(schemas.TRACKS)
    table.append(pa.Table.from_pylist(rows, schema=schemas.TRACKS))
    return ctx


@pytest.mark.parametrize("command", ["run", "embed"])
def test_every_model_that_is_yet_to_be_fetched_is_told(context: Any, command: str) -> None:
    said = dry_run(context(command, source=SOURCE, lyrics=TINY, text=TEXT))
    found = [line for line in said if "weights" in line]
    assert len(found) == 2
    assert found[0].startswith(NO_TINY) and found[1].startswith(NO_TEXT)


def test_only_what_the_command_needs_is_looked_for(context: Any) -> None:
    said = dry_run(context("transcribe", source=SOURCE, lyrics=TINY, text=TEXT))
    assert [line.startswith(NO_TINY) for line in said if "weights" in line] == [True]
    assert not [line for line in dry_run(context("featurize", source=SOURCE, lyrics=TINY)) if "weights" in line]
    assert not [line for line in dry_run(context("run", source=SOURCE, text=TEXT)) if "weights" in line]


@pytest.mark.parametrize("command", ["run", "featurize", "train"])
def test_the_rest_is_told_without_them(context: Any, command: str) -> None:
    said = dry_run(ingested(context(command, source=SOURCE, lyrics=TINY, text=TEXT)))
    assert "feature mfcc: 2 tracks to do" in said
    assert [line for line in said if line.startswith(f"lyrics: not known: {NO_TINY}")]
    assert said[-1] == "models: 1 models to do, once their views are there"


def test_weights_that_are_here_are_used(context: Any, tmp_path: Path) -> None:
    here = {"backend": "openai-whisper", "model": str(save(tmp_path / "random.pt"))}
    said = dry_run(ingested(context("transcribe", source=SOURCE, lyrics=here)))
    assert "lyrics: 2 tracks to do" in said
    assert not [line for line in said if "weights" in line]


def test_a_repository_on_the_hub_is_not_fetched(context: Any) -> None:
    pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
    words = {"backend": "faster-whisper", "model": "base"}
    said = dry_run(context("transcribe", source=SOURCE, lyrics=words))
    assert [line for line in said if "the weights of 'Systran/faster-whisper-base' are not on this machine" in line]


def test_an_audit_is_told_without_them(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = ingested(context("audit", source=SOURCE, lyrics=TINY))
    monkeypatch.setattr("ray_pipeline.stages.dry_run.plan_of_audit", lyrics_recipe)
    assert dry_run(ctx)[-1].startswith(f"audit: not known: {NO_TINY}")


def test_only_a_dry_run_leaves_them(context: Any) -> None:
    ctx = context("transcribe", source=SOURCE, lyrics=TINY)
    with pytest.raises(pytest.fail.Exception, match=r"fetched .*tiny"):
        lyrics_recipe(ctx)
    (openai_checkpoint._cache() / "tiny.lock").unlink()
    ctx.dry = True
    with pytest.raises(NotFetched, match="yet to be fetched"):
        lyrics_recipe(ctx)


LATER = ["feature mfcc: 3 tracks to do", "lyrics: 3 tracks to do", "models: 1 models to do, once their views are there"]
FIRST = ["first: ray-pipeline ingest"]
TWO_OPENED = ["ingest: 2 files to do"]


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Three tracks, of which an empty one need not be opened, and what is none."""
    music = tmp_path / "music"
    (music / "deep").mkdir()
    (music / "deep/b.mp3").write_bytes(b"also listed")
    (music / "empty.wav").touch()
    (music / "notes.txt").write_text("no music")
    return music


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("run", [*TWO_OPENED, *LATER]),
        ("ingest", TWO_OPENED),
        ("featurize", [*FIRST, *TWO_OPENED, *LATER]),
        ("audit", [*FIRST, *TWO_OPENED]),
    ],
)
def test_before_ingest_the_source_is_listed(context: Any, music: Path, command: str, told: list[str]) -> None:
    ctx = context(command, source=SOURCE, lyrics=TINY)
    said = dry_run(ctx)
    at = said.index(f"{ctx.store.root}: nothing is ingested yet; the source names 3 tracks, all of them to do")
    assert said[at + 1 :] == told
    assert not Path(ctx.store.root).exists()


def test_a_file_that_was_opened_for_another_source_is_not_opened_again(context: Any, music: Path) -> None:
    ctx = context("ingest", source=SOURCE)
    seen = (music / "a.wav").stat()
    row = {"uri": str(music / "a.wav"), "content_hash": "c", "status": "ok", "error": ""}
    row |= {"size": seen.st_size, "mtime_ns": seen.st_mtime_ns}
    table = files_table(ctx)
    table.create(schemas.FILES)
    table.append(pa.Table.from_pylist([row], schema=schemas.FILES))
    assert dry_run(ctx)[-1] == "ingest: 1 files to do"


@pytest.mark.parametrize(("more", "n"), [({}, 24), ({"limit": 5}, 5), ({"limit": 9, "sample": 7}, 7)])
def test_made_up_music_is_counted_and_not_made(context: Any, more: dict[str, int], n: int) -> None:
    ctx = context("run", source={"kind": "synthetic", "n_tracks": 24} | more)
    said = dry_run(ctx)
    assert f"{ctx.store.root}: nothing is ingested yet; the source names {n} tracks, all of them to do" in said
    assert f"ingest: {n} files to do" in said
    assert not Path(ctx.store.root).exists()


def test_a_source_that_is_not_there_is_told_as_ingest_would(context: Any, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere is not a folder"):
        dry_run(context("run", source={"kind": "folder", "root": str(tmp_path / "nowhere")}))
