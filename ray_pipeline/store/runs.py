"""What each run was told, read and wrote: ``runs/<time>-<command>.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from ray_pipeline.errors import StoreError
from ray_pipeline.store.files import Folder
from ray_pipeline.store.place import Store

FOLDER = "runs"


@dataclass
class Run:
    """One run; `tables` maps a table's name to its addresses, of every table the run read or wrote.

    By stage: `done`, how many tracks (or files, texts, models) it worked on; `seconds`; `rates`, how many a second; `retried`,
    how many it tried again since their worker was lost; `bad`, how many rows of which bad status came of it; and, where
    it used GPUs, `gpu_idle`, the share of the time they waited. By table: `statuses` of all its rows.
    """

    command: str
    config: dict[str, Any]
    time: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ"))
    state: str = "running"
    tables: dict[str, list[str]] = field(default_factory=dict)
    versions_read: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, dict[str, int]] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    retried: dict[str, int] = field(default_factory=dict)
    bad: dict[str, dict[str, int]] = field(default_factory=dict)
    gpu_idle: dict[str, float] = field(default_factory=dict)
    experiments: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def record_run(store: Store, run: Run) -> None:
    """Write `run` down, whole or not at all; called again, it replaces what it wrote."""
    text = json.dumps(asdict(run), indent=1, ensure_ascii=True)
    (store.files / FOLDER).write(f"{run.time}-{run.command}.json", text.encode("ascii"))


def latest_run(
    store: Store, *, where: Callable[[Run], bool] = lambda run: True, states: tuple[str, ...] = ("done",)
) -> Run:
    """The last run that ended in one of `states` and satisfies `where`.

    Raises
    ------
    StoreError
        There is none, or a run's record cannot be read.
    """
    for run in all_runs(store):
        if run.state in states and run.tables and where(run):
            return run
    raise StoreError(f"{store.root}: no finished run in it", hint="`ray-pipeline run CONFIG` makes one")


def all_runs(store: Store) -> Iterator[Run]:
    """Every run's record, the last run first, each read when it is asked for.

    Raises
    ------
    StoreError
        One cannot be read.
    """
    folder = store.files / FOLDER
    for name in sorted(folder.names(), reverse=True):
        if name.endswith(".json") and not name.startswith("."):
            yield _read(folder, name)


def _read(folder: Folder, name: str) -> Run:
    """A run's record; what another version of this package wrote into it beside ours is left out."""
    known = {one.name for one in fields(Run)}
    try:
        found = json.loads(folder.read(name))
        return Run(**{name: value for name, value in found.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{folder.at(name)}: not a run's record that can be read: {error}", hint="remove the file"
        ) from None
