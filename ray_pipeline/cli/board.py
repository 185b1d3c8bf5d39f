"""A sweep as people watch it: a live table on a terminal, a line a trial elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.live import Live
from rich.table import Table
from rich.text import Text

from ray_pipeline.cli.console import LOG, Voice, out, printable, safe
from ray_pipeline.sweep.results import OK

if TYPE_CHECKING:
    from ray_pipeline.stages.sweep_log import Log, Row, Running

BEST = 5


class Board(Voice):
    """A `Voice` that also shows a `Log` each time it is called with it."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__(quiet)
        self._live: Live | None = None
        self._shown: int | None = None

    def __enter__(self) -> Board:
        if out.is_terminal and not self.quiet:
            self._live = Live(console=out, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def progress(self, stage: str, done: int, total: int) -> None:
        if not self._live:  # two moving things do not go together on one terminal
            super().progress(stage, done, total)

    def watch(self, log: Log) -> None:
        """Show how the sweep stands; what had ended before the first look is not told again."""
        shown = len(log.rows) if self._shown is None else self._shown
        for done, row in enumerate(log.rows[shown:], start=shown + 1):
            what = f"{described(row)}  {_settings(row['point'])}"
            line = f"trial {done} of {log.total}  {what}  {_tracks(row)}{row['seconds']:.1f} s"
            LOG.info("%s", printable(line))
            if not self._live and not self.quiet:
                out.print(safe(line))
        self._shown = len(log.rows)
        if self._live:
            self._live.update(board(log), refresh=True)


def described(row: Row) -> str:
    """Id and status of a trial, its objective where it passed, the reason where it did not."""
    told = ", ".join(f"{value:.4g}" for value in row["objective"]) if row["status"] == OK else row["reason"]
    return f"{row['trial_id'][:8]} {row['status']}: {told}"


def board(log: Log) -> Table:
    """Counts, the trials that run, and the best so far."""
    counts = ", ".join(f"{n} {status}" for status, n in log.counts.items())
    table = Table(title=f"{len(log.rows)} of {log.total} trials  {counts}", title_justify="left", box=None)
    for heading in ("trial", "", "epoch", "loss", "objective", "tracks", "s", "settings"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for name, running in log.running.items():
        table.add_row(*_running(name, running))
    passed = [row for row in log.rows if row["status"] == OK]
    for row in sorted(passed, key=lambda row: -row["objective"][0])[:BEST]:
        table.add_row(*_best(row))
    return table


def _running(name: str, running: Running) -> list[Text | str]:
    seconds = time.monotonic() - running.began
    loss = f"{running.loss:.4g}" if running.epoch else ""
    told = [name[:8], "running", str(running.epoch), loss, _numbers(running.objective), "", f"{seconds:.0f}"]
    return [*told, Text(_settings(running.point))]


def _best(row: Row) -> list[Text | str]:
    told = [row["trial_id"][:8], OK, str(row["epochs"]), "", _numbers(row["objective"]), str(row.get("n_tracks") or "")]
    return [*told, f"{row['seconds']:.0f}", Text(_settings(row["point"]))]


def _tracks(row: Row) -> str:
    return f"{row['n_tracks']:,} tracks  " if row.get("n_tracks") else ""


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _settings(point: dict[str, Any]) -> str:
    return printable(" ".join(f"{key.partition('.')[2]}={_short(value)}" for key, value in point.items()))


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
