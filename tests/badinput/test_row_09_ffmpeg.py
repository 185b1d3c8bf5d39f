"""Row 9 of BAD_INPUTS: m4a and wma without the extra [ffmpeg] are rows that say so, and with it they are tracks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from configs import SMALL
from encoded import encode
from sounds import write
from typer.testing import CliRunner

from ray_pipeline import audio
from ray_pipeline.audio import BadAudio, ffmpeg
from ray_pipeline.cli.main import app
from ray_pipeline.schemas import Status
from ray_pipeline.stages.featurize import feature_table, featurize
from ray_pipeline.stages.ingest import ingest, read_tracks
from ray_pipeline.stages.plan import rows_of

pytest.importorskip("av", reason="PyAV is not installed, and without it these files cannot be made")

RATE = 22050
CODECS = {"a.m4a": "aac", "b.m4a": "alac", "c.wma": "wmav2"}
INSTALL = "pip install -e '.[ffmpeg]'"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Two seconds of noise, no two alike, in each of `CODECS`."""
    folder, rng = tmp_path_factory.mktemp("made"), np.random.default_rng(0)
    noise = {name: rng.normal(0, 0.1, 2 * RATE).astype(np.float32) for name in CODECS}
    return {name: encode(folder / name, noise[name], RATE, codec).read_bytes() for name, codec in CODECS.items()}


@pytest.fixture
def music(tmp_path: Path, made: dict[str, bytes]) -> Path:
    """The files of `CODECS`, and one that needs no extra."""
    write(tmp_path / "music/d.wav")
    for name, data in made.items():
        (tmp_path / "music" / name).write_bytes(data)
    return tmp_path / "music"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the extra."""
    monkeypatch.setattr(ffmpeg, "installed", lambda: False)


@pytest.fixture
def log() -> Iterator[None]:
    """Leaves the log as it was: a command sends it to a file of its store."""
    logger = logging.getLogger("ray_pipeline")
    before = list(logger.handlers)
    yield
    logger.handlers = before


def statuses(ctx: Any) -> str:
    """What ingest made of each file, by name."""
    return " ".join(row["status"] for row in sorted(read_tracks(ctx), key=lambda row: str(row["uri"])))


@pytest.mark.parametrize("name", CODECS)
def test_row_09_without_the_extra_is_unsupported(name: str, music: Path, bare: None) -> None:
    assert audio.probe(str(music / name)) == BadAudio(Status.UNSUPPORTED, ffmpeg.NEEDS_FFMPEG)


def test_row_09_hint_is_not_given_for_what_no_extra_reads(music: Path, bare: None) -> None:
    (music / "a.m4a").write_bytes(b"<html>")
    assert audio.probe(str(music / "a.m4a")) == BadAudio(Status.UNSUPPORTED, "not audio that can be decoded here")


def test_row_09_hint_is_given_once_in_the_summary(music: Path, bare: None, stages_here: None, log: None) -> None:
    config = music.with_name("job.yaml")
    source = {"kind": "folder", "root": str(music)}
    config.write_text(yaml.safe_dump({"store": str(music.with_name("store")), "source": source} | SMALL))
    for _ in range(2):
        said = CliRunner().invoke(app, ["ingest", str(config)])
        assert said.exit_code == 0, said.output
        assert said.output.count("[ffmpeg]") == 1
        assert (
            f"note: 3 of 4 tracks are m4a, wma and the like: {INSTALL} in the clone of ray_pipeline, then run this again"
            in said.output
        )


def test_row_09_extra_picks_them_up(
    music: Path, context: Any, stages_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = {"kind": "folder", "root": str(music)}
    monkeypatch.setattr(ffmpeg, "installed", lambda: False)
    for looked_at, decoded in ((4, 1), (0, 0)):
        ctx = context(source=source)
        assert (ingest(ctx), featurize(ctx)) == (looked_at, decoded)
        assert statuses(ctx) == "unsupported unsupported unsupported ok"
        assert ctx.run.statuses["features"] == {"ok": 1, "unsupported": 3}
        assert len(ctx.run.notes) == 1

    monkeypatch.setattr(ffmpeg, "installed", lambda: True)
    ctx = context(source=source)
    assert (ingest(ctx), featurize(ctx)) == (3, 3)
    assert statuses(ctx) == "ok ok ok ok"
    assert ctx.run.notes == []
    tracks = read_tracks(ctx)
    assert {row["codec"].split("/")[0] for row in tracks} == {"mov", "asf", "wav"}
    made = rows_of(feature_table(ctx, "mfcc"), tracks).to_pylist()
    assert [row["status"] for row in made] == ["ok"] * 4
    assert len({tuple(row["mfcc"]) for row in made}) == 4
