"""The transcribe stage with OpenAI's Whisper on real clips."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outcome import rows

from ray_pipeline import audio
from ray_pipeline.config import Audio
from ray_pipeline.lyrics.openai_whisper import OpenAIWhisper, Params
from ray_pipeline.lyrics.vocals import decide
from ray_pipeline.stages.ingest import ingest
from ray_pipeline.stages.transcribe import transcribe

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
