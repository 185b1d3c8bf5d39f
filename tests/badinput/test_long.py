"""Row 11 of BAD_INPUTS: what is long in time and small in bytes, or long in both, costs no more than its first seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from sounds import tone

RATE = 44_100  # Hz
MIX_RATE = 16_000  # Hz; ingest hashes every byte
HOUR = 3600  # s

# Looks at a file and computes its features as the stages do, in a process of its own; prints the row and what it took.
CODE = """
import json, resource, sys, time
from ray_pipeline.config import Audio
from ray_pipeline.stages.featurize import ExtractFeatures
from ray_pipeline.stages.ingest import ProbeFiles
import os
path = sys.argv[1]
found = os.stat(path)
work = ExtractFeatures(("mfcc",), Audio())
work.load()
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
row = {"uri": path, "size": found.st_size, "mtime_ns": found.st_mtime_ns, "read_tags": True}
(seen,) = ProbeFiles().process([row], lambda key: None)
(made,) = work.process([seen | {"track_id": "x"}], lambda key: None)
growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10
print(json.dumps({"ingest": seen["status"], "duration_s": seen.get("duration_s"), "status": made["status"],
                  "error": made["error"], "rms_db": made.get("rms_db"), "mb": growth, "s": time.monotonic() - start}))
"""


def measured(path: Path) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", CODE, str(path)], capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.fixture
def two_hours_of_silence(tmp_path: Path) -> Path:
    path = tmp_path / "silence.flac"
    minute = np.zeros(60 * RATE, np.int16)
    with sf.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for _ in range(120):
            file.write(minute)
    return path


@pytest.fixture
def six_hours_sparse(tmp_path: Path) -> Path:
    """A WAV file of six hours, 0.7 GB, that takes a few MB of disk: silence but for a minute in the middle."""
    path = tmp_path / "mix.wav"
    sf.write(path, np.zeros(1, np.int16), MIX_RATE)
    size = 6 * HOUR * MIX_RATE * 2
    with path.open("r+b") as file:
        file.seek(4)
        file.write((36 + size).to_bytes(4, "little"))
        file.seek(40)
        file.write(size.to_bytes(4, "little"))
        file.seek(44 + size // 2 - 30 * MIX_RATE * 2)
        file.write((tone(60, MIX_RATE) * 32767).astype("<i2").tobytes())
        file.truncate(44 + size)
    return path


def test_row_11_two_hours_of_silence_in_a_megabyte(two_hours_of_silence: Path) -> None:
    assert two_hours_of_silence.stat().st_size < 1_500_000
    found = measured(two_hours_of_silence)
    assert (found["ingest"], found["duration_s"], found["status"]) == ("ok", 2 * HOUR, "silent")
    assert found["mb"] < 300


def test_row_11_six_hour_mix(six_hours_sparse: Path) -> None:
    if six_hours_sparse.stat().st_blocks * 512 > 100 * 2**20:
        pytest.skip("this file system knows no sparse files")
    found = measured(six_hours_sparse)
    assert (found["ingest"], found["duration_s"], found["status"]) == ("ok", 6 * HOUR, "ok")
    assert found["rms_db"] > -20  # the middle was decoded, not the start
    assert found["mb"] < 300
