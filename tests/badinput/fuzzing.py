"""Damaged audio through `audio.probe` and `audio.decode`, each in a process forked from a warm one.

    PYTHONPATH=tests python tests/badinput/fuzzing.py FOLDER FIRST_SEED N

prints a line of JSON for each case that went wrong, and at last how many there were. A case is told by its seed alone.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from encoded import encode

from ray_pipeline import audio
from ray_pipeline.config import Audio

MAX_S = 5.0
MAX_GROWTH = 1.0  # GB
_KILL_S = 20
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
_EXTREMES = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


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


def flip(data: bytearray, rng: random.Random) -> None:
    """Some bits, anywhere."""
    for _ in range(rng.choice([1, 3, 30, 300])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(1, len(data)) :]


def splice(data: bytearray, rng: random.Random) -> None:
    """Noise, zeros, or a piece of itself, put in or over what is there."""
    at, size = rng.randrange(len(data)), rng.choice([1, 7, 64, 1024, 20_000])
    start = rng.randrange(len(data))
    piece = rng.choice([rng.randbytes(size), bytes(size), bytes(data[start : start + size])])
    data[at : at + rng.choice([0, size])] = piece


def header_fields(data: bytearray, rng: random.Random) -> None:
    """Extreme values where headers keep their numbers."""
    for _ in range(rng.choice([1, 1, 2, 4])):
        width = rng.choice([1, 2, 4])
        value = rng.choice(_EXTREMES) & (256**width - 1)
        at = rng.randrange(min(256, len(data)))
        data[at : at + width] = value.to_bytes(width, rng.choice(["little", "big"]))


MUTATIONS: list[Callable[[bytearray, random.Random], None]] = [flip, truncate, splice, header_fields, header_fields]


def mutated(sounds: dict[str, bytes], seed: int) -> tuple[str, bytes]:
    """The case of `seed`: its format and its bytes."""
    rng = random.Random(seed)
    name = rng.choice(sorted(sounds))
    data = bytearray(sounds[name])
    for _ in range(rng.choice([1, 1, 2])):
        rng.choice(MUTATIONS)(data, rng)
    return name, bytes(data)


def attempt(path: Path) -> str:
    """What is wrong with how `path` was dealt with, in this process; empty if nothing is."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    header = audio.probe(str(path))
    clip = audio.decode(str(path), Audio(min_decoded_ratio=0.0, min_seconds=0.01))
    seconds = time.monotonic() - start
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    if not isinstance(header, audio.Header | audio.BadAudio) or not isinstance(clip, audio.Clip | audio.BadAudio):
        return f"gave {header!r:.80} and {clip!r:.80}"
    if isinstance(clip, audio.Clip) and not np.isfinite(clip.at(22050)).all():
        return "a clip that is not finite"
    if seconds > MAX_S or growth > MAX_GROWTH:
        return f"took {seconds:.1f} s and {growth:.2f} GB"
    return ""


def forked(path: Path) -> str:
    """`attempt` in a child process; its death by a signal is told as such."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _child(path, writer)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    return f"ended by {signal.Signals(os.WTERMSIG(status)).name}" if os.WIFSIGNALED(status) else told


def _child(path: Path, writer: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # mpg123 has much to say of such files
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    signal.alarm(_KILL_S)
    try:
        told = attempt(path)
    except BaseException as error:  # noqa: BLE001 — an exception is what is looked for
        told = f"raised {error!r:.200}"
    os.write(writer, told.encode())
    os._exit(0)


def main(folder: Path, first: int, n: int) -> None:
    sounds = originals(folder)
    for seed in range(first, first + n):
        name, data = mutated(sounds, seed)
        path = folder / f"{seed}.{name}"
        path.write_bytes(data)
        told = forked(path)
        if told:
            print(json.dumps({"seed": seed, "format": name, "told": told}))
        else:
            path.unlink()
    print(json.dumps({"cases": n}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
