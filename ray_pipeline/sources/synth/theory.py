"""Scales, chords and voice leading. Notes are MIDI numbers, 69 = A4 = 440 Hz."""

from __future__ import annotations

MODES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
}


def degree(tonic: int, mode: str, step: int) -> int:
    """The note `step` scale steps (0 = tonic, may be negative or past an octave) above `tonic`."""
    octave, within = divmod(step, 7)
    return tonic + 12 * octave + MODES[mode][within]


def chord(tonic: int, mode: str, root: int, size: int) -> tuple[int, ...]:
    """`size` stacked thirds on scale step `root`: 2 a third and root, 3 a triad, 4 a seventh, 5 a ninth."""
    return tuple(degree(tonic, mode, root + 2 * third) for third in range(size))


def voiced(notes: tuple[int, ...], centre: int) -> tuple[int, ...]:
    """The chord with every note moved by octaves to within a tritone of `centre`, so that chords join smoothly."""
    return tuple(sorted({centre - 6 + (note - centre + 6) % 12 for note in notes}))


def frequency(note: float) -> float:
    """Hz of a MIDI note in equal temperament."""
    return float(440.0 * 2.0 ** ((note - 69) / 12))
