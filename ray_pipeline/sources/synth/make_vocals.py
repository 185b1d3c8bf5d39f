"""Speak the lines of `vocals/lines.json` with espeak-ng and keep them as the OGG stems beside it.

    python -m ray_pipeline.sources.synth.make_vocals

Only who changes the lines needs this, and espeak-ng (https://github.com/espeak-ng/espeak-ng); the stems are part of the
package. A low `range` makes the voice chant on one note, so that a track can tune it to its key.
"""

from __future__ import annotations

import io
import subprocess
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import soundfile as sf

from ray_pipeline.sources.synth.voice import Speaker, stem_path, themes

TRIM = 0.02  # of the peak; what is quieter at either end is cut
RATE = 22_050  # Hz, what espeak-ng speaks at


def speak(text: str, speaker: Speaker) -> np.ndarray:
    """`text` as float32 mono samples at `RATE`, its silent ends cut off, with peak 0.9."""
    markup = f'<speak><prosody range="{speaker.range}%">{escape(text)}</prosody></speak>'
    command = ["espeak-ng", "-m", "--stdout", "-v", speaker.voice, "-s", str(speaker.speed), "-p", str(speaker.pitch)]
    wav = subprocess.run([*command, markup], check=True, capture_output=True).stdout
    samples, rate = sf.read(io.BytesIO(wav), dtype="float32")
    if rate != RATE:
        raise ValueError(f"espeak-ng spoke at {rate} Hz where {RATE} Hz was expected")
    samples /= np.abs(samples).max()
    loud = np.flatnonzero(np.abs(samples) > TRIM)
    return np.asarray(0.9 * samples[loud[0] : loud[-1] + 1])


def main() -> None:
    """Write one stem for each line and speaker."""
    options: dict[str, Any] = {"format": "OGG", "subtype": "VORBIS", "compression_level": 0.85}
    for theme in themes().values():
        for speaker_index, speaker in enumerate(theme.speakers):
            for line_index, line in enumerate(theme.lines):
                path = stem_path(theme.name, speaker_index, line_index)
                sf.write(path, speak(line, speaker), RATE, **options)


if __name__ == "__main__":
    main()
