"""Commands of sweeps: `sweep CONFIG`, `best STORE`, and `train STORE --from-trial ID`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ray_pipeline.cli import console, make
from ray_pipeline.cli.console import Voice, err, exits, out, safe
from ray_pipeline.cli.look import Store
from ray_pipeline.cli.make import Address, Config, DryRun, Quiet, Sets, Verbose

if TYPE_CHECKING:
    from ray_pipeline.stages.context import Context
    from ray_pipeline.stages.sweep_again import Compared

RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try the trials again that failed.")]
FromTrial = Annotated[
    str | None,
    typer.Option("--from-trial", metavar="ID", help="Train this trial of STORE's sweep again, and compare its scores."),
]
ConfigOrStore = Annotated[
    str, typer.Argument(metavar="CONFIG", help="A YAML file; with --from-trial, the store that holds the trial.")
]
Name = Annotated[
    str | None,
    typer.Option("--sweep", metavar="ID", help="Which sweep; default: the one that ran last, of those that have it."),
]


def add_to(app: typer.Typer) -> None:
    """Add every command of this file to `app`; `train` takes the place of the one that knows no trials."""
    app.command(rich_help_panel="Make")(sweep)
    app.command(help=make.HELP["train"], rich_help_panel="Make")(train)
    app.command(rich_help_panel="Read")(best)


def sweep(
    config: Config,
    sets: Sets = None,
    address: Address = None,
    dry_run: DryRun = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    retry_failed: RetryFailed = False,
) -> None:
    """Search the settings of CONFIG's `tune:` block on Ray Tune, by an objective that collapse does not win."""
    again = console.command_line()
    with exits(again):
        from ray_pipeline.config import load

        loaded = load(config, sets or [])
    with exits(again):
        from ray_pipeline.cli.board import Board
        from ray_pipeline.stages import pipeline
        from ray_pipeline.stages import sweep as stage
        from ray_pipeline.stages.context import Context

        ctx = Context.of(loaded, "sweep", address)
        ctx.verbose = verbose
        if dry_run:
            make.say_all(partial(stage.plan, retry_failed=retry_failed), ctx)
            return
        board = Board(quiet)

        def run() -> None:
            with pipeline.recorded(ctx):
                stage.sweep(ctx, watch=board.watch, retry_failed=retry_failed)

        make.carry_out(ctx, board, run)
        _tell_best(ctx)


def _tell_best(ctx: Context) -> None:
    """The winner, or the Pareto front, and how to look at the rest."""
    from ray_pipeline.cli.board import described
    from ray_pipeline.sweep import read_sweep
    from ray_pipeline.sweep.results import TABLE

    found = read_sweep(ctx.store, Path(ctx.run.tables[TABLE][-1]).stem)
    for row in found.front:
        settings = ", ".join(f"{key}: {value}" for key, value in row["point"].items())
        out.print(f"best    {safe(described(row))}  {safe(settings)}")
    if found.front:
        out.print(f"config  ray-pipeline best {safe(ctx.store.root)}")
    out.print(f"watch   tensorboard --logdir {safe(ctx.store.folder('tune', found.name))}")


def best(store: Store, name: Name = None) -> None:
    """Print the winner's config as YAML that `run` takes, its scores as comments."""
    with exits():
        from ray_pipeline.store import open_store
        from ray_pipeline.sweep import read_sweep
        from ray_pipeline.sweep.results import as_yaml

        found = read_sweep(open_store(store), name)
        # Not by the console, which would wrap it and take brackets for markup.
        typer.echo(as_yaml(found, open_store(store)), nl=False)


def train(
    config: ConfigOrStore,
    sets: Sets = None,
    address: Address = None,
    dry_run: DryRun = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    from_trial: FromTrial = None,
    name: Name = None,
) -> None:
    if from_trial is None:
        _refuse_sweep(name)
        make.run_stage("train", Path(config), sets or [], address, dry_run=dry_run, verbose=verbose, quiet=quiet)
        return
    with exits(console.command_line()):
        from ray_pipeline.errors import ConfigError
        from ray_pipeline.stages import pipeline, sweep_again
        from ray_pipeline.store import open_store

        if sets:
            raise ConfigError("--from-trial takes the trial's own settings: leave --set out")
        ctx, row = sweep_again.context_of(open_store(config), from_trial, address, sweep=name)
        ctx.verbose = verbose
        if dry_run:
            out.print(safe(f"trial {row['trial_id']}: {ctx.config.scoring.seeds} models to train and to score"))
            return
        compared: Compared = {}

        def run() -> None:
            with pipeline.recorded(ctx):
                compared.update(sweep_again.train_again(ctx, row))

        make.carry_out(ctx, Voice(quiet), run)
        _compare(compared)


def _refuse_sweep(name: str | None) -> None:
    from ray_pipeline.errors import ConfigError

    with exits(console.command_line()):
        if name:
            raise ConfigError("--sweep says where --from-trial looks: name a trial, or leave it out")


def _compare(compared: Compared) -> None:
    from ray_pipeline.stages.sweep_again import AGREED, largest_difference

    for name, (trial, again) in compared.items():
        out.print(f"{safe(name):<32}{trial:>14.6g}{again:>14.6g}")
    found = largest_difference(compared)
    out.print(f"largest difference from the trial's {len(compared)} scores: {found:.2g}")
    if found > AGREED:
        err.print("[yellow]note:[/] scores agree where device, precision and threads do; the trial's row has its own")
