"""What Ray Tune is told before it starts, as Tune itself understands it."""

from __future__ import annotations

import os
from typing import Any

import pytest
from ray.tune.execution import class_cache
from ray.tune.execution.tune_controller import _get_max_pending_trials
from ray.tune.search import Searcher

from ray_pipeline.stages import sweep_tune
from ray_pipeline.sweep.proposers import Listed

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
MOST = 7


class Trained:
    """What Tune would make an actor of."""


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TUNE_")}
    monkeypatch.setattr(os, "environ", clean)
    monkeypatch.setattr(class_cache, "ENV_VARS_TO_PROPAGATE", {*class_cache.ENV_VARS_TO_PROPAGATE, *KEYS})


def prepare(**more: Any) -> None:
    sweep_tune._prepare(plan(**more))


def plan(**more: Any) -> sweep_tune.Plan:
    return sweep_tune.Plan(Listed([]), most=MOST, room=lambda: 2, **more)


def shown(kind: type) -> dict[str, str]:
    """The environment in the runtime_env of the actors of `kind`, which the dashboard shows."""
    options = class_cache._ActorClassCache().get(kind)._default_options
    found: dict[str, str] = dict(options["runtime_env"]["env_vars"])
    return found


def test_keys_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.setitem(os.environ, name, "hidden")
    assert set(shown(Trained).values()) >= {"hidden"}, "by itself Tune hands them on"
    prepare()
    assert "hidden" not in shown(Trained).values()
    assert shown(Trained)["RAY_CHDIR_TO_TRIAL_DIR"] == "0"


def test_all_workers_are_asked_for_at_once() -> None:
    assert _get_max_pending_trials(Searcher()) == 1
    prepare()
    assert _get_max_pending_trials(Searcher()) == MOST


def test_a_population_after_a_sweep_is_not_held_to_its_number() -> None:
    prepare()
    prepare(population=(object(),))
    assert os.environ["TUNE_MAX_PENDING_TRIALS_PG"] == "auto"


def test_a_time_budget_lets_one_trial_wait_and_no_more() -> None:
    """Those that wait begin once there is a worker, and that may be long after."""
    assert plan().at_once() == MOST
    assert plan(until=1e9).at_once() == 3
