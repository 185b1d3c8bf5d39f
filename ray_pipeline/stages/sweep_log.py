"""What becomes of a sweep's trials, written down as it happens: rows of `trials`, event files, and what people watch."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from ray_pipeline.errors import ImpossibleScore
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.sweep_data import Shared
from ray_pipeline.store import Table
from ray_pipeline.sweep import WORST, config_of
from ray_pipeline.sweep.results import FAILED, STOPPED, Row

WATCHED_EVERY_S = 0.25


class Listener(Protocol):
    """Writes trials down elsewhere; see `sweep_tensorboard.Events`."""

    def begin(self, trial: str) -> None: ...

    def add(self, trial: str, points: Sequence[Sequence[float]], rung: dict[str, Any] | None) -> None: ...

    def end(self, row: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


@dataclass
class Running:
    """A trial that is being run; `objective` is that of its last rung, and `found` what its row will have of that."""

    point: dict[str, Any]
    number: int
    began: float = field(default_factory=time.monotonic)
    seed: int = 0
    epoch: int = 0
    loss: float = float("nan")
    rung: int = 0
    objective: list[float] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    earlier: float = 0.0  # s, before it was paused


Watch = Callable[["Log"], None]


class Log:
    """`rows` are those of the table, with `point`, `scores` and `spread` as mappings; `total` trials are to come to it."""

    def __init__(
        self, ctx: Context, shared: Shared, table: Table, rows: list[Row], total: int, listeners: Sequence[Listener]
    ) -> None:
        self.ctx, self.shared, self.table = ctx, shared, table
        self.rows, self.total = rows, total
        self.running: dict[str, Running] = {}
        self.watch: Watch = lambda log: None
        self._listeners = listeners
        self._watched = 0.0
        self._next = 1 + max((row["number"] for row in rows), default=0)

    @property
    def counts(self) -> Counter[str]:
        """Trials by status."""
        return Counter(row["status"] for row in self.rows)

    def values(self, name: str) -> list[float]:
        """The objective of a trial as far as it is known."""
        found = next((row["objective"] for row in self.rows if row["trial_id"] == name), None)
        running = self.running.get(name)
        return found or (running.objective if running else []) or [WORST] * len(self.shared.tune.objective)

    def begin(self, name: str, point: dict[str, Any]) -> None:
        """A trial was started, or goes on after a pause, maybe with other settings."""
        if name in self.running:
            self.running[name].point = point
        else:
            self.running[name] = Running(point, self._next)
            self._next += 1
            for listener in self._listeners:
                listener.begin(name)
        self.look(now=True)

    def again(self, name: str) -> None:
        """The worker of a trial died, and it will be begun anew."""
        if former := self.running.pop(name, None):
            self.running[name] = Running(former.point, former.number)
            for listener in self._listeners:
                listener.begin(name)

    def heard(self, name: str, told: dict[str, Any]) -> None:
        """A report of a running trial.

        Raises
        ------
        ImpossibleScore
            The trial came to a score that cannot be.
        """
        if "impossible" in told:
            raise ImpossibleScore(told["impossible"], hint=told["hint"])
        running, points = self.running[name], told.get("points", [])
        if told["seconds"] < running.seconds:
            running.earlier += running.seconds
        running.seconds = told["seconds"]
        if points:
            seed, running.epoch, running.loss = int(points[-1][0]), int(points[-1][1]), points[-1][2]
            running.seed = seed
        rung = told if "standing" in told else None
        if rung:
            running.rung, running.objective = rung["epoch"], rung["objective"]
            running.found = {name: dict(rung.get(name, ())) for name in ("scores", "spread")}
            running.found["n_tracks"] = rung.get("n_tracks", len(self.shared.collection))
        for listener in self._listeners:
            listener.add(name, points, rung)
        if "outcome" in told:
            self.end(name, told["outcome"])
        self.look()

    def stopped(self, name: str) -> None:
        """The scheduler stopped a trial; objective and scores are those of the rung where it was, and so are its `epochs`."""
        running = self.running[name]
        reason = f"stopped by {self.shared.tune.scheduler} after {running.rung} epochs"
        outcome = {"status": STOPPED, "reason": reason, "objective": self.values(name), "epochs": running.rung}
        self.end(name, outcome | running.found)

    def failed(self, name: str, reason: str) -> None:
        worst = [WORST] * len(self.shared.tune.objective)
        self.end(name, {"status": FAILED, "reason": reason, "objective": worst})

    def end(self, name: str, outcome: dict[str, Any]) -> None:
        """Commit the row of a trial."""
        running = self.running.pop(name)
        versions = self.ctx.run.versions | outcome.get("trained", {})
        row: Row = {
            "sweep_id": self.shared.name,
            "trial_id": name,
            "number": running.number,
            "point": running.point,
            "seed": self.shared.config.seed,
            "status": outcome["status"],
            "reason": outcome["reason"],
            "objective": outcome["objective"],
            "scores": outcome.get("scores", {}),
            "spread": outcome.get("spread", {}),
            "n_tracks": outcome.get("n_tracks", len(self.shared.collection)),
            "epochs": outcome.get("epochs", 0),
            "seconds": round(running.earlier + running.seconds, 3),
            "versions": versions,
        }
        # Before the row: with it the trial counts as done, and is not begun again.
        for listener in self._listeners:
            listener.end(row)
        plain = config_of(self.shared.config, running.point).plain()
        plain.pop("tune")
        texts = {"config": json.dumps(plain), "point": json.dumps(row["point"]), "versions": json.dumps(versions)}
        pairs = {name: list(row[name].items()) for name in ("scores", "spread")}
        self.table.append(pa.Table.from_pylist([row | texts | pairs], schema=self.table.schema()))
        self.rows.append(row | {"config": texts["config"]})
        self.look(now=True)

    def look(self, *, now: bool = False) -> None:
        """Show whoever watches how it stands, a few times a second."""
        if now or time.monotonic() - self._watched > WATCHED_EVERY_S:
            self._watched = time.monotonic()
            self.watch(self)

    def close(self) -> None:
        for listener in self._listeners:
            listener.close()
