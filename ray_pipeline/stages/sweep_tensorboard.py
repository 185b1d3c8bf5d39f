"""A sweep's event files: ``tune/<sweep>/<trial>/``, scalars by epoch as they come, and HParams when a trial has ended.

tensorboard --logdir STORE/tune
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_pipeline.errors import StoreError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

PARTS = ("loss", "reconstruction", "kl")
FLUSH_S = 10


class Events:
    """The event files below `folder`."""

    def __init__(self, folder: Path, objective: Sequence[str]) -> None:
        self.folder = folder
        self.objective = objective
        self._writers: dict[str, SummaryWriter] = {}

    def begin(self, trial: str) -> None:
        """Forget what a former try of `trial` wrote."""
        with self._told():
            if writer := self._writers.pop(trial, None):
                writer.close()
            shutil.rmtree(self.folder / trial, ignore_errors=True)

    def add(self, trial: str, points: Sequence[Sequence[float]], rung: dict[str, Any] | None) -> None:
        """`points` are rows of (seed, epoch, loss, reconstruction, kl); `rung` has the objective at an epoch."""
        with self._told():
            writer = self._writer(trial)
            for seed, epoch, *values in points:
                for part, value in zip(PARTS, values, strict=True):
                    writer.add_scalar(f"{part}/seed_{int(seed)}", value, int(epoch))
            if rung:
                for name, value in zip(self.objective, rung["objective"], strict=True):
                    writer.add_scalar(f"rung/{name}", value, rung["epoch"])

    def end(self, row: dict[str, Any]) -> None:
        """Write the HParams of a row of `trials`, and close its file."""
        from torch.utils.tensorboard.summary import hparams

        metrics = {f"objective/{name}": v for name, v in zip(self.objective, row["objective"], strict=True)}
        metrics |= {f"score/{name}": value for name, value in row["scores"].items()}
        settings = {key: _plain(value) for key, value in row["point"].items()} | {"status": row["status"]}
        with self._told():
            writer = self._writer(row["trial_id"])
            for summary in hparams(settings, metrics):
                writer.file_writer.add_summary(summary)  # type: ignore[attr-defined]  # open until it is closed below
            for name, value in metrics.items():
                writer.add_scalar(name, value, row["epochs"])
            self._writers.pop(row["trial_id"]).close()

    def close(self) -> None:
        """Close the files of trials that have not ended."""
        with self._told():
            while self._writers:
                self._writers.popitem()[1].close()

    def _writer(self, trial: str) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        if trial not in self._writers:
            self._writers[trial] = SummaryWriter(str(self.folder / trial), flush_secs=FLUSH_S)
        return self._writers[trial]

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            hint = "is the disk full, or the store read-only?"
            raise StoreError(f"{self.folder}: {error.strerror or error}", hint=hint) from None


def _plain(value: Any) -> bool | str | float | int:
    return value if isinstance(value, bool | str | float | int) else json.dumps(value)
