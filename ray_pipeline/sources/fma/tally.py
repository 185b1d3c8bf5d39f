"""What was let pass in a file of a hundred thousand rows: a line a kind, with how often, and where first."""

from __future__ import annotations

from ray_pipeline.sources.base import Note


class Tally:
    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, what: str, where: str) -> None:
        """One more of `what`, seen at `where`."""
        n, first = self._found.get(what, (0, where))
        self._found[what] = n + 1, first

    def tell(self, note: Note) -> None:
        for what, (n, first) in self._found.items():
            note(f"{what}: {n:,}, the first at {first}")
