"""A sweep's event files: ``tune/<sweep>/<trial>/``, scalars by epoch as they come, and HParams when a trial has ended.

    tensorboard --logdir STORE/tune

Written by TensorBoard's own package: torch's writer would load torch into a process that has no other use for it.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_pipeline.errors import StoreError
from ray_pipeline.sweep.results import FAILED

if TYPE_CHECKING:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

PARTS = ("loss", "reconstruction", "kl")
FLUSH_S = 10


class Events:
    """The event files below `folder`."""

    def __init__(self, folder: Path, objective: Sequence[str]) -> None:
        self.folder = folder
        self.objective = objective
        self._writers: dict[str, EventFileWriter] = {}

    def begin(self, trial: str) -> None:
        """Forget what a former try of `trial` wrote."""
        with self._told():
            if writer := self._writers.pop(trial, None):
                writer.close()
            shutil.rmtree(self.folder / trial, ignore_errors=True)

    def add(self, trial: str, points: Sequence[Sequence[float]], rung: dict[str, Any] | None) -> None:
        """`points` are rows of (seed, epoch, loss, reconstruction, kl); `rung` has the objective at an epoch."""
        with self._told():
            for seed, epoch, *values in points:
                named = {f"{part}/seed_{int(seed)}": value for part, value in zip(PARTS, values, strict=True)}
                self._write(trial, int(epoch), _scalars(named))
            if rung:
                named = {f"rung/{name}": v for name, v in zip(self.objective, rung["objective"], strict=True)}
                self._write(trial, rung["epoch"], _scalars(named))

    def end(self, row: dict[str, Any]) -> None:
        """Write the HParams of a row of `trials`, and close its file."""
        metrics = {f"objective/{name}": v for name, v in zip(self.objective, row["objective"], strict=True)}
        metrics |= {f"score/{name}": value for name, value in row["scores"].items()}
        settings = {key: _plain(value) for key, value in row["point"].items()} | {"status": row["status"]}
        with self._told():
            for summary in (*_hparams(settings, list(metrics), row["status"] != FAILED), _scalars(metrics)):
                self._write(row["trial_id"], row["epochs"], summary)
            self._writers.pop(row["trial_id"]).close()

    def close(self) -> None:
        """Close the files of trials that have not ended."""
        with self._told():
            while self._writers:
                self._writers.popitem()[1].close()

    def _write(self, trial: str, step: int, summary: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if trial not in self._writers:
            self._writers[trial] = EventFileWriter(str(self.folder / trial), flush_secs=FLUSH_S)
        self._writers[trial].add_event(Event(wall_time=time.time(), step=step, summary=summary))

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            hint = "is the disk full, or the store read-only?"
            raise StoreError(f"{self.folder}: {error.strerror or error}", hint=hint) from None


def _scalars(values: Mapping[str, float]) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])


def _hparams(settings: dict[str, bool | str | float], metrics: list[str], succeeded: bool) -> Iterator[Any]:
    """What the HParams page is made of: which settings and metrics there are, this trial's settings, how it ended."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2
    from tensorboard.plugins.hparams import summary_v2 as api
    from tensorboard.plugins.hparams.api_pb2 import Status

    yield api.hparams_config_pb([api.HParam(key) for key in settings], [api.Metric(tag) for tag in metrics])
    yield api.hparams_pb(settings)
    ended = Status.Value("STATUS_SUCCESS" if succeeded else "STATUS_FAILURE")
    told = plugin_data_pb2.HParamsPluginData(session_end_info=plugin_data_pb2.SessionEndInfo(status=ended))
    value = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(told),
        tensor=metadata.NULL_TENSOR,
    )
    yield Summary(value=[value])


def _plain(value: Any) -> bool | str | float:
    return value if isinstance(value, bool | str | float | int) else json.dumps(value)
