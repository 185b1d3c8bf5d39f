"""How long a GPU waits for decoding: two pools at once, as `transcribe` does, against one that decodes and then hears.

    python bench/gpu_idle.py --data ../shared/data

There is no GPU: Ray is told of one, and a stand-in for Whisper takes a fixed time a batch of windows, asleep, as a process
is that waits for a GPU. Real clips are decoded for real. `balance` is the stand-in's time a track over that of decoding one: at
1 both take as long, and waiting for each other costs most. Idle shares are the least of `--repeats`, in turn; since the work is
the same, their ratio is that of the times.

The last line is for machines without a GPU: a stand-in that computes, in two workers that each decode and hear, and in one that
hears what another decodes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from filled import source_of_clips

from ray_pipeline.config import Audio, check
from ray_pipeline.lyrics.base import Heard, LyricsParams
from ray_pipeline.lyrics.openai_whisper import BATCH
from ray_pipeline.stages import session
from ray_pipeline.stages.blocks import Job, run_job
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.featurize import ExtractFeatures, to_decode
from ray_pipeline.stages.hearing import DecodeWindows, HearLyrics
from ray_pipeline.stages.ingest import ingest, read_tracks
from ray_pipeline.stages.job import Begin, Row
from ray_pipeline.stages.transcribe import BLOCK_SIZE, GPU_BATCH

WINDOWS = BATCH["cuda"]


class StandIn:
    """A `Transcriber` that hears nothing, and takes `call_s` seconds for it."""

    model_id = "stand-in"
    batch = WINDOWS

    def __init__(self, call_s: float, computes: bool) -> None:
        self.call_s = call_s
        self.computes = computes

    def transcribe(self, windows: list[np.ndarray]) -> list[Heard]:
        for _ in range(-(-len(windows) // WINDOWS)):
            if self.computes:
                until = time.process_time() + self.call_s
                while time.process_time() < until:
                    pass
            else:
                time.sleep(self.call_s)
        return [Heard("", "en", 0.9, -0.5, 0.0)] * len(windows)


class Hear(HearLyrics):
    """Second of two pools."""

    def __init__(self, call_s: float, computes: bool = False) -> None:
        super().__init__(LyricsParams(), "cuda", "stand-in")
        self.stand_in = StandIn(call_s, computes)

    def load(self) -> None:
        self._transcriber = self.stand_in


class DecodeAndHear(Hear):
    """Both in one actor, one after the other."""

    def process(self, rows: list[Row], begin: Begin) -> list[Row]:
        decoded = _decoding().process(rows, begin)
        return super().process([row | more for row, more in zip(rows, decoded, strict=True)], begin)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--balances", type=float, nargs="+", default=[0.5, 1.0, 2.0])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as store, session.session():
        config: dict[str, Any] = {"store": store, "source": source_of_clips(options.data)}
        config |= {"lyrics": {"backend": "none"}, "resources": {"num_cpus": 2}}
        ctx = Context.of(check(config), "bench")
        _start_ray()
        ingest(ctx)
        tracks = [to_decode(track) for track in read_tracks(ctx)]
        decode_s, featurize_s = _cpu_seconds(tracks)
        print(f"of a CPU, a track: windows decoded {decode_s:.3f} s; featurize {featurize_s:.3f} s", flush=True)
        for balance in options.balances:
            print(_on_pretend_gpu(ctx, tracks, balance, balance * decode_s * WINDOWS, options.repeats), flush=True)
        print(_on_cpus(ctx, tracks, options.repeats), flush=True)


def _start_ray() -> None:
    os.environ |= session._QUIET | {"RAY_AUTH_MODE": "disabled"}
    import ray

    with session.environment(session.WORKER_ENV):
        ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)


def _on_pretend_gpu(ctx: Context, tracks: list[Row], balance: float, call_s: float, repeats: int) -> str:
    two = Job("two", Hear(call_s), [], prepare=_decoding(), num_gpus=1.0, block_size=BLOCK_SIZE, batch=GPU_BATCH)
    one = Job("one", DecodeAndHear(call_s), [], num_gpus=1.0, block_size=GPU_BATCH)
    rounds = [(_idle(two, ctx, tracks), _idle(one, ctx, tracks)) for _ in range(repeats)]
    with_two, with_one = (min(side) for side in zip(*rounds, strict=True))
    ratio = (1 - with_two) / (1 - with_one)
    return f"balance {balance:g}: GPU idle {with_two:.0%} with two pools, {with_one:.0%} with one; {ratio:.2f} times as fast"


def _on_cpus(ctx: Context, tracks: list[Row], repeats: int) -> str:
    work = Hear(call_s=0.5, computes=True)
    one = Job("cpus", work, [], prepare=_decoding(), block_size=BLOCK_SIZE)
    two = Job("cpu each", work, [], prepare=_decoding(), num_gpus=1.0, block_size=BLOCK_SIZE, batch=BLOCK_SIZE)
    rounds = [(_seconds(one, ctx, tracks), _seconds(two, ctx, tracks)) for _ in range(repeats)]
    both, apart = (min(side) for side in zip(*rounds, strict=True))
    return f"without a GPU: one pool {both:.1f} s, two {apart:.1f} s; one is {apart / both:.2f} times as fast"


def _decoding() -> DecodeWindows:
    return DecodeWindows(LyricsParams(), Audio())


def _idle(job: Job, ctx: Context, tracks: list[Row]) -> float:
    run_job(job, tracks, ctx)
    return ctx.run.gpu_idle[job.stage]


def _seconds(job: Job, ctx: Context, tracks: list[Row]) -> float:
    """From the first rows that come back to the last, so that what workers take to start is left out."""
    came: list[tuple[float, int]] = []
    ctx.progress = lambda stage, done, total: came.append((time.monotonic(), done))
    run_job(job, tracks, ctx)
    (start, before), (end, after) = came[1], came[-1]
    return (end - start) / (after - before) * len(tracks)


def _cpu_seconds(tracks: list[Row]) -> tuple[float, float]:
    """What decoding its windows and `featurize` take of one CPU, a track."""
    features = ExtractFeatures(("mfcc", "mfcc_stats"), Audio())
    features.load()
    _decoding().process(tracks[:1], lambda key: None)
    works: tuple[Any, ...] = (_decoding(), features)
    found = []
    for work in works:
        start = time.process_time()
        work.process(tracks[:20], lambda key: None)
        found.append((time.process_time() - start) / 20)
    return found[0], found[1]


if __name__ == "__main__":
    main()
