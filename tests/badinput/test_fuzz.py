"""Mutated audio never gets more out of the decoder than a header, a clip or a reason, and never for long.

    RAY_PIPELINE_FUZZ=10000 pytest tests/badinput/test_fuzz.py

tries that many cases; the first hundred are those of the ordinary run. A crash of libsndfile would end one worker and make
one `worker_crash` row, which row 18 tests; here it fails, since it is a bug to be reported and, where it can be, avoided.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = int(os.environ.get("RAY_PIPELINE_FUZZ", "100"))
RUNNER = Path(__file__).with_name("fuzzing.py")


@pytest.mark.timeout(60 + CASES)
def test_mutated_audio_is_a_header_a_clip_or_a_reason(tmp_path: Path) -> None:
    command = [sys.executable, str(RUNNER), str(tmp_path), "0", str(CASES)]
    paths = os.environ | {"PYTHONPATH": str(RUNNER.parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=paths)
    *wrong, last = map(json.loads, done.stdout.splitlines())
    assert wrong == []
    assert last == {"cases": CASES}
