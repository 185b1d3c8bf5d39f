"""Nothing that a run starts on this machine listens beyond loopback."""

from __future__ import annotations

import os
import re
import shlex
import socket
import time
import uuid
from pathlib import Path

import pytest
from head import ENV, started
from listening import is_loopback, listening
from small_job import MARK, config_file, marked, start
from sounds import write

pytestmark = [pytest.mark.ray, pytest.mark.slow]
ROOT = Path(__file__).parents[2]

# As a user's shell is: without what tests of clusters set.
PLAIN = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}


def seen_of(command: str, folder: Path, **sections: object) -> set[tuple[str, int]]:
    """Every (address, port) on which processes of ``ray-pipeline COMMAND`` listened while it ran; it must end with 0."""
    for name in "abcdef":
        write(folder / "music" / f"{name}.wav")
    word = uuid.uuid4().hex
    job = start(command, config_file(folder, **sections), env=PLAIN | {MARK: word})
    seen: set[tuple[str, int]] = set()
    while job.poll() is None:
        seen |= listening(marked(word))
        time.sleep(0.3)
    said, _ = job.communicate(timeout=60)
    assert job.returncode == 0, said
    return seen


def beyond(seen: set[tuple[str, int]]) -> set[tuple[str, int]]:
    return {one for one in seen if not is_loopback(one[0])}


def test_a_socket_that_listens_everywhere_would_be_seen() -> None:
    with socket.create_server(("0.0.0.0", 0)) as wide, socket.create_server(("127.0.0.1", 0)) as narrow:
        seen = listening([os.getpid()])
        assert wide.getsockname() in beyond(seen)
        assert narrow.getsockname() in seen - beyond(seen)


def test_what_ingest_starts_listens_on_loopback(tmp_path: Path) -> None:
    seen = seen_of("ingest", tmp_path)
    assert len(seen) >= 4, "the raylet, its GCS and its workers listen somewhere"
    assert beyond(seen) == set()


@pytest.mark.slow
def test_what_a_whole_run_starts_listens_on_loopback(tmp_path: Path) -> None:
    """With a worker of Ray Train."""
    training = {"epochs": 2, "num_workers": 1, "use_gpu": False}
    seen = seen_of("run", tmp_path, training=training, model={"kind": "vae", "latent_dim": 2, "hidden": [8]})
    assert beyond(seen) == set()


@pytest.mark.slow
def test_the_head_that_the_readme_starts_listens_on_loopback() -> None:
    """Its own words; ports apart, so that it does not meet another."""
    [line] = re.findall(r"^(RAY_AUTH_MODE=disabled .*ray start --head.*?)(?:   #.*)?$", _readme(), re.M)
    words = shlex.split(line)
    said = dict(word.split("=", 1) for word in words[: words.index("ray")])
    with started(env=PLAIN | {"PATH": ENV["PATH"]} | said, words=words[words.index("--head") + 1 :]) as head:
        seen: set[tuple[str, int]] = set()
        until = time.monotonic() + 60
        while len(seen) < 4 and time.monotonic() < until:  # its agents come a moment after it
            seen |= listening(marked(head.mark))
            time.sleep(0.5)
    assert len(seen) >= 4
    assert beyond(seen) == set()


def _readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")
