"""A sweep's trials as runs of an MLflow experiment: the address is ``tune.mlflow``, the package comes by the extra [mlflow]."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ray_pipeline.errors import ConfigError, ResourceError, install
from ray_pipeline.stages.sweep_tensorboard import PARTS

_NOT_ALLOWED = re.compile(r"[^\w\-./ ]")


class Tracked:
    """Each trial that ends becomes one run, with its settings, its scores, and its curves (means over seeds).

    A server that goes away ends no sweep: `note` is told, once, and the rows of `trials` have it all.
    """

    def __init__(self, address: str, sweep: str, objective: Sequence[str], note: Callable[[str], None]) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        try:
            import mlflow
        except ImportError:
            raise ConfigError("tune.mlflow: the package mlflow is not installed", hint=install("mlflow")) from None
        self._mlflow = mlflow
        self.objective = objective
        self._note = note
        self._curves: dict[str, dict[tuple[str, int], dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
        try:
            mlflow.set_tracking_uri(address)
            mlflow.set_experiment(f"sweep {sweep}")
        except mlflow.exceptions.MlflowException as error:
            raise ResourceError(f"tune.mlflow: {address}: {str(error).splitlines()[0]}") from None

    def begin(self, trial: str) -> None:
        self._curves.pop(trial, None)

    def add(self, trial: str, points: Sequence[Sequence[float]], rung: dict[str, Any] | None) -> None:
        for seed, epoch, *values in points:
            for part, value in zip(PARTS, values, strict=True):
                self._curves[trial][part, int(epoch)][int(seed)] = value

    def end(self, row: dict[str, Any]) -> None:
        try:
            self._end(row, self._curves.pop(row["trial_id"], {}))
        except self._mlflow.exceptions.MlflowException as error:
            self._note(f"tune.mlflow: not every trial could be told: {str(error).splitlines()[0][:200]}")

    def _end(self, row: dict[str, Any], curve: Mapping[tuple[str, int], Mapping[int, float]]) -> None:
        named = {f"objective.{name}": v for name, v in zip(self.objective, row["objective"], strict=True)}
        with self._mlflow.start_run(run_name=row["trial_id"]):
            self._mlflow.set_tags({"status": row["status"], "reason": row["reason"], "sweep": row["sweep_id"]})
            self._mlflow.log_params({key: json.dumps(value) for key, value in row["point"].items()})
            self._mlflow.log_metrics({_NOT_ALLOWED.sub("_", k): v for k, v in (row["scores"] | named).items()})
            for (part, epoch), by_seed in sorted(curve.items(), key=lambda item: item[0][1]):
                self._mlflow.log_metric(part, sum(by_seed.values()) / len(by_seed), step=epoch)

    def close(self) -> None:
        self._curves.clear()
