"""Weights from a model hub: once a machine, as they were published, and nothing asked that is there."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import Hub, hub

pytest.importorskip("huggingface_hub")

REPO = "someone/tiny"
BODY = bytes(range(256)) * 8192
FETCH = """
import json, sys
from pathlib import Path
from ray_pipeline.errors import WeightsError
from ray_pipeline.lyrics.weights import from_hub
try:
    folder = from_hub(sys.argv[1], ["*.json", "*.safetensors"], setting="text.model")
    print(json.dumps({"found": sorted(path.name for path in folder.iterdir())}))
except WeightsError as error:
    print(json.dumps({"refused": str(error)}))
"""


@pytest.fixture
def there() -> Iterator[Hub]:
    files = {"config.json": b"{}", "model.safetensors": BODY, "model.bin": b"a pickle, which nobody asks for"}
    with hub(REPO, files) as found:
        yield found


def fetching(url: str, cache: Path) -> subprocess.Popen[str]:
    """A process that fetches the model into `cache`; the hub's libraries read both from their environment."""
    env = os.environ | {
        "HF_ENDPOINT": url,
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
    }
    command = [sys.executable, "-c", FETCH, REPO]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)


def told(process: subprocess.Popen[str]) -> dict[str, object]:
    answer: dict[str, object] = json.loads(process.communicate(timeout=120)[0].splitlines()[-1])
    return answer


FOUND = {"found": ["config.json", "model.safetensors"]}


def test_two_processes_fetch_it_once_and_a_third_asks_nobody(there: Hub, tmp_path: Path) -> None:
    both = [fetching(there.url, tmp_path) for _ in range(2)]
    assert [told(one) for one in both] == [FOUND, FOUND]
    assert there.sent == {"config.json": 1, "model.safetensors": 1}
    assert told(fetching("http://127.0.0.1:9", tmp_path)) == FOUND


def test_what_is_half_fetched_is_not_taken_for_the_whole(there: Hub, tmp_path: Path) -> None:
    there.slow["model.safetensors"] = 8
    first = fetching(there.url, tmp_path)
    until = time.monotonic() + 60
    while not list(tmp_path.glob("models--*/snapshots/*/config.json")):
        assert time.monotonic() < until and first.poll() is None
        time.sleep(0.05)
    second = fetching(there.url, tmp_path)
    assert [told(first), told(second)] == [FOUND, FOUND]
    assert there.sent == {"config.json": 1, "model.safetensors": 1}


def test_what_is_not_what_was_published_is_refused_and_not_kept(there: Hub, tmp_path: Path) -> None:
    there.published["model.safetensors"] = hashlib.sha256(BODY).hexdigest()
    there.files["model.safetensors"] = BODY[:-1] + b"?"
    refused = str(told(fetching(there.url, tmp_path)).get("refused"))
    assert "its SHA-256 differs" in refused and "model.safetensors" in refused
    there.files["model.safetensors"] = BODY
    assert told(fetching(there.url, tmp_path)) == FOUND
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size == len(BODY)]
    assert {path.resolve().read_bytes() == BODY for path in kept} == {True}


def test_what_answers_and_is_no_hub_is_told(there: Hub, tmp_path: Path) -> None:
    there.about = lambda path: ["no", "hub"]  # type: ignore[method-assign]
    refused = str(told(fetching(there.url, tmp_path)).get("refused"))
    assert refused.startswith(f"no weights for '{REPO}': {there.url}")
