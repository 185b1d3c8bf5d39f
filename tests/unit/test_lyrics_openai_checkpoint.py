"""A checkpoint is opened without running what is in it, refused where it is no Whisper, and downloaded once."""

from __future__ import annotations

import hashlib
import os
import pickle
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import whisper
from whisper_checkpoints import contents, save

from ray_pipeline.errors import ConfigError, WeightsError
from ray_pipeline.lyrics import openai_checkpoint, weights
from ray_pipeline.lyrics.openai_whisper import OpenAIWhisper, Params


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_checkpoint_gives_its_dimensions_and_weights(tmp_path: Path) -> None:
    dims, state = openai_checkpoint.read(save(tmp_path / "random.pt"))
    assert (dims.n_vocab, dims.n_audio_state, dims.n_text_layer) == (51_865, 32, 1)
    assert state["decoder.token_embedding.weight"].shape == (51_865, 32)


def test_check_names_the_model_and_its_digest(tmp_path: Path) -> None:
    path = save(tmp_path / "random.pt")
    assert OpenAIWhisper.check(Params(model=str(path))) == f"openai-whisper:random@{weights.sha256(path)[:8]}"


@pytest.mark.parametrize("form", ["alone", "in a checkpoint", "as the zip's pickle"])
def test_a_pickle_bomb_is_refused_and_does_not_go_off(tmp_path: Path, form: str) -> None:
    path, mark = tmp_path / "bomb.pt", tmp_path / "it-ran"
    if form == "alone":
        path.write_bytes(pickle.dumps(Bomb(mark)))
    elif form == "in a checkpoint":
        save(path, contents() | {"extra": Bomb(mark)})
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("bomb/data.pkl", pickle.dumps(Bomb(mark)))
            archive.writestr("bomb/version", "3\n")
    with pytest.raises(WeightsError, match="refused") as raised:
        OpenAIWhisper.check(Params(model=str(path)))
    assert "weights_only=False" not in str(raised.value)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Bomb(mark)))
    assert mark.exists(), "the bomb was a dud, so this test shows nothing"


NOISE = np.random.default_rng(0).bytes(5000)


@pytest.mark.parametrize(
    "data", [b"", b"<html>not found</html>", NOISE, b"PK\x03\x04" + NOISE], ids=["empty", "html", "noise", "zip"]
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="refused"):
        openai_checkpoint.read(path)


def test_a_checkpoint_cut_short_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "model.pt")
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(WeightsError, match="refused"):
        openai_checkpoint.read(path)


def _without(key: str, found: dict[str, Any]) -> Any:
    return {name: value for name, value in found.items() if name != key}


def _with_dims(found: dict[str, Any], **dims: Any) -> Any:
    return found | {"dims": found["dims"] | dims}


def _with_weight(name: str, tensor: Any, found: dict[str, Any]) -> Any:
    return found | {"model_state_dict": found["model_state_dict"] | {name: tensor}}


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (lambda found: torch.zeros(3), "holds a Tensor"),
        (partial(_without, "dims"), "lacks parts"),
        (partial(_without, "model_state_dict"), "lacks parts"),
        (partial(_with_dims, n_vocab=10**12), "its dims say n_vocab = 1000000000000, its weights 51865"),
        (partial(_with_dims, n_text_layer=7), "its dims say n_text_layer = 7"),
        (partial(_with_dims, n_text_head=5), "5 attention heads"),
        (partial(_with_dims, n_text_head=0), "0 attention heads"),
        (partial(_with_dims, n_mels="80"), "not whole numbers"),
        (partial(_with_dims, depth=3), "dims are not a Whisper's"),
        (partial(_with_weight, "decoder.positional_embedding", torch.zeros(64)), "lacks parts"),
        (partial(_with_weight, "more", torch.zeros(1).expand(10**6, 10**6)), "more than the file has"),
    ],
)
def test_what_is_no_whisper_is_refused(tmp_path: Path, tamper: Callable[[Any], Any], reason: str) -> None:
    path = save(tmp_path / "model.pt", tamper(contents()))
    with pytest.raises(WeightsError, match=reason):
        openai_checkpoint.read(path)


def test_dimensions_that_no_whisper_has_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "model.pt", contents(n_mels=40))
    with pytest.raises(WeightsError, match="no Whisper has"):
        openai_checkpoint.read(path)


@pytest.mark.parametrize(
    ("name", "tensor", "reason"),
    [
        ("decoder.ln.weight", torch.full((32,), torch.nan), "NaN"),
        ("decoder.ln.weight", torch.zeros(31), "refused"),
        ("decoder.extra", torch.zeros(1), "refused"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, name: str, tensor: Any, reason: str) -> None:
    path = save(tmp_path / "model.pt", _with_weight(name, tensor, contents()))
    with pytest.raises(WeightsError, match=reason):
        openai_checkpoint.load(path, "cpu", half=False)


@pytest.mark.parametrize("model", ["./none.pt", "/nowhere/tiny", "none.pt"])
def test_a_file_that_is_not_there_is_told(model: str) -> None:
    with pytest.raises(WeightsError, match="no file"):
        OpenAIWhisper.check(Params(model=model))


def test_a_folder_is_told_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is a folder") as raised:
        OpenAIWhisper.check(Params(model=str(tmp_path)))
    assert "faster-whisper" in raised.value.hint


def test_an_unknown_size_is_told_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'small\.en'"):
        OpenAIWhisper.check(Params(model="smal.en"))


class Server:
    """Serves `data` at any address, and counts how often it is fetched."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.fetched = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(200)
                self.end_headers()

            def do_GET(self) -> None:
                server.fetched += 1
                self.do_HEAD()
                time.sleep(0.2)
                self.wfile.write(server.data)

            def log_message(self, *_: object) -> None:
                return None

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Where openai-whisper believes its size "tiny" to be, with an empty cache."""
    data = save(tmp_path / "published.pt").read_bytes()
    server = Server(data)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(whisper._MODELS, "tiny", f"{server.address}/{hashlib.sha256(data).hexdigest()}/tiny.pt")
    yield server
    server.http.shutdown()
    server.http.server_close()


def test_a_size_is_downloaded_once_however_many_ask(server: Server, tmp_path: Path) -> None:
    asking = [threading.Thread(target=openai_checkpoint.find, args=("tiny",)) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert openai_checkpoint.find("tiny") == tmp_path / "cache/whisper/tiny.pt"
    assert (tmp_path / "cache/whisper/tiny.pt").read_bytes() == server.data
    assert server.fetched == 1


def test_a_download_that_was_tampered_with_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    server.data = server.data[:-1] + b"!"
    with pytest.raises(WeightsError, match="not what was published"):
        openai_checkpoint.find("tiny")
    assert [path.name for path in (tmp_path / "cache/whisper").iterdir()] == ["tiny.lock"]


def test_a_damaged_download_is_fetched_again(server: Server) -> None:
    path = openai_checkpoint.find("tiny")
    path.write_bytes(b"damaged")
    assert openai_checkpoint.find("tiny").read_bytes() == server.data


def test_a_size_out_of_reach_names_the_ways_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(whisper._MODELS, "base", f"http://127.0.0.1:9/{'0' * 64}/base.pt")
    began = time.monotonic()
    with pytest.raises(WeightsError, match="no weights for 'base'") as raised:
        OpenAIWhisper.check(Params(model="base"))
    assert time.monotonic() - began < 2 * weights.PROBE_S
    assert "faster-whisper" in raised.value.hint
    assert "lyrics.model" in raised.value.hint


def test_a_cache_that_cannot_be_written_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match="no weights for 'base'"):
        openai_checkpoint.find("base")
