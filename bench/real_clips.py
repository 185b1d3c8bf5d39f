"""The real clips that benches listen to, and the windows of them that the `transcribe` stage would listen to."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ray_pipeline import audio
from ray_pipeline.audio import BadAudio
from ray_pipeline.config import Audio
from ray_pipeline.lyrics.base import SAMPLE_RATE, WINDOW_S, windows_of

TINY_EN = "models/whisper/tiny.en.pt"  # beside the data's folder


@dataclass(frozen=True)
class Clip:
    clip_id: str
    path: Path
    title: str
    language: str
    collection: str

    def windows(self, n_windows: int = 3) -> list[np.ndarray]:
        """float32 [n_samples] at 16,000 Hz each."""
        clips = audio.decode_windows(
            str(self.path), Audio(), lambda header: windows_of(header.duration_s, n_windows), WINDOW_S
        )
        found = [clip.at(SAMPLE_RATE) for clip in clips if not isinstance(clip, BadAudio)]
        if not found:
            raise OSError(f"{self.path}: {clips[0]}")
        return found


def read_clips(data: Path) -> list[Clip]:
    """All clips of `data`/clips/manifest.csv."""
    with (data / "clips/manifest.csv").open(newline="", encoding="utf-8") as file:
        return [
            Clip(row["clip_id"], data / "clips" / row["path"], row["title"], row["language"], row["collection"])
            for row in csv.DictReader(file)
        ]


def fma_clips(data: Path) -> list[Clip]:
    """The FMA clips of `data`; FMA says of all ten that their language is English, instrumentals among them."""
    return [Clip(path.stem, path, "", "en", "fma") for path in sorted((data / "fma/fma_small").glob("*/*.mp3"))]
