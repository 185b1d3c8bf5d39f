"""What a table still lacks: computed once a content, copied for the rest, carried where bad, and one row a track in the end."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ray_pipeline import schemas
from ray_pipeline.schemas import RETRIED, Status
from ray_pipeline.stages.plan import Plan, copy_rows, make_plan, mended, prepare, rows_of
from ray_pipeline.store import Table
from ray_pipeline.store.verify import verify

Row = dict[str, Any]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    table = Table(str(tmp_path / "features/x.lance"))
    table.create(schemas.feature("value", (1,)))
    return table


def track(track_id: str, content: str, status: str = Status.OK) -> Row:
    return {"track_id": track_id, "content_hash": content, "status": str(status), "error": ""}


def work(table: Table, plan: Plan, become: Callable[[Row], str] = lambda _: Status.OK) -> list[str]:
    """What a stage does: prepare, compute, copy; the ids that were computed. A row's value is its content's number."""
    import pyarrow as pa

    prepare(plan, table)
    rows = [
        {key: one[key] for key in ("track_id", "content_hash", "error")}
        | {"status": str(become(one)), "value": [float(one["content_hash"])]}
        for one in plan.todo
    ]
    table.append(pa.Table.from_pylist(rows, schema=table.schema()))
    copy_rows(plan, table)
    return [one["track_id"] for one in plan.todo]


def settle(table: Table, tracks: list[Row], become: Callable[[Row], str] = lambda _: Status.OK) -> list[str]:
    """Work on `tracks`, and see that each has one row, with its own content's value."""
    done = work(table, make_plan(tracks, table), become)
    rows = {row["track_id"]: row for row in rows_of(table, tracks).to_pylist()}
    assert sorted(rows) == sorted(one["track_id"] for one in tracks)
    for one in tracks:
        row = rows[one["track_id"]]
        assert row["content_hash"] == one["content_hash"]
        if one["status"] == Status.OK:
            assert row["value"] == [float(one["content_hash"])]
    everything = table.read(["track_id"])["track_id"].to_pylist()
    assert len(everything) == len(set(everything)), "an id stands there twice"
    return done


def test_first_everything_then_nothing(table: Table) -> None:
    tracks = [track("a", "1"), track("b", "2")]
    assert settle(table, tracks) == ["a", "b"]
    version = table.version()
    assert settle(table, tracks) == []
    assert table.version() == version


def test_added_track_alone_is_computed(table: Table) -> None:
    settle(table, [track("a", "1")])
    assert settle(table, [track("a", "1"), track("b", "2")]) == ["b"]


def test_copy_is_computed_once(table: Table) -> None:
    assert settle(table, [track("a", "1"), track("b", "1"), track("c", "1")]) == ["a"]


def test_renamed_track_keeps_its_row(table: Table) -> None:
    settle(table, [track("a", "1")])
    assert settle(table, [track("b", "1")]) == []


def test_changed_track_is_computed_again(table: Table) -> None:
    settle(table, [track("a", "1")])
    assert settle(table, [track("a", "2")]) == ["a"]


@pytest.mark.parametrize("order", list(itertools.permutations("123")))
def test_names_that_changed_hands_keep_every_row(table: Table, order: tuple[str, ...]) -> None:
    settle(table, [track(name, content) for name, content in zip("abc", "123", strict=True)])
    assert settle(table, [track(name, content) for name, content in zip("abc", order, strict=True)]) == []


def test_names_that_moved_up_by_one_keep_every_row(table: Table) -> None:
    settle(table, [track(name, content) for name, content in zip("abc", "123", strict=True)])
    assert settle(table, [track(name, content) for name, content in zip("abcd", "4123", strict=True)]) == ["a"]


def test_bad_upstream_is_carried_and_not_opened(table: Table) -> None:
    tracks = [track("a", "1"), track("b", "", Status.MISSING), track("c", "3", Status.CORRUPT)]
    assert settle(table, tracks) == ["a"]
    version = table.version()
    assert settle(table, tracks) == []
    assert table.version() == version


def test_missing_track_that_came_back_is_computed(table: Table) -> None:
    settle(table, [track("a", "", Status.MISSING)])
    assert settle(table, [track("a", "1")]) == ["a"]


def test_track_that_went_bad_gives_up_its_row(table: Table) -> None:
    settle(table, [track("a", "1")])
    settle(table, [track("a", "", Status.MISSING)])
    assert table.read().to_pylist()[0]["status"] == Status.MISSING


@pytest.mark.parametrize("status", sorted(schemas.BAD))
def test_only_what_may_fare_better_is_tried_again(table: Table, status: Status) -> None:
    settle(table, [track("a", "1")], lambda _: status)
    assert settle(table, [track("a", "1")], lambda _: status) == (["a"] if status in RETRIED else [])


def test_copy_shares_what_became_of_its_original(table: Table) -> None:
    tracks = [track("a", "1"), track("b", "1")]
    settle(table, tracks, lambda _: Status.TIMEOUT)
    assert {row["status"] for row in table.read().to_pylist()} == {"timeout"}
    assert settle(table, tracks) == ["a"]
    assert {row["status"] for row in table.read().to_pylist()} == {"ok"}


def test_crash_under_a_former_name_does_not_hide_the_good_row(table: Table) -> None:
    settle(table, [track("former", "1")], lambda _: Status.WORKER_CRASH)
    tracks = [track("b", "1"), track("c", "1")]
    settle(table, tracks)
    assert {row["status"] for row in rows_of(table, tracks).to_pylist()} == {"ok"}


def test_killed_between_clearing_and_copying_is_made_up_for(table: Table) -> None:
    settle(table, [track("a", "1"), track("b", "2")])
    swapped = [track("a", "2"), track("b", "1")]
    table.delete_keys("track_id", make_plan(swapped, table).stale)
    assert settle(table, swapped) == ["a", "b"]


def test_rows_come_in_the_order_of_the_tracks(table: Table) -> None:
    settle(table, [track(name, content) for name, content in zip("abc", "123", strict=True)])
    asked = [track("c", "3"), track("a", "1")]
    assert rows_of(table, asked)["track_id"].to_pylist() == ["c", "a"]


def test_damaged_rows_are_dropped_told_and_made_again(
    table: Table, tmp_path: Path, context: Callable[..., Any]
) -> None:
    tracks = [track("a", "1"), track("b", "2")]
    settle(table, tracks)
    next((Path(table.uri) / "data").iterdir()).write_bytes(b"")
    said: list[str] = []
    ctx = context(source={"kind": "folder", "root": "/"})
    ctx.say = said.append
    mended(table, ctx)
    assert said == ["features/x: 2 rows lay in damaged files; they are made again"]
    assert settle(table, tracks) == ["a", "b"]
    assert verify(ctx.store) == []
