"""One archive over HTTP: goes on where it stopped, waits for a server that is busy, and starts over where it must."""

from __future__ import annotations

import time
from collections.abc import Callable

from ray_pipeline.fma_archive import web
from ray_pipeline.fma_archive.archives import MIB, Archive, FetchError, shown
from ray_pipeline.fma_archive.disk import told
from ray_pipeline.fma_archive.meter import Meter, Progress, Say
from ray_pipeline.fma_archive.part import Part, Remote
from ray_pipeline.fma_archive.web import RangeRefused, TryAgain

ATTEMPTS = 8
# This much more resets the count of attempts: a long download may break often, as long as it gets on.
PROGRESS = MIB
LONGEST_PAUSE_S = 60.0
LONGEST_ASKED_S = 600.0
# How far a size may be from the published one, which is rounded: 22 GiB is 21.5 to 22.5.
TOLERANCE = 0.05


def download(
    archive: Archive, url: str, part: Part, *, say: Say, progress: Progress, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Fill `part` from `url` until it is complete; what is in it already is not asked for again.

    Raises
    ------
    FetchError
        The server refuses, has another file, or fails `ATTEMPTS` times in a row; or the disk does. The part stays.
    """
    patience = _Patience(archive, url, say, sleep)
    while not part.complete:
        try:
            with told(part.path):
                _attempt(archive, url, part, say, progress)
        except RangeRefused as error:
            part.discard()
            patience.wait(error, 0)
        except TryAgain as error:
            patience.wait(error, part.size)


def _attempt(archive: Archive, url: str, part: Part, say: Say, progress: Progress) -> None:
    with web.get(url, part.headers()) as response:
        answer = Remote.of(response)
        if answer is None:
            raise FetchError(
                f"{url}: does not say how long the file is (HTTP {response.status})",
                hint="name another mirror with --from",
            )
        remote, start = answer
        _check_size(archive, url, remote.size)
        if remote != part.remote or start != part.size:
            if part.size:
                say(f"{archive.zip_name}: starts over, as the server has another file now or cannot send a part of it")
            if start:
                part.discard()
                raise TryAgain("not the part that was asked for", wait=0.0)
            part.begin(remote)
        meter = Meter(progress, archive.zip_name, remote.size)
        done = start
        meter.at(done)
        with part.open() as file:
            while done < remote.size:
                done += file.write(web.read(response, min(MIB, remote.size - done)))
                meter.at(done)


def _check_size(archive: Archive, url: str, size: int) -> None:
    if abs(size - archive.size) > TOLERANCE * archive.size:
        raise FetchError(
            f"{url}: is {shown(size)} long; {archive.zip_name} has about {shown(archive.size)}",
            hint="that is another file, perhaps a page to log in: open the address in a browser, or try --from a mirror",
        )


class _Patience:
    """Waits between attempts, longer each time, or as long as the server asks; and ends when it gets nowhere."""

    def __init__(self, archive: Archive, url: str, say: Say, sleep: Callable[[float], None]) -> None:
        self._archive, self._url, self._say, self._sleep = archive, url, say, sleep
        self._failed = 0
        self._mark = 0

    def wait(self, error: TryAgain, reached: int) -> None:
        if reached - self._mark >= PROGRESS:
            self._mark, self._failed = reached, 0
        self._failed += 1
        kept = f"{shown(reached)} are kept: the same command goes on from there" if reached else "try again later"
        if self._failed >= ATTEMPTS:
            raise FetchError(f"{self._url}: {error}, {self._failed} times in a row", hint=kept) from None
        pause = min(2.0 ** (self._failed - 1), LONGEST_PAUSE_S) if error.wait is None else error.wait
        if pause > LONGEST_ASKED_S:
            raise FetchError(f"{self._url}: {error}, to come again in {pause:,.0f} s", hint=kept) from None
        self._say(f"{self._archive.zip_name}: {error}; again in {pause:.0f} s, from {shown(reached)} on")
        self._sleep(pause)
