"""`transcribe`'s two pools on a Ray that is told of a GPU there is not, with a stand-in for the model; a process of its own.

    python pretend_gpu.py FOLDER SCENARIO [ADDRESS]

Tracks of FOLDER/music are decoded for real, in blocks of two, and "heard" four at a time by an ear that takes its time, and
that some lengths are too much for. What is done to a track is a line of FOLDER/events: what, which track, which process. The
last line printed is JSON: the rows with their files' names, and what the run's record says.

Without ADDRESS it starts a Ray of its own. SCENARIO: ``clean``; ``kill decoding`` or ``kill hearing``, which end one such
worker amid its work by SIGKILL.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray
from small_job import settings
from sounds import tone, write

from ray_pipeline import schemas
from ray_pipeline.config import check
from ray_pipeline.lyrics.base import Heard, LyricsParams
from ray_pipeline.stages import pools, session
from ray_pipeline.stages.blocks import Job, run_job
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.featurize import to_decode
from ray_pipeline.stages.hearing import DecodeWindows, HearLyrics
from ray_pipeline.stages.ingest import ingest, read_tracks
from ray_pipeline.stages.job import Begin, Row

BLOCK, BATCH = 2, 4
CALL_S = 0.6
TIMEOUT_S = 4.0
LONGEST_S = 3.5
WORDS = "{} giant metal Santas watch over us all"


def good(n: int) -> dict[str, float]:
    """`n` tracks by name, each of a length of its own: 3 s to `LONGEST_S`."""
    return {f"t{at:02d}": 3.0 + at * (LONGEST_S - 3.0) / n for at in range(n)}


def words(lengths: dict[str, float]) -> dict[str, str]:
    """What the ear hears in each."""
    return {name: WORDS.format(int(seconds * 16_000)) for name, seconds in lengths.items()}


def command(folder: Path, scenario: str, lengths: dict[str, float], *address: str) -> list[str]:
    """What runs this on tracks of these lengths, which are written."""
    for at, (name, seconds) in enumerate(lengths.items()):
        write(folder / f"music/{name}.wav", tone(seconds, rate=16_000, seed=at), rate=16_000)
    return [sys.executable, __file__, str(folder), scenario, *address]


class Ear:
    """A `Transcriber` that writes down how long each window is, and cannot bear those of 5 s and 6 s."""

    model_id = "ear"
    batch = 16

    def transcribe(self, windows: list[np.ndarray]) -> list[Heard]:
        time.sleep(CALL_S)
        if any(len(window) == 5 * 16_000 for window in windows):
            os.kill(os.getpid(), signal.SIGSEGV)
        while any(len(window) == 6 * 16_000 for window in windows):
            time.sleep(1)
        return [Heard(WORDS.format(len(window)), "en", 0.1, -0.3, 1.2) for window in windows]


class Decoding(DecodeWindows):
    def __init__(self, events: Path, *args: Any) -> None:
        super().__init__(*args)
        self.events = events
        self.row_bytes = int(LONGEST_S * 16_000 * 4)

    def process(self, rows: list[Row], begin: Begin) -> list[Row]:
        out = super().process(rows, begin)
        note(self.events, "decoded", rows)
        return out

    def _decoded(self, row: Row) -> Row:
        name = Path(row["uri"]).stem
        note(self.events, "decoding", [row])
        if name == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        while name == "hang":
            time.sleep(1)
        return super()._decoded(row)


class Hearing(HearLyrics):
    def __init__(self, events: Path, *args: Any) -> None:
        super().__init__(*args)
        self.events = events

    def load(self) -> None:
        self._transcriber = Ear()

    def process(self, rows: list[Row], begin: Begin) -> list[Row]:
        note(self.events, "hearing", rows)
        out = super().process(rows, begin)
        note(self.events, "heard", rows)
        return out


def note(events: Path, what: str, rows: list[Row]) -> None:
    """Lines that land whole, whoever else writes."""
    lines = "".join(f"{what} {row['track_id']} {os.getpid()}\n" for row in rows)
    with events.open("a") as file:
        file.write(lines)


def kill_one(what: str, events: Path) -> Any:
    """Progress that kills a worker amid `what`, once some tracks are done."""
    killed: list[int] = []

    def progress(stage: str, done: int, total: int) -> None:
        if stage != "transcribe" or done < 2 * BATCH or killed:
            return
        seen = len(events.read_text().splitlines())
        while not (new := [line for line in events.read_text().splitlines()[seen:] if line.startswith(f"{what} ")]):
            time.sleep(0.005)
        killed.append(int(new[-1].split()[2]))
        os.kill(killed[0], signal.SIGKILL)

    return progress


def main(folder: Path, scenario: str, address: str = "local") -> None:
    os.environ |= session._QUIET | {"RAY_AUTH_MODE": "disabled"}
    has: dict[str, Any] = {"num_cpus": 3, "num_gpus": 1, "include_dashboard": False} if address == "local" else {}
    ray.init(address=address, log_to_driver=False, runtime_env={"env_vars": session.WORKER_ENV}, **has)
    limits = {"num_cpus": 3, "track_timeout_s": TIMEOUT_S}
    ctx = Context.of(check(settings(folder, resources=limits)), "transcribe")
    said: list[str] = []
    ctx.say = said.append
    ingest(ctx)
    tracks = read_tracks(ctx)
    table = ctx.table("lyrics", "ear")
    table.create(schemas.LYRICS)
    events = folder / "events"
    if scenario.startswith("kill"):
        ctx.progress = kill_one(scenario.split()[1], events)
    decoding = Decoding(events, LyricsParams(windows=1), ctx.config.audio)
    job = Job(
        "transcribe",
        Hearing(events, LyricsParams(), "cuda", "ear"),
        [table],
        prepare=decoding,
        num_gpus=1.0,
        block_size=BLOCK,
        batch=BATCH,
    )
    with ctx.timed("transcribe"):
        run_job(job, [to_decode(track) for track in tracks], ctx)
        ctx.run.done["transcribe"] = len(tracks)
    names = {track["track_id"]: Path(track["uri"]).stem for track in tracks}
    rows = [row | {"name": names[row["track_id"]]} for row in table.read().to_pylist()]
    run = {name: getattr(ctx.run, name) for name in ("done", "rates", "retried", "bad", "gpu_idle", "time")}
    print(json.dumps({"rows": rows, "run": run, "said": said, "room": pools.BATCHES_AHEAD * BATCH}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
