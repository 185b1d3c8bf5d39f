"""What people see on the terminal: progress, plain lines where there is no terminal, tables, errors, exit codes."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ray_pipeline.errors import RayPipelineError

LOG = logging.getLogger("ray_pipeline")
LOG.addHandler(logging.NullHandler())
LOG.propagate = False
PLAIN_EVERY_S = 5.0

# Where there is no terminal there is no width to keep to: a table must not be folded at 80 columns in a log.
_WIDTH = None if sys.stdout.isatty() else 140
out = Console(highlight=False, emoji=False, soft_wrap=True, width=_WIDTH)
err = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)


def printable(text: object) -> str:
    """Text on one line: no control characters, no direction marks."""
    return "".join(c if c.isprintable() else "�" for c in str(text))


def safe(text: object) -> str:
    """Text for a terminal: `printable`, and no markup."""
    return escape(printable(text))


class Voice:
    """Says lines and moves bars; ``quiet`` leaves only the closing table, and what went wrong."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._last: dict[str, float] = {}
        self._began: dict[str, float] = {}

    def __enter__(self) -> Voice:
        if out.is_terminal and not self.quiet:
            columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), _RateColumn())
            self.bars = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=out)
            self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars:
            self.bars.stop()

    def say(self, line: str) -> None:
        LOG.info("%s", printable(line))
        if not self.quiet:
            out.print(safe(line))

    def progress(self, stage: str, done: int, total: int) -> None:
        if self.quiet:
            return
        if self.bars:
            task = self._tasks.get(stage)
            if task is None:
                task = self._tasks[stage] = self.bars.add_task(stage, total=total)
            self.bars.update(task, completed=done, total=total)
            return
        now = time.monotonic()
        if not done:
            self._began[stage] = now
        if done in {0, total} or now - self._last.get(stage, 0.0) > PLAIN_EVERY_S:
            self._last[stage] = now
            passed = now - self._began.get(stage, now)
            rate = f", {_rate(done / passed)}" if done and passed else ""
            out.print(f"{safe(stage)}: {done:,} of {total:,}{rate}")


class _RateColumn(ProgressColumn):
    """How many a second, of late."""

    def render(self, task: Task) -> Text:
        return Text(_rate(task.speed) if task.speed else "")


def _rate(a_second: float) -> str:
    return f"{a_second:,.2f}/s"


def log_to(folder: Path, *, verbose: bool = False) -> Path:
    """Send the full log to a file in `folder`, and to the terminal if `verbose`."""
    path = folder / f"{time.strftime('%Y%m%dT%H%M%S')}.log"
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    LOG.addHandler(handler)
    LOG.setLevel(logging.DEBUG)
    if verbose:
        LOG.addHandler(logging.StreamHandler())
    return path


@contextmanager
def exits(again: str = "") -> Iterator[None]:
    """Turn what is raised inside into a message and an exit code: 1 crash, 2 config, 3 bad tracks, 130 interrupted."""
    try:
        yield
    except typer.Exit:
        raise
    except RayPipelineError as error:
        LOG.error("%s", printable(error))
        for line in str(error).splitlines():
            err.print(f"[bold red]error:[/] {safe(line)}")
        if error.hint:
            err.print(f"[dim]{safe(error.hint)}[/]")
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        err.print(f"interrupted; what was finished is kept.{' To go on: ' + safe(again) if again else ''}")
        raise typer.Exit(130) from None
    except Exception as error:  # noqa: BLE001 — the outermost border: a bug must still end with a line and a place to look
        LOG.error("%s", traceback.format_exc())
        err.print(f"[bold red]crashed:[/] {safe(type(error).__name__)}: {safe(_cause(error))}")
        log = next((h.baseFilename for h in LOG.handlers if isinstance(h, logging.FileHandler)), "")
        err.print(f"[dim]the full log: {safe(log)}[/]" if log else safe(traceback.format_exc()))
        raise typer.Exit(1) from None


def _cause(error: Exception) -> str:
    """What it says in one line: Ray's errors hold a worker's whole traceback, the cause at its end."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:500] if lines else ""


def command_line() -> str:
    """The command as it was typed, to show how to go on."""
    import shlex

    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
