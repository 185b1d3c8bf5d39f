"""Plays a track: notes to sound, mix, effects, voice, and the FLAC file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

from ray_pipeline.sources.synth import arrange, drums, effects, voice
from ray_pipeline.sources.synth.arrange import Note, Plan
from ray_pipeline.sources.synth.chance import pick, rng_of
from ray_pipeline.sources.synth.instruments import INSTRUMENTS
from ray_pipeline.sources.synth.names import Credits

RMS_DB = -18.0  # dBFS, of every track
HISS_DB = (-30.0, -26.0)  # tape noise, against the band
CEILINGS = (0.5, 0.97)  # between which a track's loudest peaks are rounded off
SAMPLE_RATES = (22_050, 32_000, 44_100)  # Hz, of a style's first, second and third artist
VOICE_OVER_BAND = 1.2  # how much louder than the whole band a sung line is
BALANCE = {"bass": 0.50, "chords": 0.30, "pad": 0.14, "lead": 0.34}
PANNED = {"bass": 0.0, "chords": -0.35, "pad": 0.2, "lead": 0.35, "drums": 0.0}


@dataclass(frozen=True)
class Studio:
    """What an artist's tracks have in common."""

    sample_rate: int  # Hz
    channels: int
    brightness: float
    speaker: int


def studio(style: str, artist: int, seed: int) -> Studio:
    """The artist's studio; every style has the same mix of sample rates, so that those tell nothing of it."""
    rng = rng_of(seed, style, "studio", artist)
    return Studio(
        sample_rate=SAMPLE_RATES[artist % len(SAMPLE_RATES)],
        channels=int(rng.integers(1, 3)),
        brightness=float(rng.uniform(-0.2, 0.2)),
        speaker=artist % 2,
    )


def render(style: str, index: int, artist: int, seed: int) -> tuple[np.ndarray, int]:
    """A track as float32 [n] or [n, 2] with |x| < 1, loudness about `RMS_DB`, and its sample rate in Hz."""
    plan, room = arrange.plan(style, index, seed), studio(style, artist, seed)
    rng = rng_of(seed, style, index, "play")
    parts = _band(plan, room.sample_rate, rng)
    mixed = _mix(parts, plan, room, rng)
    if plan.sung:
        mixed = _sing(mixed, plan, room, rng)
    hiss = rng.standard_normal(mixed.shape, dtype=np.float32) * np.sqrt(np.mean(mixed**2))
    mixed += hiss * np.float32(10 ** (rng.uniform(*HISS_DB) / 20))
    brightness = plan.style.brightness + room.brightness + float(rng.uniform(-0.1, 0.1))
    mixed = effects.tilt(mixed, brightness, room.sample_rate)
    ceiling = float(rng.uniform(*CEILINGS))
    return effects.master(_fade(mixed, room.sample_rate), RMS_DB, ceiling), room.sample_rate


