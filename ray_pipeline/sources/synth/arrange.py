"""From a style and a seed to notes: tempo, key, form, and what each part plays."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ray_pipeline.sources.synth.chance import pick, rng_of
from ray_pipeline.sources.synth.styles import STYLES, Beat, Style
from ray_pipeline.sources.synth.theory import chord, degree, voiced
from ray_pipeline.sources.synth.voice import themes

SHORTEST_S, LONGEST_S = 22.0, 27.0  # of a track, before its length is rounded to whole bars
TAIL_S = 2.0  # to let the last chord ring
LINE_SLOT_S = 4.0  # at least, from one sung line to the next; a line takes at most 3.8 s
BASS, CHORDS, LEAD, PAD = 38, 60, 74, 65  # MIDI note that each part stays about


@dataclass(frozen=True)
class Note:
    """When, how long (both in seconds), which MIDI note, how loud (0–1)."""

    start: float
    held: float
    pitch: int
    velocity: float


@dataclass(frozen=True)
class SungLine:
    """A line of the style's theme and when it is sung, in seconds."""

    start: float
    line: int
    text: str


@dataclass(frozen=True)
class Plan:
    """A track before it is played: its form and harmony."""

    style: Style
    tempo: float  # beats a minute
    mode: str
    bars: int
    intro: int  # bars before the drums
    quiet: frozenset[int]  # bars in which the drums rest
    harmony: tuple[tuple[int, ...], ...]  # the chord of each bar, root first
    tonic: int
    swing: float
    sung: tuple[SungLine, ...]

    @property
    def beat_s(self) -> float:
        return 60 / self.tempo

    @property
    def bar_s(self) -> float:
        return self.beat_s * self.style.beats_per_bar

    @property
    def seconds(self) -> float:
        return self.bars * self.bar_s + TAIL_S

    def time_of(self, bar: int, step: int) -> float:
        """When a step (a sixteenth) of a bar sounds; every second eighth comes late by the swing."""
        late = self.swing if step % 4 >= 2 else 0.0
        return bar * self.bar_s + (step / 4 + late) * self.beat_s


