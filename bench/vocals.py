"""Whether the songs among real clips are told from the music without words, and which evidence tells them apart.

    python bench/vocals.py --data ../shared/data [--doc docs/vocals.md]

Prints the tables, and writes them into the page between its two marks. Ends with 1 if a limit is not kept.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from unittest.mock import patch

import numpy as np
from real_clips import TINY_EN, Clip, read_clips

from ray_pipeline.lyrics import vocals
from ray_pipeline.lyrics.base import SAMPLE_RATE, Heard, Transcriber
from ray_pipeline.lyrics.faster_whisper import FasterWhisper
from ray_pipeline.lyrics.faster_whisper import Params as FasterParams
from ray_pipeline.lyrics.openai_whisper import OpenAIWhisper
from ray_pipeline.lyrics.openai_whisper import Params as OpenAIParams

MIN_KEPT, MAX_MADE_UP = 0.90, 0.05
MARKS = ("<!-- bench/vocals.py writes from here -->", "<!-- to here -->")

SUNG, BY_EAR_OF_WHISPER, UNKNOWN, WORDLESS = (
    "sung, by the manifest",
    "sung, by Whisper alone",
    "not known",
    "taken as without words",
)
GROUPS = (SUNG, BY_EAR_OF_WHISPER, UNKNOWN, WORDLESS)

# What each kind of evidence in vocals.py rests on, set so that it never speaks.
OFF: dict[str, dict[str, object]] = {
    "captions": {"_CAPTION": re.compile(r"(?!)")},
    "fillers": {"_FILLER": frozenset()},
    "loops": {"LOOP_RATIO": inf},
    "no speech and unsure": {"NO_SPEECH_PROB": inf},
    "unsure": {"FLOOR_LOGPROB": -inf},
    "few words": {"MIN_DISTINCT_WORDS": 0},
}

# Of each clip, what is decided on together: all its windows, or each half by itself.
HeardBy = dict[Clip, list[list[Heard]]]


def main() -> None:
    """Listen with both backends; print and write what came of it."""
    options = _options()
    clips = read_clips(options.data)
    backends: dict[str, Transcriber] = {
        "faster-whisper, int8": FasterWhisper(FasterParams(model="tiny.en")),
        "openai-whisper, float32": OpenAIWhisper(OpenAIParams(model=str(options.data.parent / TINY_EN))),
    }
    whole = {name: {clip: [one.transcribe(clip.windows())] for clip in clips} for name, one in backends.items()}
    halves = {
        name: {clip: [[heard] for heard in one.transcribe(_halves(clip))] for clip in clips}
        for name, one in backends.items()
    }
    lines = [*_table("Clips", whole), *_table("Halves of clips, 15 s each, heard and decided apart", halves)]
    for name in backends:
        lines += _ablation(f"{name}, clips", whole[name]) + _ablation(f"{name}, halves", halves[name])
    kept = all(_within_limits(heard) for heard in whole.values())
    lines += ["", f"Limits, songs kept >= {MIN_KEPT:.0%} and text over music without words <= {MAX_MADE_UP:.0%}: "]
    lines[-1] += "kept by both on whole clips." if kept else "NOT kept."
    print("\n".join(lines))
    _write(options.doc, lines)
    sys.exit(not kept)


def group(clip: Clip) -> str:
    """What is known of a clip's singing; docs/vocals.md says from where."""
    if clip.language:
        return SUNG
    if clip.collection == "fretsonfire-songs-muldjord":
        return BY_EAR_OF_WHISPER
    return UNKNOWN if clip.title == "tux_rap" else WORDLESS


def _halves(clip: Clip) -> list[np.ndarray]:
    [window] = clip.windows(1)
    return [window[: 15 * SAMPLE_RATE], window[15 * SAMPLE_RATE :]]


def _table(title: str, heard_by: dict[str, HeardBy]) -> list[str]:
    """How much of each group has text."""
    lines = ["", f"### {title}", "", f"| with text | {' | '.join(GROUPS)} |", f"|---|{'---|' * len(GROUPS)}"]
    for name, heard in heard_by.items():
        cells = [_share(*_with_text(heard, one)) for one in GROUPS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _with_text(heard: HeardBy, *groups: str) -> tuple[int, int]:
    """How many of these groups have text, and how many there are."""
    found = [windows for clip, parts in heard.items() if group(clip) in groups for windows in parts]
    return sum(vocals.decide(windows).has_vocals for windows in found), len(found)


def _within_limits(heard: HeardBy) -> bool:
    kept, songs = _with_text(heard, SUNG, BY_EAR_OF_WHISPER)
    made_up, wordless = _with_text(heard, WORDLESS)
    return kept >= MIN_KEPT * songs and made_up <= MAX_MADE_UP * wordless


def _ablation(name: str, heard: HeardBy) -> list[str]:
    lines = ["", f"### Each evidence by itself, and all but it: {name}", ""]
    lines += ["| evidence | songs kept: it alone | made up: it alone | songs kept: all others | made up: all others |"]
    lines += ["|---|---|---|---|---|"]
    none, every = set(OFF), set[str]()
    lines.append(f"| none | {_scores(heard, none)} | | |")
    for evidence in OFF:
        lines.append(f"| {evidence} | {_scores(heard, none - {evidence})} | {_scores(heard, {evidence})} |")
    with patch.object(vocals, "UNSURE_LOGPROB", inf):
        lines.append(
            f"| no_speech_prob > {vocals.NO_SPEECH_PROB} | {_scores(heard, none - {'no speech and unsure'})} | | |"
        )
    return [*lines, f"| all | {_scores(heard, every)} | | |"]


def _scores(heard: HeardBy, off: set[str]) -> str:
    with _without(off):
        return f"{_share(*_with_text(heard, SUNG, BY_EAR_OF_WHISPER))} | {_share(*_with_text(heard, WORDLESS))}"


@contextmanager
def _without(evidence: set[str]) -> Iterator[None]:
    settings = {key: value for name in evidence for key, value in OFF[name].items()}
    if not settings:
        yield
        return
    with patch.multiple(vocals, **settings):
        yield


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.0%})"


def _write(page: Path, lines: list[str]) -> None:
    before, rest = page.read_text(encoding="utf-8").split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    body = "\n".join(lines).strip()
    page.write_text(f"{before}{MARKS[0]}\n\n{body}\n\n{MARKS[1]}{after}", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with clips/ and fma/")
    parser.add_argument("--doc", type=Path, default=Path("docs/vocals.md"), help="page to write the tables into")
    return parser.parse_args()


if __name__ == "__main__":
    main()
