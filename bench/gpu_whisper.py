"""Whisper's share of bench/gpu.py: how many windows at once, what the rules of decoding cost, and the memory it takes."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from real_clips import read_clips

BATCHES = (4, 16, 48, 96)
SIZES = {"base": (512, 6, 8), "small": (768, 12, 12), "medium": (1024, 24, 16)}  # width, layers, heads


def batches(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    from ray_pipeline.lyrics import decoding_rules
    from ray_pipeline.lyrics.openai_whisper import OpenAIWhisper, Params

    windows = [window for clip in read_clips(options.data) for window in clip.windows(1)]
    windows = (windows * -(-192 // len(windows)))[:192]
    whisper = OpenAIWhisper(Params(model=str(options.whisper)), "cuda")
    rates = {batch: _rate(whisper, windows, batch) for batch in BATCHES}
    yield f"{len(windows)} windows of 30 s, one call."
    yield ""
    yield "| windows at once | " + " | ".join(map(str, BATCHES)) + " |"
    yield "|---|" + "---|" * len(BATCHES)
    yield "| windows a second, over those at 4 | " + " | ".join(f"{r / rates[4]:.1f}" for r in rates.values()) + " |"
    with patch.object(decoding_rules, "TimestampRules", lambda library: library):
        slow = _rate(whisper, windows, 16)
    yield ""
    yield f"16 at once with the library's own timestamp rules: {slow / rates[16]:.2f} times as many a second."
    yield ""
    yield _without_room(whisper, windows[:16])
    yield ""
    yield from _memory(whisper, windows[:48])


def _rate(whisper: Any, windows: list[np.ndarray], batch: int) -> float:
    """Windows a second."""
    whisper.batch = batch
    whisper.transcribe(windows[:batch])
    start = time.monotonic()
    whisper.transcribe(windows)
    return len(windows) / (time.monotonic() - start)


def _memory(whisper: Any, windows: list[np.ndarray]) -> Iterator[str]:
    """Models of other sizes, with weights drawn at random: they say nothing, and take the room that they take."""
    import torch
    from whisper.model import Whisper

    dims = whisper._model.dims
    yield f"| model | weights, GB | with {len(windows)} windows at once, GB |"
    yield "|---|---|---|"
    whisper.batch = len(windows)
    for name, (width, layers, heads) in SIZES.items():
        sizes = {"n_audio_state": width, "n_audio_layer": layers, "n_audio_head": heads}
        sizes |= {name.replace("audio", "text"): value for name, value in sizes.items()}
        whisper._model = None
        torch.cuda.empty_cache()
        whisper._model = _in_half(Whisper(replace(dims, **sizes))).cuda().eval()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        whisper.transcribe(windows)
        yield f"| {name} | {before / 1e9:.1f} | {torch.cuda.max_memory_allocated() / 1e9:.1f} |"


def _in_half(model: Any) -> Any:
    """As `openai_checkpoint.load` does it."""
    from whisper.model import Conv1d, Linear

    for layer in model.modules():
        if isinstance(layer, Linear | Conv1d):
            layer.half()
    return model


def _without_room(whisper: Any, windows: list[np.ndarray]) -> str:
    """What becomes of a batch on a card that has no room for it: the real error, by a cap on this process's memory."""
    import torch

    whisper.batch = len(windows)
    torch.cuda.reset_peak_memory_stats()
    free = whisper.transcribe(windows)
    least, most = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((least + (most - least) / 2) / whole)
    capped = whisper.transcribe(windows)
    torch.cuda.set_per_process_memory_fraction(1.0)
    same = sum(a.text == b.text for a, b in zip(free, capped, strict=True))
    assert whisper.batch < len(windows)
    return (
        f"With half of the memory that {len(windows)} windows take, the card refuses them; they are heard"
        f" {whisper.batch} at a time, and {same} of {len(windows)} texts are the same."
    )
