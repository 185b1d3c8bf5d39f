"""Commands that read: each takes STORE."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ray_pipeline.cli.console import err, exits, out, safe

Store = Annotated[
    str, typer.Argument(metavar="STORE", help="The folder or s3:// address a run wrote to, for example out/demo.")
]


def add_to(app: typer.Typer) -> None:
    """Add every command of this file to `app`."""
    for command in (status, export, report, verify, prune):
        app.command(rich_help_panel="Read")(command)


def status(store: Store) -> None:
    """Tables, rows, and bad tracks by reason, of the latest run, finished or not."""
    with exits():
        from ray_pipeline.cli.tables import status_table
        from ray_pipeline.store import latest_run, open_store

        place = open_store(store)
        run = latest_run(place, states=("done", "failed", "interrupted", "running"))
        out.print(f"{safe(place.root)}: last run {safe(run.time)} ({safe(run.command)}), {safe(run.state)}")
        out.print(status_table(place, run))
        for note in run.notes:
            out.print(f"[yellow]note:[/] {safe(note)}")


def export(
    store: Store, to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where the Parquet files go.")]
) -> None:
    """One Parquet file a table, of the latest run."""
    with exits():
        from ray_pipeline.store import latest_run, open_store
        from ray_pipeline.store.export import export as write

        place = open_store(store)
        for path in write(place, latest_run(place), to.expanduser()):
            out.print(safe(path))


def report(store: Store) -> None:
    """Write the report of the latest run again, and the page of each sweep."""
    with exits():
        from ray_pipeline.stages.report import write_reports
        from ray_pipeline.store import open_store

        for page in write_reports(open_store(store)):
            out.print(safe(page))


def verify(store: Store) -> None:
    """Compare data files with their checksums, datasets with their recipes, tables with their promise of one row a track."""
    with exits():
        from ray_pipeline.store import open_store
        from ray_pipeline.store.verify import verify as look

        place = open_store(store)
        problems = look(place)
        for problem in problems:
            err.print(f"[bold red]damaged:[/] {safe(problem)}")
        out.print(f"{len(place.datasets())} datasets, {len(problems)} problems")
        if problems:
            err.print("[dim]the next run of the stage that made it drops what is damaged, and makes what is missing[/]")
            raise typer.Exit(1)


def prune(
    store: Store,
    yes: Annotated[bool, typer.Option("--yes", help="Take it away; without this it is only listed.")] = False,
) -> None:
    """List what no run refers to any more; with --yes take it away and put small files together."""
    with exits():
        from ray_pipeline.store import open_store
        from ray_pipeline.store.prune import prune as take_away
        from ray_pipeline.store.prune import rubbish

        place = open_store(store)
        found = rubbish(place)
        for one in found:
            out.print(f"{one.size / 1e6:10.2f} MB  {safe(one.name)}: {one.why}")
        out.print(f"{len(found)} things, {sum(one.size for one in found) / 1e6:.2f} MB")
        if yes:
            out.print(f"freed {take_away(place) / 1e6:.2f} MB")
        elif found:
            out.print("[dim]nothing was taken away; to do that: ray-pipeline prune STORE --yes[/]")
