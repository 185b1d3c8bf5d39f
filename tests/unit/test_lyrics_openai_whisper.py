"""Real words with real weights, and everything that needs no words with random ones."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
import torch
from whisper.decoding import DecodingTask, SuppressTokens
from whisper.tokenizer import LANGUAGES, get_tokenizer
from whisper_checkpoints import contents, save

from ray_pipeline import audio
from ray_pipeline.config import Audio
from ray_pipeline.errors import ConfigError
from ray_pipeline.lyrics import openai_checkpoint
from ray_pipeline.lyrics.openai_whisper import OpenAIWhisper, Params
from ray_pipeline.lyrics.vocals import decide

QUIET = np.random.default_rng(0).normal(0, 0.01, 16_000).astype(np.float32)
LOUD = np.random.default_rng(1).normal(0, 0.3, 480_000).astype(np.float32)


@pytest.fixture(scope="module")
def whisper(whisper_tiny_en: Path) -> OpenAIWhisper:
    return OpenAIWhisper(Params(model=str(whisper_tiny_en)))


@pytest.fixture(scope="module")
def random_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Multilingual."""
    return save(tmp_path_factory.mktemp("weights") / "random.pt")


@pytest.fixture
def random(random_path: Path) -> OpenAIWhisper:
    return OpenAIWhisper(Params(model=str(random_path)))


def window(path: Path) -> np.ndarray:
    clip = audio.decode(str(path), Audio())
    assert not isinstance(clip, audio.BadAudio)
    return clip.at(16_000)


def test_a_song_gives_its_words(whisper: OpenAIWhisper, data_dir: Path) -> None:
    lyrics = decide(whisper.transcribe([window(data_dir / "clips/audio/000025.mp3")]))
    assert lyrics.has_vocals
    assert lyrics.language == "en"
    assert "giant metal Santa Claus" in lyrics.text


def test_what_is_heard_does_not_depend_on_the_company(whisper: OpenAIWhisper, data_dir: Path) -> None:
    song = window(data_dir / "clips/audio/000047.mp3")
    assert whisper.transcribe([song]) == whisper.transcribe([QUIET, song])[1:]


def test_what_is_heard_does_not_depend_on_the_number_of_threads(random: OpenAIWhisper) -> None:
    before = torch.get_num_threads()
    heard = random.transcribe([LOUD])
    torch.set_num_threads(2 if before == 1 else 1)
    try:
        assert random.transcribe([LOUD]) == heard
    finally:
        torch.set_num_threads(before)


def test_a_batch_has_one_shape_however_few_windows_there_are(random: OpenAIWhisper) -> None:
    random.batch = 3
    assert random._log_mels([LOUD]).shape == random._log_mels([QUIET] * 3).shape == (3, 80, 3000)


def test_windows_of_a_batch_are_heard_in_order(random: OpenAIWhisper) -> None:
    alone = [random.transcribe([one])[0] for one in (LOUD, QUIET)]
    random.batch = 3
    together = random.transcribe([LOUD, QUIET, LOUD, LOUD, QUIET])
    assert len(together) == 5
    for heard, kind in zip(together, (0, 1, 0, 0, 1), strict=True):
        assert heard.no_speech_prob == pytest.approx(alone[kind].no_speech_prob, rel=1e-3)


def test_the_floor_of_a_quiet_window_is_not_set_by_a_loud_one(random: OpenAIWhisper) -> None:
    random.batch = 2
    assert torch.equal(random._log_mels([LOUD, QUIET])[1], random._log_mels([QUIET])[0])


def test_half_precision_gives_finite_evidence(random: OpenAIWhisper, random_path: Path) -> None:
    """What a GPU does, on this CPU; and weights cast once are the weights that the library casts at every step."""
    random._half = True
    cast_each_time = random.transcribe([QUIET])
    random._model = openai_checkpoint.load(random_path, "cpu", half=True)
    assert random.transcribe([QUIET]) == cast_each_time
    assert np.isfinite(astuple(cast_each_time[0])[2:]).all()


def test_a_multilingual_model_finds_the_language_or_takes_it(random: OpenAIWhisper, random_path: Path) -> None:
    assert {heard.language for heard in random.transcribe([LOUD, QUIET])} <= set(LANGUAGES)
    german = OpenAIWhisper(Params(model=str(random_path), language="de"))
    assert german.transcribe([QUIET])[0].language == "de"


@pytest.mark.parametrize(("n_vocab", "language"), [(51_864, "de"), (51_865, "yue"), (51_866, "xx")])
def test_a_language_the_model_does_not_know_is_refused(tmp_path: Path, n_vocab: int, language: str) -> None:
    path = save(tmp_path / "model.pt", contents(n_vocab=n_vocab))
    with pytest.raises(ConfigError, match=rf"lyrics\.language: '{language}'"):
        OpenAIWhisper.check(Params(model=str(path), language=language))


def test_an_english_model_hears_english(tmp_path: Path) -> None:
    path = save(tmp_path / "model.pt", contents(n_vocab=51_864))
    assert OpenAIWhisper(Params(model=str(path))).transcribe([QUIET])[0].language == "en"


def test_only_control_tokens_are_suppressed(random: OpenAIWhisper) -> None:
    filters = DecodingTask(random._model, random._options()).logit_filters
    [suppress] = [one for one in filters if isinstance(one, SuppressTokens)]
    tokenizer = get_tokenizer(multilingual=True)
    assert min(suppress.suppress_tokens) > tokenizer.eot
    assert {tokenizer.sot, tokenizer.transcribe, tokenizer.translate, tokenizer.no_speech} <= set(
        suppress.suppress_tokens
    )


@pytest.mark.parametrize("shape", [(480_001,), (2, 16_000)])
def test_what_is_no_window_is_refused(random: OpenAIWhisper, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="480000 samples"):
        random.transcribe([np.zeros(shape, dtype=np.float32)])
