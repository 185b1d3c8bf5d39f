"""Damaged audio never gets more out of the decoder than a header, a clip or a reason, and never for long.

`make fuzz` tries 20,000 cases and leaves what came of them in docs/fuzz.json. A crash of libsndfile would end one worker and
make one `worker_crash` row, which row 18 tests; here it fails, since it is a bug to be reported and, where it can be, avoided.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
import soundfile
from damage import seal
from sounds import tone

CASES = 100
RUNNER = Path(__file__).with_name("fuzzing.py")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of the cases of the ordinary run."""
    command = [sys.executable, str(RUNNER), str(tmp_path_factory.mktemp("fuzz")), str(CASES)]
    paths = os.environ | {"PYTHONPATH": os.pathsep.join([str(RUNNER.parents[1]), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=paths)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_damaged_audio_is_a_header_a_clip_or_a_reason(told: dict[str, Any]) -> None:
    assert told["wrong"] == ""
    assert told["cases"] == CASES


def test_it_gets_as_far_as_clips_and_as_many_reasons(told: dict[str, Any]) -> None:
    """A fuzzer whose cases all end at the header would show nothing."""
    assert told["became"]["clip"] > CASES / 10
    assert len(told["became"]) >= 4
    assert {"wav", "flac", "ogg", "mp3"} <= set(told["formats"])


def test_a_sealed_ogg_is_read_again(tmp_path: Path) -> None:
    """The checksums that the fuzzer writes are those that libogg wants."""
    path = tmp_path / "a.ogg"
    soundfile.write(path, tone(0.5, 22050), 22050, format="OGG", subtype="VORBIS")
    whole = path.read_bytes()
    sealed = bytearray(whole)
    seal(sealed)
    assert zlib.crc32(sealed) == zlib.crc32(whole)
