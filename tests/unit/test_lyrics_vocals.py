"""What is believed of what Whisper writes over music."""

from __future__ import annotations

import pytest

from ray_pipeline.lyrics.base import Heard, compression_ratio
from ray_pipeline.lyrics.vocals import decide, without_captions

VERSE = "On every corner there's a giant metal Santa Claus who watches over us"


def heard(text: str, no_speech: float = 0.1, logprob: float = -0.4, language: str = "en") -> Heard:
    return Heard(text, language, no_speech, logprob, compression_ratio(text))


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        (heard(VERSE), "ok"),
        (heard(f"♪ {VERSE} ♪"), "ok"),
        (heard(VERSE, no_speech=0.7, logprob=-0.9), "ok"),
        (heard(VERSE, no_speech=0.1, logprob=-1.4), "ok"),
        (heard("雪が降る町を歩いている"), "ok"),
        (heard(""), "no speech"),
        (heard(VERSE, no_speech=0.9, logprob=-1.2), "no speech"),
        (heard("(upbeat music)"), "filler"),
        (heard("[Music] [Music]"), "filler"),
        (heard("♪ ♪"), "filler"),
        (heard("("), "filler"),
        (heard("Thank you."), "filler"),
        (heard("Thank you. Thanks for watching!"), "filler"),
        (heard("I'm going to go back to the next one."), "filler"),
        (heard("I’m going to go back to the next one."), "filler"),
        (heard("We'll go on and on and never stop. " * 12), "repetition"),
        (heard(VERSE, logprob=-1.7), "low confidence"),
        (heard("Girl, girl, my girl"), "few words"),
        (heard("word, word, word, word, word"), "few words"),
    ],
)
def test_one_window(window: Heard, reason: str) -> None:
    lyrics = decide([window])
    assert lyrics.reason == reason
    assert lyrics.has_vocals == (reason == "ok")
    assert bool(lyrics.text) == lyrics.has_vocals


def test_only_windows_to_be_believed_give_words_and_numbers() -> None:
    lyrics = decide([heard("(music)", no_speech=0.9), heard(VERSE, no_speech=0.2), heard("Oh my love, " * 30)])
    assert lyrics.text == VERSE
    assert lyrics.no_speech_prob == pytest.approx(0.2)
    assert lyrics.language == "en"


def test_windows_are_joined_in_order() -> None:
    first, second = "one two three four five", "six seven eight nine ten"
    assert decide([heard(first), heard(second)]).text == f"{first} {second}"


def test_the_wordiest_window_says_why_not() -> None:
    assert decide([heard("(music)"), heard("Oh my love, " * 30), heard("Thank you.")]).reason == "repetition"


def test_language_is_the_one_most_words_are_in() -> None:
    german = heard("Am Brunnen vor dem Tore da steht ein Lindenbaum ich träumt", language="de")
    english = heard("one two three four five", language="en")
    assert decide([english, german]).language == "de"


def test_no_window_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        decide([])


def test_captions_are_taken_out_of_a_verse() -> None:
    assert without_captions("(Music) I think ♪ after [laughs] *sighs*\n squirrel") == "I think after squirrel"
