"""What a stage's end tells: in the run's record and in a line."""

from __future__ import annotations

from pathlib import Path

import pytest
from configs import make_config

from ray_pipeline.errors import TooManyBadTracks
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.gpu_time import GpuTime
from ray_pipeline.store import latest_run


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return Context.of(make_config(tmp_path / "store", source={"kind": "folder", "root": "/"}), "transcribe")


def ended(ctx: Context, done: int) -> str:
    """The line that a stage of `done` tracks ends with."""
    said: list[str] = []
    ctx.say = said.append
    with ctx.timed("transcribe"):
        ctx.run.done["transcribe"] = done
    (line,) = said
    return line


def test_line_and_record_tell_all_there_is(ctx: Context) -> None:
    ctx.worked("transcribe", {"ok": 80, "corrupt": 1, "timeout": 2}, again=5, gpu_idle=0.1234)
    ctx.worked("transcribe", {"ok": 6, "corrupt": 3, "no_text": 1}, again=1, gpu_idle=None)
    line = ended(ctx, 93)
    assert line.startswith("transcribe: 93 tracks in ")
    assert line.endswith("/s; 4 corrupt, 2 timeout; 6 tried again; GPU idle 12 %")
    ctx.run.tables["lyrics"] = []
    ended(ctx, 93)
    kept = latest_run(ctx.store, states=("running",))
    assert (kept.bad, kept.retried) == ({"transcribe": {"corrupt": 4, "timeout": 2}}, {"transcribe": 6})
    assert kept.gpu_idle == {"transcribe": 0.1234}
    assert kept.rates["transcribe"] > 0


def test_line_leaves_out_what_there_is_not(ctx: Context) -> None:
    ctx.worked("transcribe", {"ok": 3}, again=0, gpu_idle=None)
    assert ended(ctx, 3).endswith("/s")


def test_nothing_to_do_is_said(ctx: Context) -> None:
    assert ended(ctx, 0) == "transcribe: nothing was left to do"


def test_line_comes_also_where_the_stage_then_stops_the_run(ctx: Context) -> None:
    said: list[str] = []
    ctx.say = said.append
    with pytest.raises(TooManyBadTracks), ctx.timed("transcribe"):
        ctx.run.done["transcribe"] = 2
        ctx.count("lyrics", {"corrupt": 2})
    assert len(said) == 1


def test_idle_share_sums_workers_and_takes_the_last_word_of_each() -> None:
    time = GpuTime()
    assert time.idle is None
    time.note("a", busy_s=1.0, wall_s=2.0)
    time.note("b", busy_s=5.0, wall_s=6.0)
    time.note("a", busy_s=3.0, wall_s=4.0)
    time.note("a", busy_s=2.0, wall_s=3.0)  # came late
    assert time.idle == pytest.approx(1 - 8 / 10)
