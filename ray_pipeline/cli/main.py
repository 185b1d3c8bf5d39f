"""`ray-pipeline`: what makes things takes CONFIG, what reads takes STORE."""

from __future__ import annotations

import sys

import typer

from ray_pipeline.cli import fetch, look, make, sweep

app = typer.Typer(
    name="ray-pipeline",
    help="Unsupervised music clustering on Ray, with scores that say what chance would have scored.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
make.add_to(app)
look.add_to(app)
fetch.add_to(app)
sweep.add_to(app)


def main(args: list[str] | None = None) -> None:
    """Run the command line; `args` default to the process's own."""
    app(args=args if args is not None else sys.argv[1:], prog_name="ray-pipeline")


if __name__ == "__main__":
    main()