def _band(plan: Plan, sample_rate: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Each part alone, float32 [n]."""
    style, n = plan.style, round(plan.seconds * sample_rate)
    scores = {
        "bass": (pick(rng, style.bass), arrange.bass_line(plan, rng)),
        "chords": (pick(rng, style.chords), arrange.comping(plan, rng)),
        "lead": (pick(rng, style.leads), arrange.lead(plan, rng)),
    }
    if style.pads and rng.random() < 0.7:
        scores["pad"] = (pick(rng, style.pads), arrange.pads(plan))
    parts = {
        name: BALANCE[name] * float(rng.uniform(0.8, 1.25)) * _play(notes, instrument, n, sample_rate)
        for name, (instrument, notes) in scores.items()
    }
    drumming = arrange.beat(plan, rng)
    gain = float(rng.uniform(*style.drum_gain))
    parts["drums"] = gain * _strike(drumming, pick(rng, style.kits), n, sample_rate)
    if style.pump:
        kicks = np.array([int(start * sample_rate) for start, _ in drumming.get("kick", [])])
        duck = effects.pump(n, kicks, style.pump, 0.09, sample_rate)
        parts |= {name: parts[name] * duck for name in ("bass", "chords", "pad") if name in parts}
    return parts


def _add(track: np.ndarray, sound: np.ndarray, start_s: float, sample_rate: int) -> None:
    start = round(start_s * sample_rate)
    piece = track[start : start + len(sound)]
    piece += sound[: len(piece)]


def _play(notes: list[Note], instrument: str, n: int, sample_rate: int) -> np.ndarray:
    track = np.zeros(n, dtype=np.float32)
    played: dict[tuple[int, float], np.ndarray] = {}  # a note that comes again is not worked out again
    for note in notes:
        key = (note.pitch, round(note.held, 3))
        if key not in played:
            played[key] = INSTRUMENTS[instrument](note.pitch, note.held, sample_rate)
        _add(track, np.float32(note.velocity) * played[key], note.start, sample_rate)
    return track


def _strike(drumming: dict[str, list[tuple[float, float]]], kit: str, n: int, sample_rate: int) -> np.ndarray:
    track = np.zeros(n, dtype=np.float32)
    hits = drums.hits(kit, tuple(drumming), sample_rate)
    for name, struck in drumming.items():
        for start, velocity in struck:
            _add(track, np.float32(velocity) * hits[name], start, sample_rate)
    return track


def _mix(parts: dict[str, np.ndarray], plan: Plan, room: Studio, rng: np.random.Generator) -> np.ndarray:
    """The parts panned and added, with echoes and a room of its own for each channel; [n] or [n, 2]."""
    style = plan.style
    send = sum((parts[name] for name in ("chords", "lead", "pad") if name in parts), 0.25 * parts["drums"])
    echoes = np.float32(style.echo) * effects.delay(send, 0.75 * plan.beat_s, 0.55, room.sample_rate)
    wet, seconds = float(rng.uniform(*style.wet)), float(rng.uniform(*style.reverb))
    sides = (0.0,) if room.channels == 1 else (-1.0, 1.0)
    channels = []
    for side in sides:
        dry = sum(np.float32(1 + side * PANNED[name]) * part for name, part in parts.items())
        reverberant = effects.reverb(send + echoes, seconds, room.sample_rate, rng)
        channels.append(dry + echoes + np.float32(1.5 * wet) * reverberant)
    return channels[0] if room.channels == 1 else np.stack(channels, axis=1)


def _sing(band: np.ndarray, plan: Plan, room: Studio, rng: np.random.Generator) -> np.ndarray:
    """The band with the sung lines over it; it makes room for them by 5 dB."""
    vocals = np.zeros(len(band), dtype=np.float32)
    for sung in plan.sung:
        harmony = plan.harmony[min(int(sung.start / plan.bar_s), plan.bars - 1)]
        line = voice.tuned_line(plan.style.theme, room.speaker, sung.line, harmony, room.sample_rate)
        _add(vocals, line, sung.start, room.sample_rate)
    space = effects.reverb(vocals, 0.7, room.sample_rate, rng)
    level = np.float32(VOICE_OVER_BAND * np.sqrt(np.mean(band**2)))
    gain = effects.duck(vocals, 5.0, room.sample_rate)
    return np.asarray((band.T * gain + level * (vocals + np.float32(0.08) * space)).T)


def _fade(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    n = int(arrange.TAIL_S * sample_rate)
    ending = np.linspace(1, 0, n, dtype=np.float32)
    samples[-n:] = (samples[-n:].T * ending).T
    return samples


def write(path: Path, style: str, index: int, seed: int, credits: Credits) -> None:
    """Render a track to a tagged 16-bit FLAC, the sung lines in its comment; it appears only once it is whole."""
    samples, sample_rate = render(style, index, credits.artist_index, seed)
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with sf.SoundFile(partial, "w", sample_rate, channels, "PCM_16", format="FLAC") as file:
            file.title, file.artist, file.album = credits.title, credits.artist, credits.album
            file.date, file.genre = str(credits.year), style
            if sung := sung_lines(style, index, seed):
                file.comment = "\n".join(sung)
            file.write(samples)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sung_lines(style: str, index: int, seed: int) -> tuple[str, ...]:
    """What is sung in a track, in order; nothing in an instrumental."""
    return tuple(line.text for line in arrange.plan(style, index, seed).sung)
