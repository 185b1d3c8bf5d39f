"""A sweep on Ray Tune: what is tried next, on which worker, and who is stopped early. Imports Ray as it is imported."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.execution import class_cache
from ray.tune.search import Searcher

from ray_pipeline.errors import ConfigError, RayPipelineError
from ray_pipeline.stages import session
from ray_pipeline.stages.sweep_data import Shared
from ray_pipeline.stages.sweep_log import Log
from ray_pipeline.stages.sweep_schedulers import scheduler_of
from ray_pipeline.stages.sweep_trial import run_trial
from ray_pipeline.sweep import WORST, Trial, trial_of
from ray_pipeline.sweep.proposers import Proposer

# Results lie in `trials` and in the event files: nothing that Tune writes is read again, and it is removed at the end.
_QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Ctrl-C stays KeyboardInterrupt: what has ended is in the table.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
# What Tune hands on to its workers, where it is set; by default also a word to PyTorch Lightning, which is not used.
_TUNES_OWN = frozenset(class_cache.ENV_VARS_TO_PROPAGATE)


WAITING = 200
"""Workers that are asked for at once, as many as Tune asks for where it has a grid."""


@dataclass(frozen=True)
class Plan:
    """How trials are run: `most` at once, none begun after `until` (s, of `time.monotonic`).

    `room` tells how many the nodes that there are have room for now, of `most`, which may count nodes that are yet to come.
    """

    proposer: Proposer
    most: int
    room: Callable[[], int]
    until: float = math.inf
    population: tuple[Trial, ...] = ()

    def at_once(self) -> int:
        """Trials to be asked for, running ones among them. Those that wait for a worker begin whatever the time is then."""
        return self.most if self.until == math.inf else min(self.most, self.room() + 1)


def run(shared: Shared, plan: Plan, log: Log, folder: Path) -> None:
    """Run trials until there are no more; what Tune itself keeps goes to `folder`.

    Raises
    ------
    StoreError
        What became of a trial could not be written down.
    ImpossibleScore
        A trial came to a score that cannot be.
    """
    _prepare(plan)
    told, hearing = shared.tune, Hearing(log)
    resources = {"cpu": told.cpus_per_trial} | ({"gpu": told.gpus_per_trial} if told.gpus_per_trial else {})
    given = tune.with_parameters(run_trial, shared=shared)
    # Tune lets no searcher work beside a population, which is a grid of its members.
    members = [{"name": trial.name, "point": dict(trial.point)} for trial in plan.population]
    tuner = tune.Tuner(
        tune.with_resources(given, resources),
        param_space={"spec": tune.grid_search(members)} if members else {},
        tune_config=tune.TuneConfig(
            search_alg=None if members else Asking(plan, shared, log),
            scheduler=scheduler_of(shared),
            num_samples=1 if members else -1,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=str(folder),
            verbose=0,
            callbacks=[hearing],
            failure_config=tune.FailureConfig(max_failures=told.retries),
        ),
    )
    tuner.fit()
    # After the last trial no step follows in which it would have got out.
    hearing.raise_error()


def _prepare(plan: Plan) -> None:
    """Set what Tune reads from its environment."""
    # By itself Tune would ask for a worker once the one before has started: a wide cluster would fill up one by one.
    waiting = "auto" if plan.population else str(min(plan.most, WAITING))
    os.environ.update(_QUIET | {"TUNE_MAX_PENDING_TRIALS_PG": waiting})
    # A worker with a runtime_env of its own is none of those that Ray starts with: what they have anyway is not said again.
    # And Tune would hand the keys of S3 on, which the dashboard shows.
    has = session.handed_down()
    said = {name for name in _TUNES_OWN if name in os.environ and has.get(name) != os.environ[name]}
    class_cache.ENV_VARS_TO_PROPAGATE = {name for name in said if not name.startswith("AWS_")}
    class_cache.DEFAULT_ENV_VARS = {}


class _Unpickled:
    """Tune pickles what it is given, so that it can be restored; a sweep is not restored, and nothing of ours goes there."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Asking(_Unpickled, Searcher):
    """A `Proposer` as Ray Tune asks it."""

    def __init__(self, plan: Plan, shared: Shared, log: Log) -> None:
        super().__init__()
        self._plan, self._shared, self._log = plan, shared, log
        self._live: dict[str, Trial] = {}

    def suggest(self, trial_id: str) -> Any:
        if len(self._live) >= self._plan.at_once():
            return None
        while time.monotonic() < self._plan.until:
            point = self._plan.proposer.ask()
            if point is None:
                break
            try:
                trial = trial_of(self._shared.config, point)
            except ConfigError as error:
                self._log.ctx.run.note(f"left out, since the settings do not go together: {error}")
                self._plan.proposer.tell(point, [WORST] * len(self._shared.tune.objective))
                continue
            if trial.name in self._log.running or any(row["trial_id"] == trial.name for row in self._log.rows):
                self._plan.proposer.tell(point, self._log.values(trial.name))
                continue
            self._live[trial_id] = trial
            return {"spec": {"name": trial.name, "point": point}}
        return Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        trial = self._live.pop(trial_id)
        worst = [WORST] * len(self._shared.tune.objective)
        self._plan.proposer.tell(trial.point, worst if error else self._log.values(trial.name))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a sweep goes on by the table of its trials, and the base class refuses to restore one."""


class Hearing(_Unpickled, tune.Callback):
    """Passes what Tune hears of trials on to a `Log`."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._names: dict[str, str] = {}
        self._error: RayPipelineError | None = None

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        # Tune swallows what some hooks raise; from here it gets out.
        self.raise_error()
        self._log.look()

    def raise_error(self) -> None:
        """Raise what ends the sweep: a trial that could not be written down, or one with a score that cannot be."""
        if self._error:
            raise self._error

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        # A member of a population takes over another's settings, and its name with them.
        name = self._names.setdefault(trial.trial_id, trial.config["spec"]["name"])
        self._kept(lambda: self._log.begin(name, trial.config["spec"]["point"]))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._kept(lambda: self._log.heard(self._names[trial.trial_id], result))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        name = self._names.get(trial.trial_id)
        if name in self._log.running:
            self._kept(lambda: self._log.stopped(str(name)))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._kept(lambda: self._log.again(self._names[trial.trial_id]))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        name = self._names.setdefault(trial.trial_id, trial.config["spec"]["name"])
        if name not in self._log.running:
            self._kept(lambda: self._log.begin(name, trial.config["spec"]["point"]))
        self._kept(lambda: self._log.failed(name, _reason(trial)))

    def _kept(self, do: Callable[[], None]) -> None:
        try:
            do()
        except RayPipelineError as error:
            self._error = self._error or error


def _reason(trial: Any) -> str:
    """Why its last try failed, in one line, and how many tries there were."""
    path = Path(trial.error_file) if trial.error_file else None
    lines = path.read_text(errors="replace").splitlines() if path and path.is_file() else []
    told = [line.strip() for line in lines if line.strip()]
    died = any("actor died" in line or "ActorDiedError" in line for line in told[-30:])
    why = "its worker died: killed, or out of memory" if died else (told[-1] if told else "unknown")
    tries = int(trial.run_metadata.num_failures)
    return f"{why[:500]} ({tries} tries)" if tries > 1 else why[:500]
