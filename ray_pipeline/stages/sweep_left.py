"""What of a sweep is there, and what is left to run, as the rows of its table tell."""

from __future__ import annotations

from ray_pipeline.stages.sweep_data import Shared
from ray_pipeline.sweep import Trial, trials
from ray_pipeline.sweep.proposers import n_points
from ray_pipeline.sweep.results import FAILED, Row

NOT_RESUMABLE = "pbt: trials learn from each other while they train, so an interrupted sweep begins anew"
NOT_COMPARED = (
    "asha: trials that are begun now are compared with each other, not with the rungs of those that have ended"
)


def standing(shared: Shared, rows: list[Row], retry_failed: bool) -> tuple[list[Row], str]:
    """Those of `rows` that a run goes on from, and what is to be known of it; "" for nothing."""
    stand = [row for row in rows if not (retry_failed and row["status"] == FAILED)]
    if len(stand) == n_trials(shared, stand):
        return stand, ""
    if shared.tune.scheduler == "pbt":
        return [], NOT_RESUMABLE
    return stand, NOT_COMPARED if shared.tune.scheduler == "asha" and stand else ""


def missing(shared: Shared, rows: list[Row]) -> list[Trial]:
    """Those of the seeded list that have no row."""
    there = {row["trial_id"] for row in rows}
    return [trial for trial in trials(shared.config) if trial.name not in there]


def n_trials(shared: Shared, rows: list[Row]) -> int:
    """Trials that there will be; of an earlier, longer run of the sweep there may be more."""
    if shared.tune.search == "optuna":
        return max(len(rows), n_points(shared.tune))
    return len(rows) + len(missing(shared, rows))
