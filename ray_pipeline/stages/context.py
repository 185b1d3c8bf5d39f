"""What every stage is handed: the config, the store, the run's record, and a way to speak."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from ray_pipeline import schemas
from ray_pipeline.config import Config
from ray_pipeline.errors import TooManyBadTracks
from ray_pipeline.store import Run, Store, Table, record_run

# What a stage counts, where it is not tracks.
_COUNTED = {
    "ingest": "files",
    "embed": "texts",
    "train": "models",
    "evaluate": "experiments",
    "audit": "experiments",
    "sweep": "trials",
}


def _silent(*_: object) -> None:
    return None


@dataclass
class Context:
    """`say` prints a line; `progress(stage, done, total)` moves a bar; `dry` is a run that writes and fetches nothing.

    `sound_in` are features in which a track must be sound to be in the collection, beside those that the config reads.
    """

    config: Config
    store: Store
    run: Run
    address: str | None = None
    verbose: bool = False
    dry: bool = False
    sound_in: tuple[str, ...] = ()
    say: Callable[[str], None] = _silent
    progress: Callable[[str, int, int], None] = _silent

    @classmethod
    def of(cls, config: Config, command: str, address: str | None = None) -> Context:
        return cls(config, Store(config.store), Run(command, config.plain()), address)

    def table(self, name: str, recipe: str) -> Table:
        """The dataset, noted as one this run reads or writes."""
        table = self.store.table(name, recipe)
        address = self.store.address(table)
        if address not in self.run.tables.setdefault(name, []):
            self.run.tables[name].append(address)
        return table

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note how long `stage` took and at what rate, say so, and write the record down."""
        start = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - start
            self.run.seconds[stage] = round(seconds, 2)
            if stage in self.run.done:
                self.run.rates[stage] = round(self.run.done[stage] / max(seconds, 1e-9), 3)
                self.say(told(self.run, stage))
            record_run(self.store, self.run)

    def worked(self, stage: str, statuses: Mapping[str, int], again: int, gpu_idle: float | None) -> None:
        """Note what one pass of a stage's work came to: rows by status, rows tried again, the GPUs' idle share."""
        bad = Counter(self.run.bad.get(stage, {}))
        bad.update({status: n for status, n in statuses.items() if status in schemas.BAD})
        self.run.bad[stage] = dict(sorted(bad.items()))
        self.run.retried[stage] = self.run.retried.get(stage, 0) + again
        if gpu_idle is not None:
            self.run.gpu_idle[stage] = round(gpu_idle, 4)

    def count(self, table: str, statuses: dict[str, int]) -> None:
        """Note how many rows of `table` have which status, and stop a run that has too few good ones.

        Raises
        ------
        TooManyBadTracks
            More than ``max_bad_fraction`` are bad audio, or all are.
        """
        self.run.statuses[table] = dict(sorted(statuses.items()))
        total = sum(statuses.values())
        bad = sum(n for status, n in statuses.items() if status in schemas.BAD)
        if not total or (bad <= self.config.max_bad_fraction * total and bad < total):
            return
        reasons = ", ".join(f"{n} {s}" for s, n in sorted(statuses.items(), key=lambda x: -x[1]) if s in schemas.BAD)
        raise TooManyBadTracks(
            f"{table}: {bad} of {total} tracks are of no use ({reasons}); "
            f"max_bad_fraction is {self.config.max_bad_fraction:g}",
            hint=f"see `ray-pipeline status {self.store.root}`; all tables are kept, and the same command goes on from them",
        )


def told(run: Run, stage: str) -> str:
    """What became of a stage that has ended, in a line."""
    done, what = run.done[stage], _COUNTED.get(stage, "tracks")
    if not done:
        return f"{stage}: nothing was left to do"
    parts = [f"{done:,} {what} in {run.seconds[stage]:,.1f} s, {run.rates[stage]:,.2f}/s"]
    bad = run.bad.get(stage)
    if bad:
        parts.append(", ".join(f"{n:,} {status}" for status, n in sorted(bad.items(), key=lambda x: -x[1])))
    if run.retried.get(stage):
        parts.append(f"{run.retried[stage]:,} tried again")
    if stage in run.gpu_idle:
        parts.append(f"GPU idle {run.gpu_idle[stage]:.0%}".replace("%", " %"))
    return f"{stage}: {'; '.join(parts)}"
