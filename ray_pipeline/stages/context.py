"""What every stage is handed: the config, the store, the run's record, and a way to speak."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ray_pipeline import schemas
from ray_pipeline.config import Config
from ray_pipeline.errors import TooManyBadTracks
from ray_pipeline.store import Run, Store, Table, record_run


def _silent(*_: object) -> None:
    return None


@dataclass
class Context:
    """`say` prints a line; `progress(stage, done, total)` moves a bar."""

    config: Config
    store: Store
    run: Run
    address: str | None = None
    verbose: bool = False
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
        """Note how long `stage` took, and write the record down."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.run.seconds[stage] = round(time.monotonic() - start, 2)
            record_run(self.store, self.run)

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
