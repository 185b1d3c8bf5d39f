"""A sweep without Ray: which trials there are, what a trial is worth, which are passed on to the next search.

`trials` turns a config with a ``tune:`` block into configs; `objective` gates and ranks them; `proposers` hands them out one
after another, and is told what became of each; `results` reads what a sweep came to.
"""

from __future__ import annotations

from ray_pipeline.sweep.objective import WORST, Judged, judge, pareto_front
from ray_pipeline.sweep.results import Sweep, find_trial, read_sweep
from ray_pipeline.sweep.trials import Trial, config_of, sweep_id, trial_of, trials

__all__ = [
    "WORST",
    "Judged",
    "Sweep",
    "Trial",
    "config_of",
    "find_trial",
    "judge",
    "pareto_front",
    "read_sweep",
    "sweep_id",
    "trial_of",
    "trials",
]
