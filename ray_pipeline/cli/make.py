"""Commands that make things: each takes CONFIG and fills tables of its store."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ray_pipeline.cli import console
from ray_pipeline.cli.console import Voice, exits, out, safe
from ray_pipeline.errors import StoreError

if TYPE_CHECKING:
    from ray_pipeline.stages.context import Context

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file, for example tune_configs/demo.yaml.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one key of CONFIG; may be given many times."),
]
Address = Annotated[
    str | None,
    # `ray job submit` sets the variable for what it runs.
    typer.Option(
        metavar="ADDRESS",
        envvar="RAY_ADDRESS",
        help="A running Ray: auto or host:port; default: start one here.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what there is to do and what it may cost, and do nothing.")
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Also what Ray and its workers print.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Only the closing table, and what went wrong.")]

REPORT = "report/index.html"

HELP = {
    "run": "The whole job: ingest, featurize, transcribe, embed, train, evaluate, report.",
    "ingest": "Look at every file of the source: hash, header, tags.",
    "import-features": "Take the features that FMA publishes, with no audio opened.",
    "featurize": "Decode each track once and compute the features.",
    "transcribe": "Listen for words with Whisper.",
    "embed": "Turn words into vectors with Sentence-BERT.",
    "train": "Fuse the views and fit the model, under Ray Train.",
    "evaluate": "Cluster the latents and score the clusters against chance.",
    "audit": "Run the reference study's experiments on this collection, and judge its numbers.",
}


def add_to(app: typer.Typer) -> None:
    """Add every command of this file to `app`."""
    for name, text in HELP.items():
        app.command(name, help=text, rich_help_panel="Make")(_command(name))


def _command(stage: str):  # type: ignore[no-untyped-def]  # typer reads the signature of what is returned
    def command(
        config: Config,
        sets: Sets = None,
        address: Address = None,
        dry_run: DryRun = False,
        verbose: Verbose = False,
        quiet: Quiet = False,
    ) -> None:
        run_stage(stage, config, sets or [], address, dry_run=dry_run, verbose=verbose, quiet=quiet)

    return command


def run_stage(
    stage: str, path: Path, sets: list[str], address: str | None, *, dry_run: bool, verbose: bool, quiet: bool
) -> None:
    """Load the config and run `stage`, or say what it would do."""
    again = console.command_line()
    with exits(again):
        from ray_pipeline.config import load

        config = load(path, sets)
    with exits(again):
        from ray_pipeline.stages import pipeline
        from ray_pipeline.stages.context import Context
        from ray_pipeline.stages.dry_run import dry_run as told

        ctx = Context.of(config, stage, address)
        ctx.verbose = verbose
        if dry_run:
            say_all(told, ctx)
            return
        carry_out(ctx, Voice(quiet), lambda: pipeline.run(ctx, stage))


def say_all(told: Callable[[Context], list[str]], ctx: Context) -> None:
    """Print what `told` tells; the Ray at an address, which it may ask, is left again."""
    from ray_pipeline.stages.session import session

    ctx.dry = True
    with session():
        for line in told(ctx):
            out.print(safe(line))


def carry_out(ctx: Context, voice: Voice, do: Callable[[], None]) -> None:
    """Do it with a log, a voice, and a Ray that ends with it; then the closing table."""
    from ray_pipeline.stages.session import session

    log = console.log_to(ctx.store.folder("logs"), verbose=ctx.verbose)
    start = time.monotonic()
    try:
        with session(), voice:
            ctx.say, ctx.progress = voice.say, voice.progress
            do()
    finally:
        with suppress(StoreError):  # of a store out of reach there is something else to say
            ctx.store.keep("logs")
    _close(ctx, log, time.monotonic() - start)


def _close(ctx: Context, log: Path, seconds: float) -> None:
    """The closing table: what was done, what came out of it, where it lies."""
    from ray_pipeline.cli.tables import done_table, score_table

    out.print(done_table(ctx.run))
    scores = score_table(ctx.run)
    if scores is not None:
        out.print(scores)
    for note in ctx.run.notes:
        out.print(f"[yellow]note:[/] {safe(note)}")
    if ctx.run.command == "run" and ctx.store.files.is_file(REPORT):
        out.print(f"report  {safe(ctx.store.files.at(REPORT))}")
    out.print(f"store   {safe(ctx.store.root)}")
    out.print(f"log     {safe(log)}")
    worked = sum(ctx.run.done.values())
    out.print(f"{'done' if worked else 'nothing was left to do'}, {seconds:.0f} s")
