"""For a collection without words, or a run that does not want them: no model, no text."""

from __future__ import annotations

import numpy as np

from ray_pipeline.lyrics.base import Heard, LyricsParams


class Params(LyricsParams):
    """Nothing of its own."""


class NoLyrics:
    """Hears nothing in any window."""

    model_id = "none"
    batch = 1

    def __init__(self, params: Params, device: str = "cpu") -> None:
        pass

    @staticmethod
    def check(params: Params, *, fetch: bool = True) -> str:
        """The model id; there are no weights to look for."""
        return NoLyrics.model_id

    def transcribe(self, windows: list[np.ndarray]) -> list[Heard]:
        """One silent `Heard` a window."""
        return [Heard("", "", no_speech_prob=1.0, avg_logprob=0.0, compression_ratio=0.0) for _ in windows]
