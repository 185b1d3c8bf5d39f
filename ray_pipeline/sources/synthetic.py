"""The embedded collection: made-up music in eight styles, rendered into the store when it is first asked for.

It needs no download and no data set, and its true styles are known. Four styles are sung, each about a theme of its
own; four are instrumental. Styles overlap in tempo, key and instruments, so that no single number tells them apart.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from pydantic import Field

from ray_pipeline.errors import SourceError
from ray_pipeline.sources.base import Entry, Note, Progress, SourceParams, to_uri
from ray_pipeline.sources.synth import VERSION
from ray_pipeline.sources.synth.names import Credits, credits
from ray_pipeline.sources.synth.styles import STYLES

TRACKS_A_WORKER = 4  # fewer are rendered before a process has started

Job = tuple[Path, str, int, int, Credits]


class Params(SourceParams):
    """Settings of the embedded collection."""

    n_tracks: int = Field(default=96, ge=1, description="how many tracks, spread evenly over the eight styles")

    @property
    def makes(self) -> int:
        return self.n_tracks


def list_tracks(
    params: Params, *, store: str, seed: int, progress: Progress | None = None, note: Note | None = None
) -> list[Entry]:
    """The collection's tracks; those that are missing are rendered first.

    They lie at ``<store>/audio/seed<seed>-v<version>/<style>-<index>.flac``, 1.6 MB each. The same seed
    gives the same samples, and a larger collection begins with the smaller one.

    Parameters
    ----------
    store
        A local folder.
    progress
        Called with (tracks rendered, tracks to render) as they are finished; not at all where none is missing.

    Raises
    ------
    SourceError
        `store` is not a local folder.
    """
    if "://" in store:
        raise SourceError(
            f"the synthetic source renders its files into the store, which must be a local folder, not '{store}'",
            hint="set store to a folder, or render there once and give its audio folder to the folder source",
        )
    folder = Path(store).expanduser().absolute() / "audio" / f"seed{seed}-v{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    names = list(STYLES)
    jobs: list[Job] = []
    for place in range(params.n_tracks):
        index, style = place // len(names), names[place % len(names)]
        jobs.append((folder / f"{style}-{index:02d}.flac", style, index, seed, credits(style, index, seed)))
    _render([job for job in jobs if not job[0].exists()], progress or (lambda done, total: None))
    return [_entry(path, style, made) for path, style, _, _, made in jobs]


def _entry(path: Path, style: str, made: Credits) -> Entry:
    return Entry(
        track_id=path.stem,
        uri=to_uri(path),
        title=made.title,
        artist=made.artist,
        album=made.album,
        year=made.year,
        labels={"style": [style]},
        read_tags=False,
    )


def _render(jobs: list[Job], progress: Progress) -> None:
    n_workers = min(os.cpu_count() or 1, len(jobs) // TRACKS_A_WORKER)
    if n_workers > 1:
        try:
            _render_in_processes(jobs, n_workers, progress)
        except BrokenProcessPool:
            # No process can be spawned from a script without `if __name__ == "__main__"`, or where memory is short.
            jobs = [job for job in jobs if not job[0].exists()]
        else:
            return
    for done, job in enumerate(jobs, start=1):
        _write(job)
        progress(done, len(jobs))


def _render_in_processes(jobs: list[Job], n_workers: int, progress: Progress) -> None:
    with ProcessPoolExecutor(n_workers, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(_write, job) for job in jobs]
        for done, finished in enumerate(as_completed(running), start=1):
            finished.result()
            progress(done, len(jobs))


def _write(job: Job) -> None:
    # Imported here so that a config is checked without scipy.
    from ray_pipeline.sources.synth.render import write

    write(*job)
