"""Whisper checkpoints with random weights, saved as OpenAI saves them: small enough to make on the spot."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

SMALL = {
    "n_mels": 80,
    "n_vocab": 51_865,
    "n_audio_ctx": 1500,
    "n_audio_state": 32,
    "n_audio_head": 2,
    "n_audio_layer": 1,
    "n_text_ctx": 64,
    "n_text_state": 32,
    "n_text_head": 2,
    "n_text_layer": 1,
}


def contents(seed: int = 0, **dims: int) -> dict[str, Any]:
    """A checkpoint's two parts. Multilingual; ``n_vocab=51_864`` makes it English only."""
    import torch
    from whisper.model import ModelDimensions, Whisper

    torch.manual_seed(seed)
    model = Whisper(ModelDimensions(**(SMALL | dims)))
    # The library leaves this one as it finds the memory.
    torch.nn.init.normal_(model.decoder.positional_embedding, std=0.02)
    state = {name: tensor.half() for name, tensor in model.state_dict().items()}
    return {"dims": asdict(model.dims), "model_state_dict": state}


def save(path: Path, found: Any = None) -> Path:
    """Write `found` (default: `contents()`) to `path`."""
    import torch

    torch.save(contents() if found is None else found, path)
    return path
