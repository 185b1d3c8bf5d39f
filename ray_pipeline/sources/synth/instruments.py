"""Pitched instruments: each plays one note as float32 mono, loudness about the same in all of them.

Most are band-limited wavetables: the harmonics are summed once, by an inverse FFT, never above Nyquist. The plucked ones
are strings after Karplus and Strong, "Digital Synthesis of Plucked-String and Drum Timbres" (Computer Music Journal,
1983). The electric piano and the bells are FM after Chowning, "The Synthesis of Complex Audio Spectra by Means of
Frequency Modulation" (JAES, 1973).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.signal import lfilter

from ray_pipeline.sources.synth.theory import frequency

Instrument = Callable[[float, float, int], np.ndarray]  # (MIDI note, seconds held, sample rate in Hz) -> [n] float32
Spectrum = Callable[[np.ndarray], np.ndarray]  # harmonic numbers 1… -> their amplitudes

TABLE = 2048
RELEASE_S = 0.06


def saw(harmonics: np.ndarray) -> np.ndarray:
    return 1 / harmonics


def square(harmonics: np.ndarray) -> np.ndarray:
    return (harmonics % 2) / harmonics


def narrow_pulse(harmonics: np.ndarray) -> np.ndarray:
    return np.sin(np.pi * harmonics / 8) / harmonics


def triangle(harmonics: np.ndarray) -> np.ndarray:
    return (harmonics % 2) * np.cos(np.pi * (harmonics - 1) / 2) / harmonics**2


def soft(harmonics: np.ndarray) -> np.ndarray:
    return 1 / harmonics**2


def sine(harmonics: np.ndarray) -> np.ndarray:
    return (harmonics == 1).astype(float)


def drawbars(*levels: float) -> Spectrum:
    """An organ registration: the level of each harmonic from the first on."""

    def spectrum(harmonics: np.ndarray) -> np.ndarray:
        padded = np.zeros(len(harmonics))
        padded[: len(levels)] = levels[: len(harmonics)]
        return padded

    return spectrum


def reed(harmonics: np.ndarray) -> np.ndarray:
    """A free reed or bowed string: a saw with a body resonance about the fourth harmonic."""
    return (1 + 2 * np.exp(-((harmonics - 4) ** 2) / 6)) / harmonics


def _times(seconds: float, sample_rate: int) -> np.ndarray:
    return np.arange(int(seconds * sample_rate), dtype=np.float32) / np.float32(sample_rate)


def _cycle(spectrum: Spectrum, hz: float, sample_rate: int) -> np.ndarray:
    """One cycle of the waveform, [TABLE], RMS 1, with nothing above 0.45 of the sample rate."""
    n_harmonics = int(np.clip(0.45 * sample_rate / hz, 1, 60))
    bins = np.zeros(TABLE // 2 + 1, dtype=complex)
    bins[1 : n_harmonics + 1] = -1j * spectrum(np.arange(1.0, n_harmonics + 1))
    cycle = np.fft.irfft(bins)
    return np.asarray(cycle / np.sqrt(np.mean(cycle**2)), dtype=np.float32)


def _read(cycle: np.ndarray, cycles: np.ndarray) -> np.ndarray:
    """The waveform at each moment of `cycles`, the phase in cycles since the note began."""
    return np.asarray(cycle[(cycles * TABLE).astype(np.int32) & (TABLE - 1)])


def _envelope(times: np.ndarray, attack: float, decay: float, sustain: float, held: float) -> np.ndarray:
    """Rise in `attack` s, fall towards `sustain` with time constant `decay` s, end `RELEASE_S` after `held` s."""
    level = sustain + (1 - sustain) * np.exp(-times / np.float32(decay))
    level *= np.minimum(times / np.float32(attack), 1)
    return np.asarray(level * np.clip((held + RELEASE_S - times) / np.float32(RELEASE_S), 0, 1), dtype=np.float32)


def wave(
    note: float,
    held: float,
    sample_rate: int,
    *,
    spectrum: Spectrum,
    attack: float = 0.005,
    decay: float = 0.3,
    sustain: float = 0.6,
    detune: float = 0.0,
    vibrato: float = 0.0,
    sweep: float = 0.0,
) -> np.ndarray:
    """A wavetable voice: `detune` in semitones between two of them, `vibrato` depth in semitones at 5.5 Hz.

    `sweep` is the time constant (s) in which it closes from `spectrum` to a dull tone, as a synthesizer's filter does.
    """
    hz = frequency(note)
    times = _times(held + RELEASE_S, sample_rate)
    cycles: np.ndarray = np.float32(hz) * times
    if vibrato:
        depth = hz * vibrato * np.log(2) / 12 / (2 * np.pi * 5.5)
        cycles = cycles + np.float32(depth) * np.sin(np.float32(2 * np.pi * 5.5) * times)
    cycle = _cycle(spectrum, hz, sample_rate)
    tone = _read(cycle, cycles)
    if detune:
        tone = 0.7 * (tone + _read(cycle, cycles * np.float32(2 ** (detune / 12)) + np.float32(0.37)))
    if sweep:
        openness = np.exp(-times / np.float32(sweep))
        tone = openness * tone + (1 - openness) * _read(_cycle(soft, hz, sample_rate), cycles)
    return tone * _envelope(times, attack, decay, sustain, held)


def fm(
    note: float,
    held: float,
    sample_rate: int,
    *,
    ratio: float,
    index: float,
    bright_s: float,
    decay: float,
    sustain: float = 0.0,
) -> np.ndarray:
    """Two-operator FM: modulator at `ratio` times the pitch, its `index` (radians) fading in `bright_s` seconds."""
    times = _times(held + RELEASE_S, sample_rate)
    angle = np.float32(2 * np.pi * frequency(note)) * times
    depth = np.float32(index) * np.exp(-times / np.float32(bright_s))
    tone = np.float32(1.4) * np.sin(angle + depth * np.sin(np.float32(ratio) * angle))
    return np.asarray(tone * _envelope(times, 0.004, decay, sustain, held))


def string(
    note: float, held: float, sample_rate: int, *, brightness: float, damping: float, ring: float = 0.25
) -> np.ndarray:
    """A plucked string that rings `ring` s after it is let go; `brightness` 0–1 of the pluck, `damping` per period."""
    period = sample_rate / frequency(note) - 0.5
    whole = int(period)
    tuning = period - whole
    times = _times(held + ring, sample_rate)
    rng = np.random.default_rng(int(note * 100))
    pluck = np.zeros(len(times))
    burst = rng.uniform(-1, 1, whole)
    pluck[:whole] = lfilter([brightness], [1, brightness - 1], burst)[: len(times)]
    # Round the loop goes a two-point average (the damping) behind a linear fractional delay (the tuning); a whole
    # period can be had at once, since it depends on nothing but the one before.
    loop = (1 - damping) * np.convolve([0.5, 0.5], [1 - tuning, tuning])
    tone = np.concatenate([np.zeros(whole + 2), pluck, np.zeros(whole)])
    for start in range(whole + 2, len(pluck) + whole + 2, whole):
        for tap, weight in enumerate(loop):
            tone[start : start + whole] += weight * tone[start - whole - tap : start - tap]
    tone = tone[whole + 2 : len(pluck) + whole + 2]
    tone *= 1.6 / (np.sqrt(np.mean(tone[: sample_rate // 10] ** 2)) + 1e-9)
    tone *= np.clip((held + ring - times) / ring, 0, 1)
    return np.asarray(tone, dtype=np.float32)


def breath(note: float, held: float, sample_rate: int, *, air: float) -> np.ndarray:
    """A flute: a few harmonics with vibrato and, `air` strong, noise through a resonance at the pitch."""
    tone = wave(note, held, sample_rate, spectrum=drawbars(1, 0.3, 0.12), attack=0.06, sustain=0.9, vibrato=0.15)
    radius, angle = 0.995, 2 * np.pi * frequency(note) / sample_rate
    noise = np.random.default_rng(int(note)).standard_normal(len(tone))
    hiss = lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], noise)
    hiss *= air / (np.std(hiss) + 1e-9)
    fade = np.minimum(_times(held + RELEASE_S, sample_rate) / np.float32(0.08), 1) * (tone != 0)
    return np.asarray((1 - air) * tone + hiss * fade, dtype=np.float32)


INSTRUMENTS: dict[str, Instrument] = {
    "saw_bass": partial(wave, spectrum=saw, decay=0.2, sustain=0.3, sweep=0.12),
    "sub_bass": partial(wave, spectrum=drawbars(1, 0.25, 0.08), attack=0.01, sustain=0.9),
    "triangle_bass": partial(wave, spectrum=triangle, sustain=0.9),
    "fm_bass": partial(fm, ratio=1.0, index=3.0, bright_s=0.1, decay=0.4, sustain=0.2),
    "upright_bass": partial(string, brightness=0.12, damping=0.004, ring=0.12),
    "brass_saw": partial(wave, spectrum=saw, attack=0.03, sustain=0.7, detune=0.12, vibrato=0.1),
    "super_saw": partial(wave, spectrum=saw, attack=0.01, sustain=0.6, detune=0.18, sweep=0.8),
    "pluck_saw": partial(wave, spectrum=saw, decay=0.15, sustain=0.05, sweep=0.08),
    "square_lead": partial(wave, spectrum=square, decay=0.25, sustain=0.5, vibrato=0.12),
    "pulse_lead": partial(wave, spectrum=narrow_pulse, decay=0.12, sustain=0.4),
    "triangle_lead": partial(wave, spectrum=triangle, sustain=0.8, vibrato=0.15),
    "warm_pad": partial(wave, spectrum=soft, attack=0.5, sustain=1.0, detune=0.1),
    "string_pad": partial(wave, spectrum=saw, attack=0.35, sustain=1.0, detune=0.15, sweep=1.5),
    "glass_pad": partial(wave, spectrum=drawbars(1, 0, 0, 0.3, 0, 0, 0, 0.15), attack=0.6, sustain=1.0, detune=0.06),
    "organ": partial(wave, spectrum=drawbars(1, 0.8, 0.7, 0.5, 0, 0.3, 0, 0.3), sustain=1.0, vibrato=0.08),
    "soft_organ": partial(wave, spectrum=drawbars(1, 0.6, 0.3), attack=0.01, sustain=1.0, vibrato=0.05),
    "accordion": partial(wave, spectrum=reed, attack=0.05, sustain=0.9, detune=0.14),
    "fiddle": partial(wave, spectrum=reed, attack=0.07, sustain=0.9, vibrato=0.22),
    "piano": partial(
        wave, spectrum=drawbars(1, 0.5, 0.35, 0.2, 0.12, 0.08, 0.04), decay=0.5, sustain=0.05, detune=0.02
    ),
    "electric_piano": partial(fm, ratio=1.0, index=1.4, bright_s=0.35, decay=0.9, sustain=0.1),
    "bell": partial(fm, ratio=3.5, index=2.2, bright_s=0.6, decay=1.1),
    "clav": partial(fm, ratio=2.0, index=2.5, bright_s=0.07, decay=0.18),
    "guitar": partial(string, brightness=0.45, damping=0.002),
    "nylon_guitar": partial(string, brightness=0.2, damping=0.003),
    "banjo": partial(string, brightness=0.95, damping=0.008, ring=0.15),
    "flute": partial(breath, air=0.2),
    "wind": partial(breath, air=0.7),
}
