"""A transcriber that hears nothing: it says what a Whisper is known to say of such a track, which it knows by its length."""

from __future__ import annotations

import numpy as np

from ray_pipeline.lyrics.base import SAMPLE_RATE, Heard, LyricsParams, compression_ratio

ENGLISH = "On every corner there's a giant metal Santa Claus who watches over us"
GERMAN = "Am Brunnen vor dem Tore da steht ein Lindenbaum ich träumt in seinem Schatten so manchen süßen Traum"
JAPANESE = "雪が降る町を歩いている君の声が聞こえた"
LOOP = "I'm going to go to the next one and the next one. " * 12


def said(text: str, language: str = "en", no_speech: float = 0.1, logprob: float = -0.4) -> Heard:
    return Heard(text, language, no_speech, logprob, compression_ratio(text))


# Whole seconds of a track -> what is said of it, as Whisper's sizes say it of instrumentals, noise, songs, and in a loop.
SAYS = {
    2: said("(upbeat music)", no_speech=0.6),
    3: said("", no_speech=0.9, logprob=-1.5),
    4: said(LOOP, logprob=-0.2),
    5: said(ENGLISH),
    6: said(GERMAN, "de"),
    7: said(JAPANESE, "ja"),
}
SUNG = {5: (ENGLISH, "en"), 6: (GERMAN, "de"), 7: (JAPANESE, "ja")}


class Params(LyricsParams):
    """Nothing of its own."""


class PretendWhisper:
    """A `Transcriber`."""

    model_id = "pretend-whisper"
    batch = 1

    def __init__(self, params: Params, device: str = "cpu") -> None:
        pass

    @staticmethod
    def check(params: Params, *, fetch: bool = True) -> str:
        return PretendWhisper.model_id

    def transcribe(self, windows: list[np.ndarray]) -> list[Heard]:
        return [SAYS[round(len(window) / SAMPLE_RATE)] for window in windows]
