"""OpenAI's own Whisper (PyTorch; float16 on a GPU, float32 on a CPU): one encoder pass and one greedy decoding a window.

The library's `DecodingTask` decodes log-mels in batches, as `whisper.decode` does; its `transcribe`, which goes through
one file at a time, is not used, for the reasons that `faster_whisper.py` gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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

# One at a time on a CPU, where batches gain little and a window's words could depend on what it is batched with. On a GPU
# three windows of each of the 32 tracks that a worker is given; docs/gpu.md has what more windows at once are worth.
BATCH = {"cpu": 1, "cuda": 96}

# A window caught in a loop is decoded once more with this, as in faster_whisper.py.
NO_REPEAT_NGRAM = 4

# What PyTorch, cuBLAS and cuDNN say when there is no room and they do not raise OutOfMemoryError.
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
        self._half = device == "cuda"
        self._model = openai_checkpoint.load(openai_checkpoint.find(params.model), device, half=self._half)
        self._language = None if params.language == "auto" else params.language
        if not self._model.is_multilingual:
            self._language = "en"

    @staticmethod
    def check(params: Params, *, fetch: bool = True) -> str:
        """Find, verify and open the weights; cheap once they are on this machine. Gives the model id with their digest.

        Raises
        ------
        WeightsError
            They cannot be had, or are no checkpoint of tensors alone.
        NotFetched
            They are not on this machine, and without `fetch` they stay so.
        ConfigError
            No such model or language.
        """
        path = openai_checkpoint.find(params.model, fetch=fetch)
        dims, _ = openai_checkpoint.read(path)
        known = _languages(dims.n_vocab)
        if params.language not in ("auto", *known):
            raise ConfigError(f"lyrics.language: '{params.language}'{suggest(params.language, known)}")
        return f"openai-whisper:{path.stem}@{weights.sha256(path)[:8]}"

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
                if not _no_room(error):
                    raise
                if self.batch == 1:
                    raise MemoryError(f"{self.model_id}: no room on the device for one window") from error
                self.batch //= 2
        return heard

    def _hear(self, windows: list[np.ndarray]) -> list[Heard]:
        import torch

        with torch.inference_mode(), one_thread():
            encoded = self._model.encoder(self._log_mels(windows))
            heard = self._decode(encoded)
            if any(window.compression_ratio > LOOP_RATIO for window in heard):
                again = self._decode(encoded, no_repeat_ngram=NO_REPEAT_NGRAM)
                pairs = zip(heard, again, strict=True)
                heard = [second if first.compression_ratio > LOOP_RATIO else first for first, second in pairs]
        return heard[: len(windows)]

    def _log_mels(self, windows: list[np.ndarray]) -> Tensor:
        """[batch, n_mels, 3000], float16 on a GPU. What windows are too few for is filled with silence.

        Always the same shape: kernels are chosen by it, and with another one a window's last bits would be others.
        """
        import torch
        from whisper.audio import log_mel_spectrogram

        fill = [np.zeros(0, np.float32)] * (self.batch - len(windows))
        # One by one: the spectrogram's floor is 80 dB below the maximum of all that it is given.
        log_mels = [
            log_mel_spectrogram(_padded(window), self._model.dims.n_mels, device=self._device)
            for window in [*windows, *fill]
        ]
        return torch.stack(log_mels).to(torch.float16 if self._half else torch.float32)

    def _decode(self, encoded: Tensor, no_repeat_ngram: int = 0) -> list[Heard]:
        """Greedy, with timestamps, from encoder output [batch, 1500, n_audio_state]."""
        from whisper.decoding import ApplyTimestampRules, DecodingTask

        from ray_pipeline.lyrics.decoding_rules import NoRepeatNgram, TimestampRules

        task = DecodingTask(self._model, self._options())
        rules = task.logit_filters
        task.logit_filters = [TimestampRules(one) if isinstance(one, ApplyTimestampRules) else one for one in rules]
        if no_repeat_ngram:
            # Ahead of the timestamps' rules, which weigh what is left.
            task.logit_filters.insert(0, NoRepeatNgram(no_repeat_ngram, task.sample_begin))
        return [
            Heard(
                text=result.text,
                language=result.language,
                no_speech_prob=result.no_speech_prob,
                avg_logprob=result.avg_logprob,
                compression_ratio=compression_ratio(result.text),
            )
            for result in task.run(encoded)
        ]

    def _options(self) -> DecodingOptions:
        from whisper.decoding import DecodingOptions
        from whisper.tokenizer import get_tokenizer

        # The library adds the other control tokens to any list that is not empty, and its default forbids captions, too.
        suppressed = [get_tokenizer(self._model.is_multilingual).sot]
        return DecodingOptions(language=self._language, suppress_tokens=suppressed, fp16=self._half)


def _no_room(error: RuntimeError) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in _NO_ROOM)


def _padded(window: np.ndarray) -> np.ndarray:
    """float32 [480,000], silence after the window's end."""
    if window.ndim != 1 or len(window) > WINDOW_SAMPLES:
        raise ValueError(f"a window is mono and at most {WINDOW_SAMPLES} samples, not of shape {window.shape}")
    return np.pad(window.astype(np.float32, copy=False), (0, WINDOW_SAMPLES - len(window)))


def _languages(n_vocab: int) -> list[str]:
    """Codes of the languages that a model with `n_vocab` tokens knows."""
    from whisper.tokenizer import LANGUAGES

    if n_vocab == openai_checkpoint.N_VOCAB[0]:
        return ["en"]
    return list(LANGUAGES)[: 99 + n_vocab - openai_checkpoint.N_VOCAB[1]]
