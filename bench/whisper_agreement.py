"""How far two Whispers agree on the words of real songs, given the same weights: word error rate, after OpenAI's normaliser.

    python bench/whisper_agreement.py --data ../shared/data [CLIP_ID …]

The reference is openai-whisper in float32. Without clip ids: the clips that the manifest marks as sung, the four of muldjord,
and those of the ten FMA clips in which openai-whisper hears words.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
from real_clips import TINY_EN, Clip, fma_clips, read_clips

from ray_pipeline.lyrics import faster_whisper, vocals
from ray_pipeline.lyrics.base import Transcriber
from ray_pipeline.lyrics.faster_whisper import FasterWhisper
from ray_pipeline.lyrics.openai_whisper import OpenAIWhisper, Params


def main() -> None:
    """Print the table: a line a clip, and the sum over all words."""
    options = _options()
    reference = OpenAIWhisper(Params(model=str(options.data.parent / TINY_EN)))
    others = {"int8": faster("int8"), "float32": faster("float32")}
    print(f"| clip | words | {' | '.join(f'faster-whisper {name}' for name in others)} |")
    print(f"|---|---|{'---|' * len(others)}")
    counts = []
    for clip in _chosen(options.data, options.clips):
        windows = clip.windows()
        text = vocals.decide(reference.transcribe(windows)).text
        words = normalise(text)
        if not words:
            continue
        edits = [distance(words, normalise(vocals.decide(other.transcribe(windows)).text)) for other in others.values()]
        counts.append([len(words), *edits])
        print(f"| {clip.clip_id} {clip.title} | {_row(counts[-1])} |", flush=True)
    print(f"| all | {_row(np.sum(counts, axis=0).tolist())} |")


def faster(compute_type: str) -> Transcriber:
    """faster-whisper tiny.en on a CPU, computing in `compute_type`."""
    with patch.dict(faster_whisper.COMPUTE_TYPE, cpu=compute_type):
        return FasterWhisper(faster_whisper.Params(model="tiny.en"))


def normalise(text: str) -> list[str]:
    """Words, lower-case, without punctuation, spelt one way: how Whisper's authors count errors."""
    from whisper.normalizers import EnglishTextNormalizer

    normaliser: Callable[[str], str] = EnglishTextNormalizer()
    return normaliser(text).split()


def distance(reference: list[str], other: list[str]) -> int:
    """Fewest words to put in, leave out or replace (Levenshtein)."""
    row = np.arange(len(other) + 1)
    for word in reference:
        cheapest = np.minimum(row[1:] + 1, row[:-1] + (np.array(other) != word) if other else row[1:])
        # Putting words in costs 1 each, from wherever it is cheapest to begin.
        at = np.arange(len(other) + 1)
        row = np.minimum.accumulate(np.concatenate([row[:1] + 1, cheapest]) - at) + at
    return int(row[-1])


def _row(counts: list[int]) -> str:
    words, *edits = counts
    return " | ".join([str(words), *(f"{edited / words:.1%}" for edited in edits)])


def _chosen(data: Path, ids: list[str]) -> list[Clip]:
    clips = [*read_clips(data), *fma_clips(data)]
    if ids:
        return [clip for clip in clips if clip.clip_id in ids]
    return [clip for clip in clips if clip.language or clip.collection.endswith("muldjord")]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", metavar="CLIP_ID", help="of clips/manifest.csv, or an FMA track's number")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with clips/ and fma/")
    return parser.parse_args()


if __name__ == "__main__":
    main()
