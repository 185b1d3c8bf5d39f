"""The transcribe stage with OpenAI's Whisper on real clips; and with windows of many tracks in one call, as on a GPU."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outcome import rows
from sounds import tone, write

from ray_pipeline import audio, schemas
from ray_pipeline.config import Audio
from ray_pipeline.lyrics.base import Heard, LyricsParams
from ray_pipeline.lyrics.openai_whisper import OpenAIWhisper, Params
from ray_pipeline.lyrics.vocals import decide
from ray_pipeline.stages.blocks import Job, run_job
from ray_pipeline.stages.featurize import to_decode
from ray_pipeline.stages.ingest import ingest, read_tracks
from ray_pipeline.stages.transcribe import HearLyrics, transcribe

pytestmark = pytest.mark.ray

SONGS = {"000022", "000025"}
WORDLESS = {"000038", "000043", "000047", "000091"}


def test_six_real_clips(
    ray_session: Any, context: Callable[..., Any], data_dir: Path, whisper_tiny_en: Path, tmp_path: Path
) -> None:
    (tmp_path / "music").mkdir()
    for name in SONGS | WORDLESS:
        shutil.copy(data_dir / f"clips/audio/{name}.mp3", tmp_path / "music")
    lyrics = {"backend": "openai-whisper", "model": str(whisper_tiny_en)}
    limits = {"num_cpus": 2, "workers": 1}
    ctx = context(source={"kind": "folder", "root": str(tmp_path / "music")}, lyrics=lyrics, resources=limits)
    ingest(ctx)
    assert transcribe(ctx) == 6
    by_id = {row["track_id"]: Path(row["uri"]).stem for row in rows(ctx, "tracks")}
    found = {by_id[row["track_id"]]: row for row in rows(ctx, "lyrics")}
    assert {row["status"] for row in found.values()} == {"ok"}
    assert {name for name, row in found.items() if row["has_vocals"]} == SONGS
    assert {name: row["language"] for name, row in found.items()} == dict.fromkeys(SONGS, "en") | dict.fromkeys(
        WORDLESS, ""
    )
    assert {found[name]["reason"] for name in WORDLESS} == {"filler"}
    assert transcribe(ctx) == 0

    here = OpenAIWhisper(Params(model=str(whisper_tiny_en)))
    clip = audio.decode(str(data_dir / "clips/audio/000025.mp3"), Audio())
    assert not isinstance(clip, audio.BadAudio)
    alone = decide(here.transcribe([clip.at(16_000)]))
    assert (found["000025"]["text"], found["000025"]["model"]) == (alone.text, here.model_id)
    assert found["000025"]["avg_logprob"] == np.float32(alone.avg_logprob)


class Ear:
    """Takes many windows in one call, which never returns if one is of 3 s."""

    model_id = "ear"
    batch = 16

    def transcribe(self, windows: list[np.ndarray]) -> list[Heard]:
        while any(len(window) == 3 * 16_000 for window in windows):
            time.sleep(1)
        return [Heard(f"{len(window)} words are heard in this one", "en", 0.1, -0.3, 1.2) for window in windows]


class HearWithEar(HearLyrics):
    def load(self) -> None:
        self._transcriber = Ear()


def test_a_hang_amid_many_tracks_is_put_down_to_none_and_then_found_out(
    ray_session: Any, context: Callable[..., Any], tmp_path: Path
) -> None:
    ray_session.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    for name, seconds in {"a": 2.0, "b": 3.0, "c": 4.0}.items():
        write(tmp_path / f"music/{name}.wav", tone(seconds, rate=16_000), rate=16_000)
    limits = {"num_cpus": 2, "track_timeout_s": 3}
    ctx = context(source={"kind": "folder", "root": str(tmp_path / "music")}, resources=limits)
    ingest(ctx)
    tracks = read_tracks(ctx)
    table = ctx.table("lyrics", "ear")
    table.create(schemas.LYRICS)
    job = Job("transcribe", HearWithEar(LyricsParams(), Audio(), "cpu", "ear"), [table], block_size=3)
    run_job(job, [to_decode(track) for track in tracks], ctx)
    names = {track["track_id"]: Path(track["uri"]).stem for track in tracks}
    became = {names[row["track_id"]]: row["status"] for row in table.read().to_pylist()}
    assert became == {"a": "ok", "b": "timeout", "c": "ok"}
