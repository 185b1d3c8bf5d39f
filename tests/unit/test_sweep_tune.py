"""What Ray Tune is told before it starts, as Tune itself understands it."""

from __future__ import annotations

import os
from typing import Any

import pytest
from ray.tune.execution import class_cache
from ray.tune.execution.tune_controller import _get_max_pending_trials
from ray.tune.search import Searcher

from ray_pipeline.stages import session, sweep_tune
from ray_pipeline.sweep.proposers import Listed

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
CHDIR = "RAY_CHDIR_TO_TRIAL_DIR"
MOST = 7


class Trained:
    """What Tune would make an actor of."""


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {*sweep_tune._TUNES_OWN, CHDIR}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TUNE_") and name not in ours}
    monkeypatch.setattr(os, "environ", clean)
    monkeypatch.setattr(session, "handed_down", dict)
    monkeypatch.setattr(class_cache, "ENV_VARS_TO_PROPAGATE", set(sweep_tune._TUNES_OWN))
    monkeypatch.setattr(class_cache, "DEFAULT_ENV_VARS", {})


def prepare(**more: Any) -> None:
    sweep_tune._prepare(plan(**more))


def plan(**more: Any) -> sweep_tune.Plan:
    return sweep_tune.Plan(Listed([]), most=MOST, room=lambda: 2, **more)


def shown(kind: type) -> dict[str, str]:
    """The environment in the runtime_env of the actors of `kind`, which the dashboard shows."""
    options = class_cache._ActorClassCache().get(kind)._default_options
    found: dict[str, str] = dict(options["runtime_env"].get("env_vars", {}))
    return found


def test_keys_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.setitem(os.environ, name, "hidden")
    assert set(shown(Trained).values()) >= {"hidden"}, "by itself Tune hands them on"
    prepare()
    assert shown(Trained) == {}


def test_workers_of_a_ray_at_an_address_are_told_where_to_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, CHDIR, "0")
    prepare()
    assert shown(Trained) == {CHDIR: "0"}


def test_workers_of_a_ray_started_here_have_their_environment_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one of their own they would be others than those that Ray has started already."""
    monkeypatch.setitem(os.environ, CHDIR, "0")
    monkeypatch.setattr(session, "handed_down", lambda: {CHDIR: "0"})
    prepare()
    assert shown(Trained) == {}
    monkeypatch.setattr(session, "handed_down", lambda: {CHDIR: "1"})
    prepare()
    assert shown(Trained) == {CHDIR: "0"}


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
