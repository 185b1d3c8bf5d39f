"""A checkpoint is found, or downloaded once, and opened."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import whisper
from whisper_checkpoints import save

from ray_pipeline.errors import ConfigError, WeightsError
from ray_pipeline.lyrics import openai_checkpoint, weights
from ray_pipeline.lyrics.openai_whisper import OpenAIWhisper, Params


def test_a_checkpoint_gives_its_dimensions_and_weights(tmp_path: Path) -> None:
    dims, state = openai_checkpoint.read(save(tmp_path / "random.pt"))
    assert (dims.n_vocab, dims.n_audio_state, dims.n_text_layer) == (51_865, 32, 1)
    assert state["decoder.token_embedding.weight"].shape == (51_865, 32)


def test_check_names_the_model_and_its_digest(tmp_path: Path) -> None:
    path = save(tmp_path / "random.pt")
    assert OpenAIWhisper.check(Params(model=str(path))) == f"openai-whisper:random@{weights.sha256(path)[:8]}"


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


def test_two_processes_download_it_once(server: Server) -> None:
    ask = (
        f"import whisper; whisper._MODELS['tiny'] = {whisper._MODELS['tiny']!r}\n"
        "from ray_pipeline.lyrics import openai_checkpoint; print(openai_checkpoint.find('tiny'))"
    )
    asking = [subprocess.Popen([sys.executable, "-c", ask], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = {one.communicate(timeout=200)[0].strip() for one in asking}
    assert [Path(path).read_bytes() for path in found] == [server.data]
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