def plan(style_name: str, index: int, seed: int) -> Plan:
    """Everything about the track that is decided before a note is played."""
    style = STYLES[style_name]
    rng = rng_of(seed, style_name, index, "plan")
    tempo = float(rng.uniform(*style.tempo))
    bar_s = style.beats_per_bar * 60 / tempo
    bars = round((float(rng.uniform(SHORTEST_S, LONGEST_S)) - TAIL_S) / bar_s)
    tonic, mode, size = int(rng.integers(12)), pick(rng, style.modes), pick(rng, style.chord_size)
    first, second = pick(rng, style.progressions), pick(rng, style.progressions)
    roots = [(second if bar // 4 % 4 == 2 else first)[bar % 4] for bar in range(bars)]
    intro = int(rng.integers(0, 3))
    quiet = set(range(intro)) | ({int(rng.integers(bars // 2, bars))} if rng.random() < 0.5 else set())
    return Plan(
        style=style,
        tempo=tempo,
        mode=mode,
        bars=bars,
        intro=intro,
        quiet=frozenset(quiet),
        harmony=tuple(chord(tonic, mode, root, size) for root in roots),
        tonic=tonic,
        swing=float(rng.uniform(*style.swing)),
        sung=_sung(style, tempo, bars * bar_s, rng),
    )


def _sung(style: Style, tempo: float, seconds: float, rng: np.random.Generator) -> tuple[SungLine, ...]:
    """Lines drawn from the style's theme, spread over the track, each beginning on a beat."""
    if not style.theme:
        return ()
    lines = themes()[style.theme].lines
    beat_s = 60 / tempo
    first = math.ceil(float(rng.uniform(0.5, 2.0)) / beat_s)
    last = math.floor((seconds + 0.5 * TAIL_S - LINE_SLOT_S) / beat_s)
    slot = math.ceil(LINE_SLOT_S / beat_s)
    starts = [at * beat_s for at in range(first, last + 1, slot)]
    drawn = rng.permutation(len(lines))[: len(starts)]
    return tuple(SungLine(start, int(line), lines[line]) for start, line in zip(starts, drawn, strict=True))


def _onsets(pattern: str) -> Iterator[tuple[int, str, int]]:
    """Each sign of a pattern that is not ``.``: its step, the sign, steps until the next."""
    steps = [step for step, sign in enumerate(pattern) if sign != "."]
    for step, following in zip(steps, [*steps[1:], len(pattern)], strict=True):
        yield step, pattern[step], following - step


def beat(plan: Plan, rng: np.random.Generator) -> dict[str, list[tuple[float, float]]]:
    """For each drum its hits, (seconds, velocity): one beat throughout, a fill at the end of every fourth bar."""
    pattern: Beat = pick(rng, plan.style.beats)
    hits: dict[str, list[tuple[float, float]]] = {voice: [] for voice in (*pattern, "tom")}
    for bar in range(plan.bars):
        if bar in plan.quiet:
            continue
        for voice, signs in pattern.items():
            for step, sign, _ in _onsets(signs):
                velocity = (1.0 if sign == "X" else 0.5) * float(rng.uniform(0.85, 1.0))
                hits[voice].append((plan.time_of(bar, step), velocity))
        if bar % 4 == 3 and rng.random() < 0.4:
            last = 4 * plan.style.beats_per_bar
            hits["tom"] += [(plan.time_of(bar, step), 0.6) for step in range(last - 4, last) if rng.random() < 0.7]
    return hits


def bass_line(plan: Plan, rng: np.random.Generator) -> list[Note]:
    """The bass pattern on each bar's chord, around `BASS`."""
    pattern = pick(rng, plan.style.bass_lines)
    notes = []
    for bar, harmony in enumerate(plan.harmony):
        (root,) = voiced(harmony[:1], BASS)
        third, fifth = harmony[1] - harmony[0], (harmony[2] - harmony[0] if len(harmony) > 2 else 7)
        walk = plan.harmony[(bar + 1) % plan.bars][0] - harmony[0]
        above = {"r": 0, "3": third, "5": fifth, "o": 12, "w": (walk + 6) % 12 - 6 + int(pick(rng, (-1, 1, 2)))}
        for step, sign, steps in _onsets(pattern):
            if sign == "-":
                continue
            held = 0.92 * steps / 4 * plan.beat_s
            notes.append(Note(plan.time_of(bar, step), held, root + above[sign], 0.9 if step == 0 else 0.75))
    return notes


def comping(plan: Plan, rng: np.random.Generator) -> list[Note]:
    """The chords, voiced to move little, in the style's rhythm; a third of the tracks change it half way."""
    rhythms = [pick(rng, plan.style.comping)] * 2
    if rng.random() < 0.33:
        rhythms[1] = pick(rng, plan.style.comping)
    centre = CHORDS + int(rng.integers(-4, 5))
    notes = []
    for bar, harmony in enumerate(plan.harmony):
        for step, sign, steps in _onsets(rhythms[bar >= plan.bars // 2]):
            held = (0.97 * steps if sign == "X" else 0.8 * min(steps, 2)) / 4 * plan.beat_s
            start, velocity = plan.time_of(bar, step), float(rng.uniform(0.6, 0.8))
            # A strum: each string a little after the one below it.
            notes += [
                Note(start + 0.008 * place, held, pitch, velocity)
                for place, pitch in enumerate(voiced(harmony, centre))
            ]
    return notes


def pads(plan: Plan) -> list[Note]:
    """One long chord a bar."""
    return [
        Note(bar * plan.bar_s, plan.bar_s, pitch, 0.6)
        for bar, harmony in enumerate(plan.harmony)
        for pitch in voiced(harmony[:3], PAD)
    ]


def lead(plan: Plan, rng: np.random.Generator) -> list[Note]:
    """A melody or an arpeggio, which begins after the intro."""
    if rng.random() < plan.style.arpeggio:
        return _arpeggio(plan, rng)
    return _melody(plan, rng)


def _arpeggio(plan: Plan, rng: np.random.Generator) -> list[Note]:
    stride = int(pick(rng, (1, 2)))
    octaves, downwards = int(rng.integers(1, 3)), rng.random() < 0.4
    notes = []
    for bar in range(plan.intro, plan.bars):
        ladder = [pitch + 12 * octave for octave in range(octaves) for pitch in voiced(plan.harmony[bar], LEAD - 5)]
        ladder += ladder[-2:0:-1] if downwards else []
        for place, step in enumerate(range(0, 4 * plan.style.beats_per_bar, stride)):
            held = 0.8 * stride / 4 * plan.beat_s
            notes.append(Note(plan.time_of(bar, step), held, ladder[place % len(ladder)], 0.6 + 0.2 * (step % 4 == 0)))
    return notes


def _melody(plan: Plan, rng: np.random.Generator) -> list[Note]:
    """A two-bar motif and an answer, A A B A; on strong beats the nearest chord note."""
    steps = 8 * plan.style.beats_per_bar
    density = float(rng.uniform(*plan.style.lead_density))
    motifs = {name: _motif(steps, density, rng) for name in "AB"}
    scale = [degree(plan.tonic, plan.mode, step) for step in range(7 * 11)]
    home = min(range(len(scale)), key=lambda place: abs(scale[place] - LEAD))
    notes = []
    for phrase, bar in enumerate(range(plan.intro, plan.bars - 1, 2)):
        for step, length, offset in motifs["AABA"[phrase % 4]]:
            inner, within = divmod(step, steps // 2)
            pitch = scale[home + offset]
            if within % 8 == 0:
                pitch = min(voiced(plan.harmony[bar + inner], pitch), key=lambda note: abs(note - pitch))
            held = 0.9 * length / 4 * plan.beat_s
            notes.append(Note(plan.time_of(bar + inner, within), held, pitch, float(rng.uniform(0.6, 0.9))))
    return notes


def _motif(steps: int, density: float, rng: np.random.Generator) -> list[tuple[int, int, int]]:
    """(step, length in steps, scale steps from home) of each note: a random walk that is drawn back home."""
    weight = np.array([(1.0, 0.15, 0.5, 0.15)[step % 4] for step in range(steps)])
    n_notes = max(2, round(density * steps / 4))
    chosen = rng.choice(steps, size=min(n_notes, steps), replace=False, p=weight / weight.sum())
    onsets = sorted(int(step) for step in chosen)
    offsets, offset = [], int(rng.integers(-3, 4))
    for _ in onsets:
        offsets.append(offset)
        offset = int(np.clip(offset + pick(rng, (-2, -1, -1, 1, 1, 2, 3)) - round(0.2 * offset), -7, 7))
    lengths = np.minimum(np.diff([*onsets, steps]), 8)
    return [(step, int(length), move) for step, length, move in zip(onsets, lengths, offsets, strict=True)]
