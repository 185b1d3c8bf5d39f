"""The eight styles, as ranges and choices that a track draws from.

They overlap in tempo, mode and instruments on purpose. Patterns have one sign a step, twelve or sixteen steps a bar:

    drums    ``X`` loud, ``x`` soft
    bass     ``r`` root, ``3`` third, ``5`` fifth, ``o`` octave, ``w`` leads to the next chord; ``-`` silence
    chords   ``X`` held until the next sign, ``x`` short
    all      ``.`` nothing new
"""

from __future__ import annotations

from dataclasses import dataclass

Beat = dict[str, str]


@dataclass(frozen=True)
class Style:
    """What a style's tracks may be. Ranges are (lowest, highest)."""

    tempo: tuple[float, float]  # beats a minute
    modes: tuple[str, ...]
    progressions: tuple[tuple[int, ...], ...]  # scale steps of the chords' roots, one a bar
    kits: tuple[str, ...]
    beats: tuple[Beat, ...]
    bass: tuple[str, ...]
    bass_lines: tuple[str, ...]
    chords: tuple[str, ...]
    comping: tuple[str, ...]
    leads: tuple[str, ...]
    lead_density: tuple[float, float]  # notes a beat
    pads: tuple[str, ...] = ()
    beats_per_bar: int = 4
    chord_size: tuple[int, ...] = (3,)
    swing: tuple[float, float] = (0.0, 0.0)  # how late the off-beat eighth is, in beats
    arpeggio: float = 0.0  # chance that the lead runs through the chord
    reverb: tuple[float, float] = (0.8, 1.6)  # seconds
    wet: tuple[float, float] = (0.1, 0.25)
    echo: float = 0.0  # level of the echoes on chords and lead
    pump: float = 0.0  # how deep the kick ducks the chords
    drum_gain: tuple[float, float] = (0.8, 1.1)
    brightness: float = 0.0  # tone of the whole mix, -1 dark to 1 bright
    theme: str = ""  # of the vocals; none: instrumental


