"""Whether a track is sung: Whisper writes something over any music, and this decides what of it to believe.

The transcriber is left free to write what its training heard as captions, "(upbeat music)" or "♪": over music without
words that is nearly always all it writes, while forbidding it, as Whisper does by default, makes it invent sentences.
Then come Whisper's own limits for loops and for silence, and a floor under its confidence. The no-speech probability by
itself will not do: it calls under half of all instrumentals silent, and some songs too.
"""

from __future__ import annotations

import re
from collections import Counter
from statistics import fmean

from ray_pipeline.lyrics.base import LOOP_RATIO, Heard, Lyrics

# Whisper's own pair: silence is claimed, and the words are not sure enough to deny it.
NO_SPEECH_PROB = 0.6
UNSURE_LOGPROB = -1.0

# Growled or shouted verses reach down to -1.4; made-up sentences over music mostly lie below -1.5.
FLOOR_LOGPROB = -1.5

# "So, let's go.", "I'm so sorry.": what is invented over music is short. No song here gave fewer than 8 distinct words.
MIN_DISTINCT_WORDS = 5

_CAPTION = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\*[^*]*\*|[♩♪♫♬()\[\]*]")
_SENTENCE_END = re.compile(r"[.!?。！？\n]+")
# Scripts written without spaces count by the character, or a Japanese verse would be one word.
_WORD = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]|[^\W_]+(?:['’][^\W_]+)*")

# What Whisper learned from the ends of videos, and what it writes over music when captions are forbidden.
_FILLER = frozenset(
    {
        "bye",
        "i'll see you in the next video",
        "i'll see you next time",
        "i'm going to go back to the next one",
        "i'm going to go to the next one",
        "i'm not sure if i'm going to do it",
        "like and subscribe",
        "music",
        "music playing",
        "oh",
        "please subscribe to my channel",
        "so",
        "so let's go",
        "subtitles by the amara org community",
        "thank you",
        "thank you for listening",
        "thank you for watching",
        "thank you so much for watching",
        "thanks for listening",
        "thanks for watching",
        "the end",
        "upbeat music",
        "you",
    }
)


def decide(heard: list[Heard]) -> Lyrics:
    """Merge a track's windows: the words of those to be believed, in order.

    `reason` is "ok", or why the wordiest window was not believed: "no speech", "filler", "repetition", "low confidence"
    or "few words". The numbers are means over the windows kept, or over all where none was.

    Raises
    ------
    ValueError
        No windows at all.
    """
    if not heard:
        raise ValueError("a track without a window cannot be decided on; give at least one")
    reasons = [_doubt(window) for window in heard]
    kept = [window for window, reason in zip(heard, reasons, strict=True) if reason == "ok"]
    wordiest = max(range(len(heard)), key=lambda index: len(_words(without_captions(heard[index].text))))
    return Lyrics(
        text=" ".join(without_captions(window.text) for window in kept),
        language=_language(kept),
        has_vocals=bool(kept),
        no_speech_prob=fmean(window.no_speech_prob for window in kept or heard),
        avg_logprob=fmean(window.avg_logprob for window in kept or heard),
        compression_ratio=fmean(window.compression_ratio for window in kept or heard),
        reason="ok" if kept else reasons[wordiest],
    )


def without_captions(text: str) -> str:
    """`text` without "(upbeat music)", "[Applause]", "*sighs*" and "♪", on one line."""
    return " ".join(_CAPTION.sub(" ", text).split())


def _doubt(window: Heard) -> str:
    """Why not to believe a window, or "ok"; the surest evidence first."""
    text = without_captions(window.text)
    words = _words(text)
    if not words:
        return "filler" if window.text.strip() else "no speech"
    if all(" ".join(_words(sentence)) in _FILLER for sentence in _SENTENCE_END.split(text) if _words(sentence)):
        return "filler"
    if window.compression_ratio > LOOP_RATIO:
        return "repetition"
    if window.no_speech_prob > NO_SPEECH_PROB and window.avg_logprob < UNSURE_LOGPROB:
        return "no speech"
    if window.avg_logprob < FLOOR_LOGPROB:
        return "low confidence"
    if len(set(words)) < MIN_DISTINCT_WORDS:
        return "few words"
    return "ok"


def _words(text: str) -> list[str]:
    return [word.replace("’", "'") for word in _WORD.findall(text.lower())]


def _language(windows: list[Heard]) -> str:
    """The language most words are in; the first heard wins a draw."""
    counts: Counter[str] = Counter()
    for window in windows:
        counts[window.language] += len(_words(window.text))
    return counts.most_common(1)[0][0] if counts else ""
