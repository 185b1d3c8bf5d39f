"""What a sweep costs beside its experiments, and beside the naive way: a fresh process a trial, a DataLoader, fp32.

    python bench/sweep.py --out docs/sweep_cost.md

Made-up tracks, a grid over beta, one seed a trial, the same scores everywhere. Three ways in turn on the same CPUs:

bare    the experiments one after another in one process, one thread, nothing written
sweep   `ray-pipeline sweep`'s stage, from a Ray that is not started yet to the last row
naive   a new Python for each trial (`--naive` of them), as many at once as the sweep has slots, one thread each

Overhead a trial: sweep wall × slots ÷ trials, less the bare experiment. It is told also without the start (Ray, and the
imports of its workers): from when each slot has ended a trial. Both want a machine on which nothing else runs; what hardly
asks for it is the last figure, how long a slot is empty between two trials. Workers run at the priority of this process,
which Ray else lowers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ray_pipeline import experiment, schemas
from ray_pipeline.config import Config, check
from ray_pipeline.models.contract import joined
from ray_pipeline.stages import pipeline, session
from ray_pipeline.stages import sweep as stage
from ray_pipeline.stages.collection import read_collection
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.featurize import feature_table
from ray_pipeline.stages.ingest import tracks_table
from ray_pipeline.stages.sweep_log import Log
from ray_pipeline.sweep import read_sweep

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
WIDTH = 20
OVER_S, NAIVE = 0.5, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", default=["200x40", "2000x100"], help="tracks x epochs of a trial")
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--naive", type=int, default=8, help="trials run the naive way; their mean stands for all")
    parser.add_argument("--out", type=Path, help="a page of what came of it")
    parser.add_argument("--once", metavar="SIZE", help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=3, metavar=("STORE", "BETA", "EPOCHS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        store, beta, epochs = options.one
        _naive_trial(store, beta, epochs=int(epochs))
        return
    if options.once:
        print(json.dumps(asdict(_compare(options, *map(int, options.once.split("x"))))))
        return
    page = _intro(options)
    for size in options.sizes:
        tracks, epochs = size.split("x")
        runs = [_run(options, size) for _ in range(options.runs)]
        page += [f"{int(tracks):,} tracks, {epochs} epochs:", "", *(f"- {line}" for line in _told(runs)), ""]
    print("\n".join(page))
    if options.out:
        options.out.write_text("\n".join(page), encoding="utf-8")


def _intro(options: argparse.Namespace) -> list[str]:
    of = f"{options.trials} trials on {options.slots} slots"
    told = ("runs", "trials", "slots", "naive")
    how = " ".join([f"--sizes {' '.join(options.sizes)}", *(f"--{name} {getattr(options, name)}" for name in told)])
    return [
        "# What a sweep costs beside its experiments",
        "",
        f"Made by `python bench/sweep.py {how}`: {of}, {os.cpu_count()} CPUs.",
        "The naive way is a fresh process a trial, a DataLoader and fp32, as many at once as there are slots, one thread each.",
        "",
        f"The mean of {options.naive} such trials stands for all. Aimed at: less than {OVER_S} s over the bare experiment,",
        f"and the naive way at least {NAIVE} times as long. Both share the experiment itself: the longer that is, the closer",
        f"they are. Of {options.runs} runs, mean ± standard deviation, and how many came to what is aimed at.",
        "",
    ]


@dataclass(frozen=True)
class Run:
    """Seconds a trial, of a slot: of the sweep (also from when each slot has ended one), bare, naive; and between trials."""

    swept: float
    later: float
    bare: float
    naive: float
    empty: float


def _told(runs: list[Run]) -> list[str]:
    over, later = ([getattr(run, name) - run.bare for run in runs] for name in ("swept", "later"))
    naive = [run.naive / run.swept for run in runs]
    return [
        f"a trial of the sweep takes {_spread([run.swept / run.bare for run in runs])} × the bare experiment; "
        f"over it {_spread(over)} s ({_held([one < OVER_S for one in over])})",
        f"a trial after the start: {_spread([run.later / run.bare for run in runs])} × the bare experiment; "
        f"over it {_spread(later)} s ({_held([one < OVER_S for one in later])})",
        f"between two trials a slot is empty for {_spread([1000 * run.empty for run in runs], 0)} ms",
        f"the naive way takes {_spread(naive, 1)} × as long as the sweep ({_held([one >= NAIVE for one in naive])})",
    ]


def _spread(values: list[float], digits: int = 2) -> str:
    mean = f"{statistics.mean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def _held(as_aimed: list[bool]) -> str:
    found = f"{sum(as_aimed)} of {len(as_aimed)} as aimed at"
    return found if all(as_aimed) else f"**{found}**"


def _run(options: argparse.Namespace, size: str) -> Run:
    """In a new Python: a sweep begins with the import of Ray and Tune."""
    told = [f"--{name}={getattr(options, name)}" for name in ("trials", "slots", "naive")]
    command = [sys.executable, __file__, "--once", size, *told]
    run = Run(
        **json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])
    )
    print(f"{size}: {run}", file=sys.stderr, flush=True)
    return run


def _compare(options: argparse.Namespace, tracks: int, epochs: int) -> Run:
    with tempfile.TemporaryDirectory() as store:
        return _compared(options, store, tracks, epochs)


def _compared(options: argparse.Namespace, store: str, tracks: int, epochs: int) -> Run:
    betas = [round(float(beta), 6) for beta in np.geomspace(0.05, 8, options.trials)]
    config = _config(store, epochs, betas, options.slots)
    _write_tracks(config, tracks)
    begins: list[float] = []
    ends: list[float] = []
    began = time.perf_counter()
    _sweep(config, begins, ends)
    swept = (time.perf_counter() - began) / options.trials
    # The last slots run empty while the others end: from one full house to the last.
    later = (ends[-options.slots] - ends[options.slots - 1]) / (options.trials - 2 * options.slots + 1)
    bare = _bare(config, betas[:: max(1, options.trials // 8)])
    naive = _naive(store, betas[:: max(1, options.trials // options.naive)][: options.naive], options.slots, epochs)
    empty = statistics.median(begin - end for begin, end in zip(begins[options.slots :], ends, strict=False))
    return Run(swept * options.slots, later * options.slots, bare, naive * options.slots, empty)


def _config(store: str, epochs: int, betas: Iterable[float], slots: int = 2) -> Config:
    return check(
        {
            "store": store,
            "source": {"kind": "folder", "root": "/"},
            "features": ["mfcc"],
            "lyrics": {"backend": "none"},
            "fusion": {"kind": "audio"},
            "model": {"kind": "beta", "latent_dim": 8},
            "training": {"epochs": epochs, "precision": "fp32"},
            "scoring": {"seeds": 1, "null_draws": 5},
            "resources": {"num_cpus": slots},
            "tune": {"model.beta": {"grid": list(betas)}, "max_concurrent": slots},
        }
    )


def _write_tracks(config: Config, n: int) -> None:
    """`n` tracks in eight clouds that overlap."""
    ctx = Context.of(config, "bench")
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(8, WIDTH))
    keys = [{"track_id": f"t{i}", "content_hash": f"c{i:06d}", "status": "ok", "error": ""} for i in range(n)]
    rows = [key | {"mfcc": centres[i % 8] + rng.normal(size=WIDTH)} for i, key in enumerate(keys)]
    for table, schema, found in (
        (tracks_table(ctx), schemas.TRACKS, [key | {"uri": ""} for key in keys]),
        (feature_table(ctx, "mfcc"), schemas.feature("mfcc", (WIDTH,)), rows),
    ):
        table.create(schema)
        table.append(pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in found], schema=schema))


def _sweep(config: Config, begins: list[float], ends: list[float]) -> None:
    """Run the sweep; `begins` and `ends` get the times of its trials, in s of `perf_counter`."""
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 — Ray's own spelling
    ctx = Context.of(config, "sweep")

    def watch(log: Log) -> None:
        now = time.perf_counter()
        begins.extend([now] * (len(log.rows) + len(log.running) - len(begins)))
        ends.extend([now] * (len(log.rows) - len(ends)))

    with session.session(), pipeline.recorded(ctx):
        stage.sweep(ctx, watch=watch)
    statuses = {row["status"] for row in read_sweep(ctx.store).rows}
    assert statuses <= {"ok", "gated"}, statuses


def _bare(config: Config, betas: list[float]) -> float:
    """Seconds of an experiment, what is done once left out."""
    collection = read_collection(Context.of(config, "bench"))
    with session.one_thread():
        _one(collection, config, betas[0])
        return _seconds(lambda: [_one(collection, config, beta) for beta in betas]) / len(betas)


def _one(collection: experiment.Collection, config: Config, beta: float) -> None:
    experiment.run(collection, _with_beta(config, beta), config.seed)


def _with_beta(config: Config, beta: float) -> Config:
    return config.model_copy(update={"model": config.model.model_copy(update={"beta": beta})})


def _naive(store: str, betas: list[float], slots: int, epochs: int) -> float:
    """Seconds a trial, of processes that run side by side."""

    def run(beta: float) -> None:
        command = [sys.executable, __file__, "--one", store, str(beta), str(epochs)]
        subprocess.run(command, env=os.environ | ONE_THREAD, check=True)

    with ThreadPoolExecutor(slots) as pool:
        return _seconds(lambda: list(pool.map(run, betas))) / len(betas)


def _naive_trial(store: str, beta: str, *, epochs: int) -> None:
    """Read the table, train by a DataLoader, score: what a script of an afternoon does."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from ray_pipeline import shelf
    from ray_pipeline.evaluation import Fitted
    from ray_pipeline.needs import fusion_of

    config = _with_beta(_config(store, epochs, [1.0]), float(beta))
    collection = read_collection(Context.of(config, "bench"))
    fusion = fusion_of(config.fusion)
    fusion.fit(collection.views, collection.masks)
    views, masks = fusion.transform(collection.views, collection.masks)
    x, _ = joined(views, masks, {"fused": views["fused"].shape[1:]})
    model: Any = shelf.part("model", config.model.kind)(config.model, {"fused": x.shape[1:]}, config.seed)
    loader = DataLoader(TensorDataset(torch.from_numpy(x)), batch_size=config.training.batch_size, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.training.learning_rate)
    steps = torch.optim.lr_scheduler.StepLR(optimizer, config.training.lr_step, config.training.lr_gamma)
    for _ in range(epochs):
        for (batch,) in loader:
            optimizer.zero_grad()
            model({"fused": batch}, {"fused": torch.ones(len(batch), dtype=torch.bool)}).loss.backward()
            optimizer.step()
        steps.step()
    fitted = Fitted(model, fusion, {"status": "ok", "notes": [], "classes": []})
    experiment.evaluate(collection, fitted, experiment.encode(collection, fitted), config, config.seed)


def _seconds(do: Any) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