STYLES: dict[str, Style] = {
    "synthwave": Style(
        tempo=(84, 118),
        modes=("minor", "dorian", "minor", "major"),
        progressions=((0, 5, 2, 6), (0, 3, 5, 4), (0, 0, 5, 6), (5, 6, 0, 0)),
        kits=("gated", "analog", "gated"),
        beats=(
            {"kick": "X.......X.......", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
            {
                "kick": "X.....X.X.......",
                "snare": "....X.......X...",
                "hat": "xxxxxxxxxxxxxxxx",
                "tom": "............x.xx",
            },
            {"kick": "X...X...X...X...", "snare": "....X.......X...", "open": "..x...x...x...x."},
        ),
        bass=("saw_bass", "saw_bass", "fm_bass"),
        bass_lines=("r.r.r.r.r.r.r.r.", "r.r.o.r.r.r.o.r.", "rrorrrorrrorrror"),
        chords=("super_saw", "brass_saw", "electric_piano"),
        comping=("X...............", "X.......X.......", "X.....x...x....."),
        leads=("brass_saw", "square_lead", "pluck_saw", "bell"),
        lead_density=(0.8, 2.0),
        arpeggio=0.6,
        pads=("string_pad", "warm_pad"),
        reverb=(1.2, 2.2),
        wet=(0.15, 0.3),
        echo=0.25,
        pump=0.3,
        brightness=0.0,
        theme="city",
    ),
    "shanty": Style(
        tempo=(80, 116),
        modes=("dorian", "mixolydian", "major", "minor"),
        progressions=((0, 0, 6, 0), (0, 3, 0, 4), (0, 6, 5, 4), (0, 4, 3, 0)),
        beats_per_bar=3,
        kits=("hand", "acoustic", "hand"),
        beats=(
            {"kick": "X.....X.....", "rim": "...x.....x.."},
            {"kick": "X...........", "tom": "....x...x...", "shaker": "x.x.x.x.x.x."},
            {"tom": "X.....x.x...", "clap": "......X....."},
        ),
        bass=("upright_bass", "sub_bass"),
        bass_lines=("r.....5.....", "r...5...5...", "r..........."),
        chords=("accordion", "guitar", "accordion", "nylon_guitar"),
        comping=("X...x...x...", "X.....X.x...", "x.x.x.x.x.x."),
        leads=("fiddle", "flute", "accordion", "banjo"),
        lead_density=(1.0, 2.2),
        reverb=(0.6, 1.4),
        drum_gain=(0.6, 1.0),
        brightness=-0.35,
        theme="sea",
    ),
    "electro": Style(
        tempo=(104, 136),
        modes=("phrygian", "minor", "dorian"),
        progressions=((0, 0, 0, 0), (0, 0, 1, 0), (0, 0, 5, 6), (0, 2, 0, 1)),
        kits=("analog", "deep", "analog", "chip"),
        beats=(
            {
                "kick": "X...X...X...X...",
                "clap": "....X.......X...",
                "open": "..x...x...x...x.",
                "hat": "x..xx..xx..xx..x",
            },
            {"kick": "X..X..X...X.....", "snare": "....X.......X...", "hat": "x.x.x.xxx.x.x.xx"},
            {"kick": "X...X...X...X..x", "rim": "..x..x..x..x..x.", "hat": "..X...X...X...X."},
        ),
        bass=("fm_bass", "saw_bass", "sub_bass"),
        bass_lines=("r..r..o.r..r..5.", "rr.or.r.rr.or.o.", "..r...r...r...r."),
        chords=("clav", "pluck_saw", "electric_piano"),
        comping=("x..x..x.....x...", "..x...x...x...x.", "x..........x...."),
        leads=("clav", "bell", "square_lead", "pluck_saw"),
        lead_density=(0.6, 1.8),
        arpeggio=0.4,
        pads=("glass_pad", "string_pad"),
        chord_size=(2, 3, 4),
        reverb=(0.5, 1.4),
        echo=0.3,
        pump=0.6,
        brightness=0.7,
        theme="robots",
    ),
    "country": Style(
        tempo=(92, 128),
        modes=("major", "major", "mixolydian"),
        progressions=((0, 3, 0, 4), (0, 0, 3, 4), (0, 4, 5, 3), (0, 3, 4, 0)),
        kits=("acoustic", "brushes", "acoustic"),
        beats=(
            {"kick": "X.......X.......", "snare": "x.xxX.xxx.xxX.xx"},
            {"kick": "X.......X..x....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "X...x...X...x...", "rim": "....X.......X...", "shaker": "x.x.x.x.x.x.x.x."},
        ),
        bass=("upright_bass", "upright_bass", "triangle_bass"),
        bass_lines=("r.......5.......", "r...3...5...3...", "r.....r.5......."),
        chords=("guitar", "guitar", "nylon_guitar", "piano"),
        comping=("....X.......X...", "X...x.x.X...x.x.", "x.x.X.x.x.x.X.x."),
        leads=("banjo", "fiddle", "guitar", "piano"),
        lead_density=(1.2, 2.6),
        arpeggio=0.3,
        swing=(0.0, 0.08),
        reverb=(0.4, 1.0),
        brightness=0.25,
        theme="farm",
    ),
    "jazz": Style(
        tempo=(96, 168),
        modes=("dorian", "major", "mixolydian", "minor"),
        progressions=((1, 4, 0, 5), (0, 5, 1, 4), (0, 3, 1, 4), (2, 5, 1, 4)),
        kits=("brushes", "acoustic", "brushes"),
        beats=(
            {"ride": "X...X.x.X...X.x.", "hat": "....X.......X...", "kick": "x...x...x...x..."},
            {"ride": "X...X.x.X...X.x.", "snare": "......x....x....", "hat": "....x.......x..."},
            {"snare": "x.x.X.x.x.x.X.x.", "kick": "x.......x......."},
        ),
        bass=("upright_bass", "upright_bass", "sub_bass"),
        bass_lines=("r...3...5...w...", "r...w...5...w...", "r...5...3.w.5..."),
        chords=("electric_piano", "piano", "organ", "nylon_guitar"),
        comping=("x.....X.........", "......x.......x.", "X.....x...X....."),
        leads=("flute", "organ", "nylon_guitar", "piano", "brass_saw"),
        lead_density=(1.2, 2.8),
        chord_size=(4, 5),
        swing=(0.12, 0.18),
        reverb=(0.6, 1.4),
        drum_gain=(0.6, 1.0),
        brightness=-0.15,
    ),
    "ambient": Style(
        tempo=(60, 92),
        modes=("lydian", "major", "dorian", "minor"),
        progressions=((0, 0, 3, 3), (0, 4, 5, 3), (0, 1, 0, 4), (5, 3, 0, 0)),
        kits=("brushes", "deep", "hand"),
        beats=(
            {"shaker": "x...x...x...x..."},
            {"kick": "x...............", "ride": "........x......."},
            {"rim": "......x.....x..."},
        ),
        bass=("sub_bass", "triangle_bass"),
        bass_lines=("r...............", "r.......5......."),
        chords=("glass_pad", "warm_pad", "string_pad"),
        comping=("X...............", "X.......X......."),
        leads=("bell", "wind", "nylon_guitar", "triangle_lead"),
        lead_density=(0.3, 1.0),
        arpeggio=0.25,
        pads=("wind", "string_pad"),
        chord_size=(3, 4, 5),
        reverb=(2.0, 3.0),
        wet=(0.35, 0.55),
        echo=0.4,
        drum_gain=(0.1, 0.5),
        brightness=-0.5,
    ),
    "chiptune": Style(
        tempo=(112, 164),
        modes=("major", "minor", "mixolydian", "dorian"),
        progressions=((0, 4, 5, 3), (5, 3, 0, 4), (0, 6, 5, 4), (3, 4, 0, 0)),
        kits=("chip", "chip", "analog"),
        beats=(
            {"kick": "X.....X.X.......", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
            {"kick": "X...X...X...X...", "snare": "....X..x....X.xx", "hat": "..x...x...x...x."},
            {"kick": "X..x..X..x..X...", "snare": "....X.......X..."},
        ),
        bass=("triangle_bass", "triangle_bass", "saw_bass"),
        bass_lines=("r.o.r.o.r.o.r.o.", "r..r..r.5..5..o.", "r.r.5.r.r.r.5.o."),
        chords=("pulse_lead", "square_lead", "clav"),
        comping=("x.x.x.x.x.x.x.x.", "x..x..x.x..x..x.", "xxxxxxxxxxxxxxxx"),
        leads=("square_lead", "pulse_lead", "triangle_lead", "pluck_saw"),
        lead_density=(1.6, 3.0),
        arpeggio=0.5,
        chord_size=(2, 3),
        reverb=(0.2, 0.8),
        wet=(0.0, 0.12),
        echo=0.2,
        brightness=0.7,
    ),
    "dub": Style(
        tempo=(66, 94),
        modes=("minor", "dorian", "major"),
        progressions=((0, 0, 3, 3), (0, 3, 0, 4), (0, 6, 0, 6), (0, 0, 1, 0)),
        kits=("acoustic", "deep", "acoustic"),
        beats=(
            {"kick": "........X.......", "rim": "........X.......", "hat": "x.x.x.xxx.x.x.x."},
            {"kick": "X...X...X...X...", "rim": "......x...x...x.", "hat": "..x...x...x...x."},
            {"kick": "........X.......", "snare": "........X......x", "shaker": "x.x.x.x.x.x.x.x."},
        ),
        bass=("sub_bass", "sub_bass", "triangle_bass"),
        bass_lines=("r..r..5-..r.3-..", "....r.r.3.5.-...", "r.-.r.o.5.-.3.r-"),
        chords=("soft_organ", "organ", "organ", "clav"),
        comping=("....x.......x...", "....x.x.....x.x.", "..x...x...x...x."),
        leads=("soft_organ", "triangle_lead", "organ", "brass_saw"),
        lead_density=(0.4, 1.2),
        swing=(0.0, 0.12),
        reverb=(1.2, 2.4),
        wet=(0.15, 0.35),
        echo=0.6,
        drum_gain=(1.0, 1.3),
        brightness=-0.4,
    ),
}
