"""What every transcriber takes and gives: 30 s windows in, what was heard in each out."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from pydantic import ConfigDict, Field, model_validator

from ray_pipeline.sections import Weights
from ray_pipeline.shelf import Params

SAMPLE_RATE = 16_000
WINDOW_S = 30.0
# Clips cut to 30 s are often some milliseconds longer; a second window for those would hear everything twice.
SLACK_S = 1.0

# Whisper's own limit. Its loops ("I'm going to go. I'm going to go. …") compress 5 to 15 fold, sung verses 1.2 to 2.
LOOP_RATIO = 2.4


class LyricsParams(Params):
    """Settings all transcribers share. In a config the part's name stands under `backend`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    kind: str = Field(default="", alias="backend")
    model: Weights = Field(
        default="base", min_length=1, description="a Whisper size, or the weights' path, also on s3://"
    )
    language: str = Field(default="auto", pattern=r"^(auto|[a-z]{2,3})$", description="auto, or a code as en, de, yue")
    windows: int = Field(default=3, ge=1, description="30 s windows spread over a track that is longer than that")

    @model_validator(mode="after")
    def _english_only(self) -> LyricsParams:
        if self.model.endswith(".en") and self.language not in ("auto", "en"):
            raise ValueError(
                f"model '{self.model}' knows English only, but language is '{self.language}'; "
                f"use model: {self.model.removesuffix('.en')}, or language: en"
            )
        return self


@dataclass(frozen=True)
class Heard:
    """One window as a transcriber heard it: nothing judged, nothing removed."""

    text: str
    language: str
    no_speech_prob: float
    """Probability of the no-speech token at the first step, 0 to 1."""
    avg_logprob: float
    """Mean log-probability of a token, nats; 0 is certain."""
    compression_ratio: float
    """Bytes of the text over its zlib-compressed bytes; 0 for no text."""


@dataclass(frozen=True)
class Lyrics:
    """A track's words, and the evidence for there being any. Without vocals `text` and `language` are ""."""

    text: str
    language: str
    has_vocals: bool
    no_speech_prob: float
    avg_logprob: float
    compression_ratio: float
    reason: str


class Transcriber(Protocol):
    model_id: str
    batch: int
    """Windows it takes at once; more than 1 where it gains from windows of several tracks in one call."""

    def transcribe(self, windows: list[np.ndarray]) -> list[Heard]:
        """What is heard in each window: float32 [n_samples] at 16,000 Hz, mono, at most 30 s.

        Raises
        ------
        MemoryError
            One window alone does not fit the device's memory.
        """
        ...


def compression_ratio(text: str) -> float:
    """How many times zlib shortens `text`: Whisper's measure of a decoder caught in a loop."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def windows_of(duration_s: float, n_windows: int, window_s: float = WINDOW_S) -> list[float]:
    """Where to listen in a track of `duration_s` seconds: the windows' starts, in seconds, ascending.

    A track is cut in as many equal parts as there are windows, and each window lies in the middle of its part. No more
    windows are taken than it needs to hear all of the track but for `SLACK_S`; only when it hears all of it do windows
    overlap.
    """
    if duration_s <= window_s + SLACK_S:
        return [0.0]
    needed = int(np.ceil((duration_s - SLACK_S) / window_s))
    count = min(n_windows, needed)
    if count == needed:
        return [float(start) for start in np.linspace(0.0, duration_s - window_s, count)]
    part = duration_s / count
    return [(index + 0.5) * part - window_s / 2 for index in range(count)]
