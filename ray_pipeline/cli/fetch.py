"""Commands that bring music here: each takes what to bring, and where to."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ray_pipeline.cli import console
from ray_pipeline.cli.console import Voice, exits, out, safe


class Subset(StrEnum):
    """What FMA publishes, by the names of `ray_pipeline.fma_archive.ARCHIVES`."""

    small = "small"
    medium = "medium"
    large = "large"
    full = "full"
    metadata = "metadata"


Which = Annotated[
    Subset,
    typer.Argument(help="Clips of 30 s: 8,000, 25,000 or 106,574; all 106,574 whole; or the tables alone."),
]
To = Annotated[Path, typer.Option("--to", metavar="DIR", help="Where it goes; later a config's source.root.")]
From = Annotated[
    str | None, typer.Option("--from", metavar="URL", help="A mirror: the https address of the folder with the zips.")
]
KeepZip = Annotated[bool, typer.Option("--keep-zip", help="Keep each zip when it is unpacked.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Only the last line, and what went wrong.")]


def add_to(app: typer.Typer) -> None:
    """Add every command of this file to `app`."""
    app.command(rich_help_panel="Make")(fetch_fma)


def fetch_fma(subset: Which, to: To, mirror: From = None, keep_zip: KeepZip = False, quiet: Quiet = False) -> None:
    """Download and unpack the Free Music Archive: music and tables, checked against FMA's own hashes.

    Stopped or broken off, the same command goes on where it was.

    Tables 0.3 GiB, music 7.2 (small), 22 (medium), 93 (large) or 879 GiB (full); until it is unpacked, twice that.
    """
    with exits(console.command_line()):
        from ray_pipeline.fma_archive import ARCHIVES, PUBLISHED_AT
        from ray_pipeline.fma_archive.fetch import fetch

        base, folder = _mirror(mirror) if mirror else PUBLISHED_AT, _folder(to)
        # The music says nothing of itself: titles, artists and genres are in the tables.
        archives = [ARCHIVES[name] for name in dict.fromkeys(("metadata", subset.value))]
        with Voice(quiet) as voice:
            new = fetch(archives, folder, base, say=voice.say, progress=voice.progress, keep_zip=keep_zip)
        names = " and ".join(archive.name for archive in archives)
        done = "fetched" if new else "all there already"
        out.print(f"{names}: {done}; to use it, source: {{kind: fma, root: {safe(folder)}}}")


def _mirror(url: str) -> str:
    from urllib.parse import urlsplit

    from ray_pipeline.errors import ConfigError
    from ray_pipeline.fma_archive.web import allowed

    if not allowed(url) or urlsplit(url).query or urlsplit(url).fragment:
        raise ConfigError(
            f"--from: {url}: not the https address of a folder", hint="for example --from https://example.org/fma"
        )
    return url


def _folder(path: Path) -> Path:
    from ray_pipeline.errors import ConfigError

    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ConfigError(f"--to: {path}: there is no such user here", hint="write the whole path") from None
