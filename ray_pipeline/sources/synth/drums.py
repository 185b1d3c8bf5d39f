"""Drum kits: each voice is one short float32 mono hit with peak about 1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.signal import butter, sosfilt


@dataclass(frozen=True)
class Kit:
    """How a kit is tuned: pitches in Hz, decay times in seconds, noise bands in Hz."""

    kick_hz: float
    kick_decay: float
    snare_hz: float
    snare_decay: float
    snare_noise: float  # share of noise in the snare, 0–1
    hat_hz: float  # high-pass corner
    hat_decay: float


KITS: dict[str, Kit] = {
    "analog": Kit(48, 0.22, 185, 0.13, 0.7, 6500, 0.035),
    "gated": Kit(55, 0.16, 170, 0.28, 0.85, 6000, 0.04),
    "acoustic": Kit(62, 0.12, 210, 0.12, 0.6, 5000, 0.05),
    "brushes": Kit(65, 0.09, 240, 0.18, 0.95, 4000, 0.09),
    "chip": Kit(75, 0.06, 300, 0.07, 0.9, 4500, 0.02),
    "hand": Kit(85, 0.10, 330, 0.05, 0.25, 5500, 0.06),
    "deep": Kit(42, 0.30, 260, 0.06, 0.35, 7000, 0.03),
}


def _noise(kind: str, low_hz: float, decay: float, seconds: float, sample_rate: int) -> np.ndarray:
    """High-passed noise that dies away; the same every time, as a sample would be."""
    times = np.arange(int(seconds * sample_rate)) / sample_rate
    noise = np.random.default_rng(sum(kind.encode())).standard_normal(len(times)) * np.exp(-times / decay)
    corner = min(low_hz, 0.4 * sample_rate)
    shaped = sosfilt(butter(2, corner, "high", fs=sample_rate, output="sos"), noise)
    return np.asarray(shaped / np.abs(shaped).max())


def _thump(start_hz: float, end_hz: float, fall: float, decay: float, sample_rate: int) -> np.ndarray:
    """A sine whose pitch falls from `start_hz` to `end_hz` with time constant `fall` s."""
    times = np.arange(int(5 * decay * sample_rate)) / sample_rate
    phase = end_hz * times + (start_hz - end_hz) * fall * (1 - np.exp(-times / fall))
    return np.asarray(np.sin(2 * np.pi * phase) * np.exp(-times / decay))


def kick(kit: Kit, sample_rate: int) -> np.ndarray:
    return _thump(5 * kit.kick_hz, kit.kick_hz, 0.02, kit.kick_decay, sample_rate)


def snare(kit: Kit, sample_rate: int) -> np.ndarray:
    rattle = _noise("snare", 1200, kit.snare_decay, 5 * kit.snare_decay, sample_rate)
    hit = kit.snare_noise * rattle
    tone = (1 - 0.6 * kit.snare_noise) * _thump(
        1.5 * kit.snare_hz, kit.snare_hz, 0.015, 0.4 * kit.snare_decay, sample_rate
    )
    hit[: len(tone)] += tone[: len(hit)]
    return hit


def clap(kit: Kit, sample_rate: int) -> np.ndarray:
    burst = _noise("clap", 900, kit.snare_decay, 5 * kit.snare_decay, sample_rate)
    hit = np.zeros(len(burst) + int(0.03 * sample_rate))
    for delay in (0.0, 0.011, 0.024):
        start = int(delay * sample_rate)
        hit[start : start + len(burst)] += 0.5 * burst
    return hit


def hat(kit: Kit, sample_rate: int) -> np.ndarray:
    return 0.7 * _noise("hat", kit.hat_hz, kit.hat_decay, 6 * kit.hat_decay, sample_rate)


def open_hat(kit: Kit, sample_rate: int) -> np.ndarray:
    return 0.7 * _noise("open", kit.hat_hz, 5 * kit.hat_decay, 12 * kit.hat_decay, sample_rate)


def ride(kit: Kit, sample_rate: int) -> np.ndarray:
    times = np.arange(int(0.5 * sample_rate)) / sample_rate
    partials = np.array([2130.0, 3170.0, 4270.0, 5390.0, 6610.0])
    metal = np.sin(2 * np.pi * np.outer(partials, times)).sum(0) * np.exp(-times / 0.16) / len(partials)
    return np.asarray(0.6 * metal + 0.4 * _noise("ride", kit.hat_hz, 0.12, 0.5, sample_rate)[: len(times)])


def rim(kit: Kit, sample_rate: int) -> np.ndarray:
    return _thump(1900, 4 * kit.snare_hz, 0.003, 0.018, sample_rate)


def shaker(kit: Kit, sample_rate: int) -> np.ndarray:
    hiss = _noise("shaker", 0.8 * kit.hat_hz, 0.05, 0.15, sample_rate)
    return 0.6 * hiss * np.minimum(np.arange(len(hiss)) / (0.02 * sample_rate), 1)


def tom(kit: Kit, sample_rate: int) -> np.ndarray:
    return _thump(2.6 * kit.kick_hz, 1.8 * kit.kick_hz, 0.05, 1.3 * kit.kick_decay, sample_rate)


VOICES = {
    "kick": kick,
    "snare": snare,
    "clap": clap,
    "hat": hat,
    "open": open_hat,
    "ride": ride,
    "rim": rim,
    "shaker": shaker,
    "tom": tom,
}


def hits(kit: str, names: tuple[str, ...], sample_rate: int) -> dict[str, np.ndarray]:
    """One hit of each named voice of the kit, float32."""
    struck = {name: partial(VOICES[name], KITS[kit])(sample_rate) for name in names}
    return {name: hit.astype(np.float32) for name, hit in struck.items()}
