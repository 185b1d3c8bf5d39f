"""OpenAI's own Whisper (PyTorch; float16 on a GPU, float32 on a CPU): one encoder pass and one greedy decoding a window.

The library's `DecodingTask` decodes log-mels in batches, as `whisper.decode` does; its `transcribe`, which goes through
one file at a time, is not used, for the reasons that `faster_whisper.py` gives.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ray_pipeline.errors import ConfigError, ResourceError
from ray_pipeline.lyrics import openai_checkpoint, weights
from ray_pipeline.lyrics.base import LOOP_RATIO, SAMPLE_RATE, WINDOW_S, Heard, LyricsParams, compression_ratio
from ray_pipeline.lyrics.one_thread import one_thread
from ray_pipeline.shelf import suggest

if TYPE_CHECKING:
    from torch import Tensor
    from whisper.decoding import DecodingOptions

WINDOW_SAMPLES = int(WINDOW_S * SAMPLE_RATE)

# One at a time on a CPU, where batches gain little and a window's words could depend on what it is batched with.
BATCH = {"cpu": 1, "cuda": 16}

# A window caught in a loop is decoded once more with this, as in faster_whisper.py.
NO_REPEAT_NGRAM = 4

# What PyTorch, cuBLAS and cuDNN say when there is no room.
_NO_ROOM = ("out of memory", "can't allocate memory", "ALLOC_FAILED")


class Params(LyricsParams):
    """Nothing of its own. `model` is one of openai-whisper's sizes, or a path to a checkpoint, a `.pt` file."""


class OpenAIWhisper:
    """A `Transcriber`. Deterministic: on a CPU the same window gives the same words whatever else is transcribed.

    Raises
    ------
    WeightsError, ConfigError
        As `check`; or the weights do not fit their dimensions.
    ResourceError
        `device` is "cuda" and there is none, or the model does not fit it.
    """

    def __init__(self, params: Params, device: str = "cpu") -> None:
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            raise ResourceError("openai-whisper was given device 'cuda', but this machine shows no GPU to PyTorch")
        self.model_id = self.check(params)
        self.batch = BATCH[device]
        self._device = device
        self._model = openai_checkpoint.load(openai_checkpoint.find(params.model), device)
        self._language = None if params.language == "auto" else params.language
        if not self._model.is_multilingual:
            self._language = "en"

    @staticmethod
    def check(params: Params) -> str:
        """Find, verify and open the weights; cheap once they are on this machine. Gives the model id with their digest.

        Raises
        ------
        WeightsError
            They cannot be had, or are no checkpoint of tensors alone.
        ConfigError
            No such model or language.
        """
        path = openai_checkpoint.find(params.model)
        dims, _ = openai_checkpoint.read(path)
        known = _languages(dims.n_vocab)
        if params.language not in ("auto", *known):
            raise ConfigError(f"lyrics.language: '{params.language}'{suggest(params.language, known)}")
        return f"openai-whisper:{Path(params.model).stem if path.samefile(params.model) else params.model}"

    def transcribe(self, windows: list[np.ndarray]) -> list[Heard]:
        """What is heard in each window, in order: float32 [n_samples] at 16,000 Hz, mono, at most 30 s.

        Raises
        ------
        MemoryError
            There is no room for one window alone; larger batches are halved until they fit.
        """
        heard: list[Heard] = []
        while len(heard) < len(windows):
            try:
                heard += self._hear(windows[len(heard) : len(heard) + self.batch])
            except RuntimeError as error:
                if not any(sign in str(error) for sign in _NO_ROOM):
                    raise
                if self.batch == 1:
                    raise MemoryError(f"{self.model_id}: no room on the device for one window") from error
                self.batch //= 2
        return heard
