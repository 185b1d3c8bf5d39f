"""Damaged audio through `audio.probe` and `audio.decode`, each case in a process forked from a warm one.

    PYTHONPATH=tests python tests/badinput/fuzzing.py FOLDER N

prints one line of JSON: how many cases there were, what came of them, what they took, and `wrong`, the smallest case that
shows what went wrong first, whose bytes are then left in FOLDER. Ends with 1 if there is one. Its progress goes to stderr.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from damage import damaged
from encoded import encode
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis.errors import Flaky

from ray_pipeline import audio
from ray_pipeline.config import Audio

MAX_S = 5.0  # of CPU
MAX_GROWTH = 1.0  # GB
_KILL_S = 20  # of CPU, counted from the process's start
_HANGS_S = 300  # on the clock, which a busy machine is slow by; all else is told by the CPU's time
_ADDRESS_SPACE = 6 * 2**30  # bytes; a machine is not to be brought down by what this looks for

SNDFILE = {
    "wav": ("WAV", "PCM_16"),
    "float.wav": ("WAV", "FLOAT"),
    "adpcm.wav": ("WAV", "IMA_ADPCM"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "w64": ("W64", "PCM_16"),
}
FFMPEG = {"m4a": "aac", "aac": "aac", "wma": "wmav2", "webm": "libopus", "mka": "flac", "wv": "wavpack"}


def originals(folder: Path) -> dict[str, bytes]:
    """A sound file of 1.5 s in each format, as bytes."""
    rate = 24_000
    t = np.arange(int(1.5 * rate)) / rate
    noise = np.random.default_rng(0).normal(0, 0.05, (len(t), 2))
    samples = (0.4 * np.sin(2 * np.pi * 330 * t)[:, None] + noise).astype(np.float32)
    for name, (form, subtype) in SNDFILE.items():
        soundfile.write(folder / f"original.{name}", samples, rate, format=form, subtype=subtype)
    for name, codec in FFMPEG.items() if audio.ffmpeg.installed() else ():
        encode(folder / f"original.{name}", samples, rate, codec)
    return {path.name.partition(".")[2]: path.read_bytes() for path in folder.glob("original.*")}


def attempt(path: Path) -> dict[str, Any]:
    """How `path` was dealt with, in this process; `wrong` is empty if nothing is."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    header = audio.probe(str(path))
    clip = audio.decode(str(path), Audio(min_decoded_ratio=0.0, min_seconds=0.01))
    seconds = time.process_time() - start
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    wrong = ""
    if not isinstance(header, audio.Header | audio.BadAudio) or not isinstance(clip, audio.Clip | audio.BadAudio):
        wrong = f"gave {header!r:.80} and {clip!r:.80}"
    elif isinstance(clip, audio.Clip) and not np.isfinite(clip.at(22050)).all():
        wrong = "a clip that is not finite"
    elif seconds > MAX_S or growth > MAX_GROWTH:
        wrong = f"took {seconds:.1f} s and {growth:.2f} GB"
    became = "clip" if isinstance(clip, audio.Clip) else str(getattr(clip, "status", "?"))
    return {"wrong": wrong, "became": became, "seconds": seconds, "growth": growth}


def forked(path: Path) -> dict[str, Any]:
    """`attempt` in a child process; its death by a signal is told as such."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _child(path, writer)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return _ended(f"ended by {signal.Signals(os.WTERMSIG(status)).name}")
    found: dict[str, Any] = json.loads(told)
    return found


def _ended(wrong: str) -> dict[str, Any]:
    return {"wrong": wrong, "became": "nothing", "seconds": 0.0, "growth": 0.0}


def _child(path: Path, writer: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # mpg123 has much to say of such files
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CPU, (_KILL_S, _KILL_S))
    signal.alarm(_HANGS_S)
    try:
        told = attempt(path)
    except BaseException as error:  # noqa: BLE001 — an exception is what is looked for
        told = _ended(f"raised {error!r:.200}")
    os.write(writer, json.dumps(told).encode())
    os._exit(0)


class Wrong(Exception):
    """What was made of a case is not what may be made of one."""


class Tally:
    """Runs cases, and keeps count of what came of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.formats: Counter[str] = Counter()
        self.became: Counter[str] = Counter()
        self.slowest_s = self.most_gb = 0.0

    def try_one(self, name: str, data: bytes) -> None:
        path = self.folder / f"case.{name}"
        path.write_bytes(data)
        told = forked(path)
        self.formats[name] += 1
        self.became[told["became"]] += 1
        self.slowest_s = max(self.slowest_s, told["seconds"])
        self.most_gb = max(self.most_gb, told["growth"])
        if sum(self.formats.values()) % 1000 == 0:
            print(f"{sum(self.formats.values()):,} cases", dict(self.became), file=sys.stderr, flush=True)
        if told["wrong"]:
            raise Wrong(f"{path}: {told['wrong']}")


def fuzz(folder: Path, n: int) -> dict[str, Any]:
    """What came of `n` cases, the same ones each time; fewer if one of them goes wrong."""
    tally = Tally(folder)

    @settings(
        max_examples=n,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged(originals(folder)))
    def each(case: tuple[str, bytes]) -> None:
        tally.try_one(*case)

    began, wrong = time.monotonic(), ""
    try:
        each()
    except Wrong as error:
        wrong = str(error)
    except Flaky as error:
        wrong = f"once, and not again: {str(error).splitlines()[-1]}"
    return {
        "cases": sum(tally.formats.values()),
        "wrong": wrong,
        "became": dict(tally.became.most_common()),
        "formats": dict(sorted(tally.formats.items())),
        "slowest_s": round(tally.slowest_s, 3),
        "largest_growth_gb": round(tally.most_gb, 3),
        "took_s": round(time.monotonic() - began, 1),
        "versions": {name: version(name) for name in ("soundfile", "av", "hypothesis")}
        | {"libsndfile": soundfile.__libsndfile_version__},
    }


if __name__ == "__main__":
    summary = fuzz(Path(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps(summary))
    sys.exit(1 if summary["wrong"] else 0)
