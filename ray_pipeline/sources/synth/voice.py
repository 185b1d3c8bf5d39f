"""Sung lines: the stems and words kept in `vocals/`, tuned to a track's key.

The stems are espeak-ng's voice (see `make_vocals.py`), one OGG a line and speaker; `lines.json` holds what they say.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

VOCALS = Path(__file__).parent / "vocals"
LOWEST_HZ, HIGHEST_HZ = 50.0, 320.0  # where a speaker's pitch is looked for


@dataclass(frozen=True)
class Speaker:
    """An espeak-ng voice: speed in words a minute, pitch 0–99, range of the intonation in per cent."""

    voice: str
    speed: int
    pitch: int
    range: int


@dataclass(frozen=True)
class Theme:
    """What a style's songs are about: its lines, each said by every speaker."""

    name: str
    speakers: tuple[Speaker, ...]
    lines: tuple[str, ...]


@lru_cache(maxsize=1)
def themes() -> dict[str, Theme]:
    """Every theme by name."""
    kept = json.loads((VOCALS / "lines.json").read_text(encoding="utf-8"))
    return {
        name: Theme(name, tuple(Speaker(**speaker) for speaker in theme["speakers"]), tuple(theme["lines"]))
        for name, theme in kept.items()
    }


def stem_path(theme: str, speaker: int, line: int) -> Path:
    """Where the stem of a theme's line by one of its speakers lies."""
    return VOCALS / f"{theme}-{speaker}-{line:02d}.ogg"


def pitch_hz(samples: np.ndarray, sample_rate: int) -> float:
    """The pitch of a voice that chants on one note: the highest peak of the autocorrelation, in Hz."""
    spectrum = np.fft.rfft(samples, 2 * len(samples))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)
    shortest, longest = int(sample_rate / HIGHEST_HZ), int(sample_rate / LOWEST_HZ)
    return sample_rate / (shortest + int(np.argmax(correlation[shortest:longest])))


def tuned_line(theme: str, speaker: int, line: int, chord_midi: tuple[int, ...], sample_rate: int) -> np.ndarray:
    """One line, float32 mono at `sample_rate` Hz with RMS 1, moved to the nearest note of a chord.

    The voice moves by resampling, at most three semitones, which leaves words clear. `chord_midi` is in any octave.
    """
    samples, rate = sf.read(stem_path(theme, speaker, line), dtype="float32")
    spoken = 69 + 12 * np.log2(pitch_hz(samples, rate) / 440)
    distances = [(note - spoken + 6) % 12 - 6 for note in chord_midi]
    shift = float(np.clip(min(distances, key=abs), -3, 3))
    moved = soxr.resample(samples, rate * 2 ** (shift / 12), sample_rate, quality="MQ")
    return np.asarray(moved / np.sqrt(np.mean(moved**2)), dtype=np.float32)
