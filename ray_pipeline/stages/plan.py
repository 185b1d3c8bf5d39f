"""What a table still lacks: which tracks to compute, which rows to copy, which are done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ray_pipeline.schemas import RETRIED, Status
from ray_pipeline.stages.context import Context
from ray_pipeline.store import Table

TrackRow = dict[str, Any]


@dataclass
class Plan:
    """`todo` has one track a content; its copies get copies of its row, whatever became of it."""

    todo: list[TrackRow] = field(default_factory=list)
    copies: list[TrackRow] = field(default_factory=list)
    carried: list[TrackRow] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    done: int = 0


def make_plan(tracks: Iterable[TrackRow], table: Table) -> Plan:
    """Compare `tracks` (track_id, content_hash, status and error from upstream) with what `table` holds.

    A renamed track, or a copy of one, has content that is there under another id: its row is copied. A track that was bad
    upstream is carried over with its status and never opened. Rows that ended in `RETRIED` are tried again.
    """
    there = _keys(table)
    have = {row["track_id"]: (row["content_hash"], row["status"]) for row in there}
    settled = {row["content_hash"] for row in there if row["status"] not in RETRIED and row["content_hash"]}
    plan = Plan()
    planned: set[str] = set()
    for track in tracks:
        track_id, content = track["track_id"], track["content_hash"]
        mine = have.get(track_id)
        good = track["status"] == Status.OK
        if mine and _stands(mine, content, track["status"], good):
            plan.done += 1
            continue
        if mine:
            plan.stale.append(track_id)
        if not good:
            plan.carried.append(track)
        elif content in settled or content in planned:
            plan.copies.append(track)
        else:
            planned.add(content)
            plan.todo.append(track)
    return plan


def mended(table: Table, ctx: Context) -> None:
    """Drop what lies in damaged files, so that it is made again, and say so; goes before `Table.create`."""
    aside = table.step_back()
    if aside:
        ctx.say(f"{table.name}: its last {aside} versions cannot be read; it goes on from the one before")
    lost = table.mend()
    if lost:
        ctx.say(f"{table.name}: {lost} rows lay in damaged files; they are made again")


def prepare(plan: Plan, table: Table) -> None:
    """Copy rows that are there already, clear what is out of date, and carry over what was bad upstream.

    What is copied is read before anything is cleared: where two files swapped names, each row is both.
    """
    copies = _copies(plan, table)
    table.delete_keys("track_id", plan.stale)
    table.append(copies)
    if plan.carried:
        keys = ("track_id", "content_hash", "status", "error")
        rows = [{key: track[key] for key in keys} for track in plan.carried]
        table.append(pa.Table.from_pylist(rows, schema=table.schema()))


def stand_ins(plan: Plan, table: Table) -> list[TrackRow]:
    """Of each content whose track was gone when it was opened, one copy that may still be there; it leaves the copies."""
    if not plan.copies:
        return []
    rows = table.read(["content_hash", "status"]).to_pylist()
    gone = {row["content_hash"] for row in rows if row["status"] in {Status.MISSING, Status.CHANGED}}
    chosen: dict[str, TrackRow] = {}
    for track in plan.copies:
        if track["content_hash"] in gone:
            chosen.setdefault(track["content_hash"], track)
    plan.copies = [track for track in plan.copies if chosen.get(track["content_hash"]) is not track]
    return list(chosen.values())


def copy_rows(plan: Plan, table: Table) -> None:
    """Give each copy of a track that was worked on in this run the row of its content, whatever became of it."""
    if plan.copies:
        table.append(_copies(plan, table, settled=False))


def _copies(plan: Plan, table: Table, settled: bool = True) -> pa.Table:
    """Rows for those of `plan.copies` whose content has one (only a `settled` one, if so asked); they leave the plan."""
    if not plan.copies:
        return table.schema().empty_table()
    # All columns only of the rows that are copied: of a large library they may be more than this machine holds.
    rows = table.read(["content_hash", "status"])
    at_content: dict[str, int] = {}
    for at, (content, status) in enumerate(
        zip(*(rows[name].to_pylist() for name in ("content_hash", "status")), strict=True)
    ):
        # A row to try again may lie there under a former name: it must not hide a better one.
        if status not in RETRIED:
            at_content[content] = at
        elif not settled:
            at_content.setdefault(content, at)
    found = [track for track in plan.copies if track["content_hash"] in at_content]
    plan.copies = [track for track in plan.copies if track["content_hash"] not in at_content]
    taken = table.take([at_content[track["content_hash"]] for track in found])
    ids = pa.array([track["track_id"] for track in found], pa.string())
    column = taken.schema.get_field_index("track_id")
    return taken.set_column(column, taken.schema.field(column), ids).cast(table.schema())


def rows_of(table: Table, tracks: Iterable[TrackRow], columns: list[str] | None = None) -> pa.Table:
    """The rows of `table` for `tracks` as they are now, in the order of `tracks`: matched by id and content."""
    rows = table.read(columns)
    where = {
        (track_id, content): at
        for at, (track_id, content) in enumerate(
            zip(rows["track_id"].to_pylist(), rows["content_hash"].to_pylist(), strict=True)
        )
    }
    found = (where.get((track["track_id"], track["content_hash"])) for track in tracks)
    return rows.take(pa.array([at for at in found if at is not None], pa.int64()))


def count_statuses(rows: pa.Table) -> dict[str, int]:
    counted = pc.value_counts(rows["status"].combine_chunks()).to_pylist()
    return {row["values"]: row["counts"] for row in counted}


def _keys(table: Table) -> list[dict[str, str]]:
    if not table.exists():
        return []
    keys: list[dict[str, str]] = table.read(["track_id", "content_hash", "status"]).to_pylist()
    return keys


def _stands(mine: tuple[str, str], content: str, upstream: str, good: bool) -> bool:
    """Whether the row that is there is the one that is wanted."""
    if mine[0] != content:
        return False
    return mine[1] not in RETRIED if good else mine[1] == upstream
