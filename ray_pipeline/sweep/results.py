"""What a sweep came to: the rows of `trials`, who won, and why the others did not."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ray_pipeline.config import Config, check
from ray_pipeline.errors import StoreError
from ray_pipeline.store import Run, Store, Table, all_runs, latest_run
from ray_pipeline.sweep.objective import pareto_front

TABLE = "trials"
OK, GATED, DIVERGED, STOPPED, FAILED = STATUSES = ("ok", "gated", "diverged", "stopped", "failed")
_NUMBERS = re.compile(r"[-+]?\d[\d.,]*(e[-+]?\d+)?%?")

Row = dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """`about` says how it searched (objective, gates, space, …); `rows` are `schemas.TRIALS`, in the order of their numbers."""

    name: str
    about: dict[str, Any]
    rows: list[Row]

    @property
    def front(self) -> list[Row]:
        """Trials that passed every gate and that none beats, the best of the first objective first; one, or a Pareto front."""
        passed = [row for row in self.rows if row["status"] == OK]
        if len(self.about["objective"]) == 1:
            return sorted(passed, key=lambda row: -row["objective"][0])[:1]
        front = [passed[i] for i in pareto_front([row["objective"] for row in passed])]
        return sorted(front, key=lambda row: -row["objective"][0])

    def outcomes(self) -> str:
        """Trials by status and reason: ``12 ok; 3 gated: a cluster of … of the tracks``."""
        counts = Counter((row["status"], _NUMBERS.sub("…", row["reason"])) for row in self.rows)
        order = sorted(counts.items(), key=lambda item: (STATUSES.index(item[0][0]), -item[1]))
        return (
            "; ".join(f"{n} {status}{f': {reason}' if reason else ''}" for (status, reason), n in order) or "no trial"
        )


def read_sweep(store: Store, name: str | None = None) -> Sweep:
    """The sweep `name`, or the one that ran last.

    Raises
    ------
    StoreError
        There is none, or none of this name.
    """
    table = store.at(f"{TABLE}/{name}.lance" if name else _last(store).tables[TABLE][-1])
    if not table.exists():
        there = names_of_sweeps(store)
        raise StoreError(f"{store.root}: no sweep '{name}'; there are: {', '.join(there) or 'none'}")
    return Sweep(table.name.partition("/")[2], table.recipe(), read_rows(table))


def names_of_sweeps(store: Store) -> list[str]:
    return [table.name.partition("/")[2] for table in store.datasets(TABLE)]


def read_rows(table: Table) -> list[Row]:
    """Rows of a sweep's table by number, `scores` and `spread` as dicts, `point` and `versions` as mappings."""
    rows = sorted(table.read().to_pylist(), key=lambda row: row["number"])
    return [
        row
        | {name: dict(row[name] or ()) for name in ("scores", "spread")}
        | {name: json.loads(row[name]) for name in ("point", "versions")}
        for row in rows
    ]


def all_sweeps(store: Store) -> list[Sweep]:
    """Every sweep of a store, the one that ran last first."""
    ran = [Path(address).stem for run in all_runs(store) for address in reversed(run.tables.get(TABLE, []))]
    there = {name for name in names_of_sweeps(store) if store.table(TABLE, name).exists()}
    names = [name for name in dict.fromkeys(ran) if name in there]
    return [read_sweep(store, name) for name in [*names, *sorted(there.difference(names))]]


def find_trial(store: Store, name: str, sweep: str | None = None) -> tuple[Sweep, Row]:
    """The trial whose id is, or begins with, `name`: in `sweep`, or in that of those that have it which ran last.

    Raises
    ------
    StoreError
        There is none, or there are several.
    """
    sweeps = [read_sweep(store, sweep)] if sweep else all_sweeps(store)
    found = [(sweep, row) for sweep in sweeps for row in sweep.rows if name and row["trial_id"].startswith(name)]
    if len({row["trial_id"] for _, row in found}) > 1:
        raise StoreError(f"{store.root}: several trials begin with '{name}'", hint="write more of the id")
    if not found:
        raise StoreError(f"{store.root}: no trial '{name}'", hint="`ray-pipeline best STORE` names the winner's")
    return found[0]


def config_of_row(row: Row, store: Store) -> Config:
    """The config of a trial, its store being `store`, wherever it has been moved."""
    return check(json.loads(row["config"]) | {"store": str(store.root)})


def as_yaml(sweep: Sweep, store: Store) -> str:
    """The winner's config as YAML that `config.load` reads; its scores, and who else is on the front, as comments.

    Raises
    ------
    StoreError
        No trial passed.
    """
    if not sweep.front:
        raise StoreError(f"sweep {sweep.name}: no trial passed: {sweep.outcomes()}")
    row, *others = sweep.front
    told = ", ".join(f"{name} {v:.6g}" for name, v in zip(sweep.about["objective"], row["objective"], strict=True))
    passed = sum(one["status"] == OK for one in sweep.rows)
    lines = [f"trial {row['trial_id']} of sweep {sweep.name}: {told}; {passed} of {len(sweep.rows)} trials passed"]
    lines += ["labels were used to choose it"] if sweep.about["uses_labels"] else []
    lines += [f"on {row['n_tracks']:,} of {sweep.about['n_tracks']:,} tracks"]
    lines += [f"also not beaten: trial {one['trial_id']}" for one in others]
    lines += [f"{name}: {value:.6g}{_plus_minus(row, name)}" for name, value in sorted(row["scores"].items())]
    config = config_of_row(row, store).plain()
    config.pop("tune")
    comments = "".join(f"# {line}\n" for line in lines)
    return comments + yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=120)


def _plus_minus(row: Row, name: str) -> str:
    return f" ± {row['spread'][name]:.2g}" if name in row["spread"] else ""


def first_failure(rows: Sequence[Row]) -> str:
    """Why the first of the trials failed."""
    return next((row["reason"] for row in rows if row["status"] == FAILED), "")


def _last(store: Store) -> Run:
    try:
        return latest_run(
            store, where=lambda run: TABLE in run.tables, states=("done", "failed", "interrupted", "running")
        )
    except StoreError:
        raise StoreError(f"{store.root}: no sweep in it", hint="`ray-pipeline sweep CONFIG` makes one") from None
