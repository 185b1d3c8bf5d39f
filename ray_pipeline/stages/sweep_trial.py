"""One trial of a sweep, in a Ray worker: all its seeds fitted and scored, reported epoch by epoch.

Seeds go side by side from rung to rung, so that a scheduler compares means over seeds, as the objective is one.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_pipeline import experiment, model_files
from ray_pipeline.config import Config
from ray_pipeline.errors import ImpossibleScore, RayPipelineError
from ray_pipeline.evaluation import stability
from ray_pipeline.experiment import Collection, Evaluation, Fitted
from ray_pipeline.models.condition import condition_of
from ray_pipeline.models.contract import Latents
from ray_pipeline.needs import fusion_of, views_required
from ray_pipeline.stages import ahead
from ray_pipeline.stages.sweep_data import Shared, collection_of
from ray_pipeline.store import folder_at
from ray_pipeline.sweep.objective import WORST, Judged, judge, needs_nulls, needs_stability
from ray_pipeline.sweep.remembered import Remembered
from ray_pipeline.sweep.results import DIVERGED, FAILED, GATED, OK
from ray_pipeline.sweep.rungs import stops
from ray_pipeline.sweep.trials import config_of, views_of

if TYPE_CHECKING:
    from ray_pipeline.training import Epoch

REPORT_EVERY_S = 1.0
MOST_KEPT = 4
# What this worker cut and fused for its former trials, by all that decides it.
_KEPT: OrderedDict[str, tuple[Collection, Remembered]] = OrderedDict()


def run_trial(told: dict[str, Any], shared: Shared) -> None:
    """What Ray Tune runs: the trial at ``told["spec"]["point"]``; its last report holds the ``outcome``.

    What this package raises on purpose would be raised again: it is an outcome, but for a score that cannot be, which is
    reported so that the sweep ends with it. Anything else ends the worker, and Ray Tune tries the trial again in another.
    """
    from ray import tune

    with ahead.uncollected():  # and before the clock starts
        import sklearn.cluster  # noqa: F401

        from ray_pipeline import metrics, training  # noqa: F401

    course = Course(tune.report)
    try:
        outcome = _Trial(shared, told["spec"]["point"], course).run()
    except ImpossibleScore as error:
        # Raised alone it would be a try that failed, and Tune would make another.
        course.send({"impossible": str(error), "hint": error.hint})
        raise
    except RayPipelineError as error:
        outcome = {"status": FAILED, "reason": str(error), "objective": [WORST] * len(shared.tune.objective)}
    course.send({"outcome": outcome})


class Course:
    """Gathers what each epoch came to, and sends it on once a second: a report costs as much as a small epoch."""

    def __init__(self, report: Callable[..., None]) -> None:
        self._report = report
        self._points: list[list[float]] = []
        self._began = self._sent = time.monotonic()

    def of(self, seed: int) -> Callable[[Epoch], None]:
        def on_epoch(epoch: Epoch) -> None:
            self._points.append([seed, epoch.epoch, epoch.loss, epoch.reconstruction, epoch.kl])
            if time.monotonic() - self._sent > REPORT_EVERY_S:
                self.send({})

        return on_epoch

    def send(self, more: dict[str, Any], **kwargs: Any) -> None:
        points, self._points = self._points, []
        self._sent = time.monotonic()
        self._report({"points": points, "seconds": self._sent - self._began, **more}, **kwargs)


class _Trial:
    def __init__(self, shared: Shared, point: dict[str, Any], course: Course) -> None:
        self.shared, self.tune, self.course = shared, shared.tune, course
        self.config = config_of(shared.config, point)
        self.collection, self.fusion = _fused(shared, self.config)
        self.stops = stops(shared.config, self.config)
        self.seeds = [self.config.seed + i for i in range(self.config.scoring.seeds)]

    def run(self) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) if len(self.stops) > 1 else None
            done = self._go_on(folder) if folder else 0
            for epochs in (stop for stop in self.stops if stop > done):
                fitted = [self._fit(seed, epochs, folder) for seed in self.seeds]
                if diverged := [note for one in fitted if one.card["status"] != "ok" for note in one.card["notes"]]:
                    return self._outcome(DIVERGED, Judged((WORST,) * len(self.tune.objective), diverged[0]), fitted)
                if epochs == self.stops[-1] or not fitted[0].card["history"]:  # some models have no epochs
                    break
                self._report(epochs, self._judge(fitted, rung=True), folder)
        judged = self._judge(fitted)
        return self._outcome(GATED if judged.reason else OK, judged, fitted)

    def _fit(self, seed: int, epochs: int, folder: Path | None) -> Fitted:
        training = self.config.training.model_copy(update={"epochs": epochs})
        return experiment.fit(
            self.collection,
            self.config.model_copy(update={"training": training}),
            seed,
            device=self.shared.device,
            checkpoint=folder / f"seed-{seed}" if folder else None,
            on_epoch=self.course.of(seed),
            fusion=self.fusion,
        )

    def _judge(self, fitted: list[Fitted], *, rung: bool = False) -> Judged:
        """What the trial is worth; at a `rung` with few draws of chance, where the objective is no distance to it."""
        objective, config = self.tune.objective, self.config
        if rung and not needs_nulls(objective):
            few = config.scoring.model_copy(update={"null_draws": 2, "permutations": 10})
            config = config.model_copy(update={"scoring": few})
        latents: list[Latents] = []
        found: list[Evaluation] = []
        for seed, one in zip(self.seeds, fitted, strict=True):
            latents.append(experiment.encode(self.collection, one))
            found.append(experiment.evaluate(self.collection, one, latents[-1], config, seed))
        scores = [one.scores for one in found]
        if needs_stability(objective):
            more = stability(config, self.seeds, latents, found)
            scores = [[*one, *more[seed]] for seed, one in zip(self.seeds, scores, strict=True)]
        most = self.shared.most_tracks
        return judge(scores, [one.labels for one in found], objective, self.tune.gates, most_tracks=most)

    def _report(self, epochs: int, judged: Judged, folder: Path | None) -> None:
        """Tell how the trial stands at a rung, and all that it will be known by if it is stopped there."""
        from ray import tune

        metrics = {"epoch": epochs, "standing": judged.standing, "objective": list(judged.values)}
        # As pairs: of each number in a mapping Tune keeps a history.
        metrics |= {"scores": list(judged.metrics.items()), "spread": list(judged.spread.items())}
        metrics |= {"n_tracks": len(self.collection)}
        population = self.tune.scheduler == "pbt"
        checkpoint = tune.Checkpoint.from_directory(str(folder)) if population else None
        self.course.send(metrics, checkpoint=checkpoint)

    def _go_on(self, folder: Path) -> int:
        """Take over the weights that a population handed to this trial; the epochs that they were trained for."""
        from ray import tune

        given = tune.get_checkpoint()
        if given is None:
            return 0
        given.to_directory(str(folder))
        states = sorted(folder.glob("*/epoch-*/state.json"))
        for path in states:
            _under_new_settings(path, self.config, list(self.tune.mutable()))
        return min(int(path.parent.name.rpartition("-")[2]) for path in states)

    def _outcome(self, status: str, judged: Judged, fitted: list[Fitted]) -> dict[str, Any]:
        import torch

        return {
            "status": status,
            "reason": judged.reason,
            "objective": list(judged.values),
            "scores": dict(judged.metrics),
            "spread": dict(judged.spread),
            "n_tracks": len(self.collection),
            "epochs": max(len(one.card["history"]) for one in fitted),
            "trained": {
                "device": self.shared.device,
                "precision": fitted[0].card["precision"],
                "threads": torch.get_num_threads(),
                "data": self.collection.digest(),
            },
        }


def _fused(shared: Shared, config: Config) -> tuple[Collection, Remembered]:
    """The trial's collection and fusion, those of a former trial of this worker where it read and fused alike."""
    wanted = condition_of(config.model)
    read = [sorted(views_of(config)), views_required(config), wanted.label if wanted else None]
    key = json.dumps([shared.name, config.fusion.model_dump(mode="json"), *read], sort_keys=True)
    if key not in _KEPT:
        _KEPT[key] = collection_of(shared, config), Remembered(fusion_of(config.fusion))
    _KEPT.move_to_end(key)
    while len(_KEPT) > MOST_KEPT:
        _KEPT.popitem(last=False)
    return _KEPT[key]


def _under_new_settings(path: Path, config: Config, keys: list[str]) -> None:
    """Let the checkpoint whose JSON is at `path` be read by a run with other values of `keys`, which it would refuse."""
    about, settings = model_files.read_json(folder_at(path.parent), path.name), config.plain()
    for key in keys:
        section, *steps, name = key.split(".")
        there, now = about["run"][section], settings[section]
        for step in steps:
            there, now = there[step], now[step]
        there[name] = now[name]
    path.write_text(json.dumps(about), encoding="utf-8")
