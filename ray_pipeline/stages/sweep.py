"""Features, text vectors → `trials`: many experiments on Ray Tune, over one collection that is read once.

Every trial that ends is a row, so the same command goes on where an interrupted one was: the list of trials is made again,
those in the table are passed over, and Optuna is told of them.
"""

from __future__ import annotations

import math
import shutil
import time
from typing import Any

from ray_pipeline import schemas
from ray_pipeline.errors import ConfigError, NotFetched, ResourceError, TrainingError
from ray_pipeline.s3_address import is_s3
from ray_pipeline.space import Tune
from ray_pipeline.stages import ahead, room, session
from ray_pipeline.stages.checks import check_cluster
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.plan import mended
from ray_pipeline.stages.sweep_data import Shared, read_shared
from ray_pipeline.stages.sweep_left import NOT_COMPARED, missing, n_trials, standing
from ray_pipeline.stages.sweep_log import Listener, Log, Watch
from ray_pipeline.stages.sweep_report import write_sweep
from ray_pipeline.stages.sweep_tensorboard import Events
from ray_pipeline.store import Table, record_run
from ray_pipeline.sweep import Sweep, trials
from ray_pipeline.sweep.objective import check_objectives, uses_labels
from ray_pipeline.sweep.proposers import Listed, Optuna, Proposer
from ray_pipeline.sweep.results import FAILED, OK, TABLE, Row, first_failure, read_rows
from ray_pipeline.sweep.trials import tune_of


def sweep(ctx: Context, *, watch: Watch | None = None, retry_failed: bool = False) -> int:
    """Run the trials that are not run yet; how many that were. `retry_failed` also those that failed.

    Raises
    ------
    ConfigError
        The ``tune:`` block is absent, or asks for what cannot be.
    TrainingError
        All trials failed.
    ImpossibleScore
        Labels and clusters are not of the same tracks.
    """
    check_sweep(ctx)
    room.check_room(ctx, "sweep")
    check_cluster(ctx, "sweep")
    with ctx.timed("sweep"):
        shared = read_shared(ctx)
        _check_labels(shared)
        with ctx.store.lease(f"{TABLE}-{shared.name}"):
            return _run(ctx, shared, watch, retry_failed)


def check_sweep(ctx: Context) -> None:
    """Raise ConfigError for what can be known to be wrong before anything is read."""
    tune = tune_of(ctx.config)
    check_objectives(tune.objective, ctx.config.scoring)
    if tune.scheduler == "pbt" and ctx.address and is_s3(ctx.config.store):
        raise ConfigError(
            "tune.scheduler: pbt hands weights on in files, and at an address a store on s3:// has no folder for them",
            hint="set store to a folder that every node sees, or leave --address out",
        )
    if uses_labels(tune.objective, ctx.config.scoring):
        ctx.run.note("labels were used: the objective is held against them, so this sweep is not unsupervised")


def plan(ctx: Context, *, retry_failed: bool = False) -> list[str]:
    """What a sweep would run, and how long that may take by the trials that were run."""
    check_sweep(ctx)
    room.check_room(ctx, "sweep")
    check_cluster(ctx, "sweep")
    try:
        shared = read_shared(ctx)
    except NotFetched as error:
        return [*room.told(ctx, "sweep"), f"sweep: not known: {error}"]
    table = ctx.store.table(TABLE, shared.name)
    rows = read_rows(table) if table.exists() else []
    stand, caution = standing(shared, rows, retry_failed)
    total = n_trials(shared, stand)
    done = [row["seconds"] for row in rows if row["seconds"]]
    left = total - len(stand)
    cost = f", about {left * sum(done) / len(done):,.0f} s with one trial at a time" if done and left else ""
    return [
        *room.told(ctx, "sweep"),
        f"sweep {shared.name}: {left:,} of {total:,} trials to run on {len(shared.collection):,} tracks{cost}",
        *([caution] if caution else []),
    ]


def _run(ctx: Context, shared: Shared, watch: Watch | None, retry_failed: bool) -> int:
    table = ctx.table(TABLE, shared.name)
    mended(table, ctx)
    table.create(schemas.TRIALS, _about(shared))
    # At once: `best` and `prune` are to know of the table, also if this process is killed.
    record_run(ctx.store, ctx.run)
    rows = _stand(ctx, shared, table, retry_failed)
    total, before = n_trials(shared, rows), len(rows)
    ctx.say(f"sweep {shared.name}: {len(rows)} of {total} trials are there")
    if before < total:
        rows = _run_missing(ctx, shared, table, rows, total, watch)
    ctx.run.done["sweep"] = len(rows) - before
    if len(rows) < total:
        ctx.run.note(f"{total - len(rows)} of {total} trials were not begun{_why_not(shared)}")
    _close(ctx, Sweep(shared.name, table.recipe(), rows))
    return len(rows) - before


def _why_not(shared: Shared) -> str:
    """Why trials were not begun, where it is known."""
    if shared.tune.time_budget_s:
        return ": the time budget is over"
    return ": Optuna proposed nothing else" if shared.tune.search == "optuna" else ""


def _stand(ctx: Context, shared: Shared, table: Table, retry_failed: bool) -> list[Row]:
    """The rows that stand; those that do not are deleted."""
    rows = read_rows(table)
    stand, caution = standing(shared, rows, retry_failed)
    kept = {row["trial_id"] for row in stand}
    table.delete_keys("trial_id", [row["trial_id"] for row in rows if row["trial_id"] not in kept])
    if caution:
        ctx.say(caution)
    if caution == NOT_COMPARED:
        ctx.run.note(caution)
    return stand


def _run_missing(
    ctx: Context, shared: Shared, table: Table, rows: list[Row], total: int, watch: Watch | None
) -> list[Row]:
    log = Log(ctx, shared, table, rows, total, _listeners(ctx, shared))
    log.watch = watch or log.watch
    folder = ctx.store.folder("scratch", f"sweep-{shared.name}")
    # Tune reads tables by pandas, and the page's importance of knobs is a forest's.
    ahead.begin("pandas", "sklearn.ensemble")
    session.connect(ctx)
    from ray_pipeline.stages import sweep_tune

    given = _plan(ctx, shared, rows)
    try:
        sweep_tune.run(shared, sweep_tune.Plan(**given), log, folder)
    finally:
        log.close()
        shutil.rmtree(folder, ignore_errors=True)
        ctx.store.keep("tune", shared.name)
    return log.rows


def _plan(ctx: Context, shared: Shared, rows: list[Row]) -> dict[str, Any]:
    told = shared.tune
    until = time.monotonic() + (told.time_budget_s or math.inf)
    most = _at_once(ctx, shared)

    def room() -> int:
        return int(_room(told, session.there(ctx, "CPU"), session.there(ctx, "GPU")))

    if told.scheduler == "pbt":
        return {"proposer": Listed([]), "most": most, "room": room, "population": tuple(trials(shared.config))}
    return {"proposer": _proposer(shared, rows), "most": most, "room": room, "until": until}


def _proposer(shared: Shared, rows: list[Row]) -> Proposer:
    if shared.tune.search == "optuna":
        known = [(row["point"], row["objective"]) for row in rows]
        return Optuna(shared.tune, shared.config.seed, known)
    return Listed(dict(trial.point) for trial in missing(shared, rows))


def _at_once(ctx: Context, shared: Shared) -> int:
    """Trials that run side by side: as many as there is room for, or as many as are asked for.

    Raises
    ------
    ResourceError
        There is not room for one.
    """
    told = shared.tune
    room = _room(told, session.cpus(ctx), session.gpus(ctx))
    if room < 1:
        raise ResourceError(
            f"a trial takes {told.cpus_per_trial:g} CPUs and {told.gpus_per_trial:g} GPUs, and this Ray has "
            f"{session.cpus(ctx)} and {session.gpus(ctx)}",
            hint="set tune.cpus_per_trial and tune.gpus_per_trial; fractions are fine",
        )
    return told.max_concurrent or int(room)


def _room(told: Tune, cpus: float, gpus: float) -> float:
    """Trials that `cpus` and `gpus` suffice for at once."""
    of_cpus = cpus / told.cpus_per_trial
    return 1e-9 + (min(of_cpus, gpus / told.gpus_per_trial) if told.gpus_per_trial else of_cpus)


def _listeners(ctx: Context, shared: Shared) -> list[Listener]:
    objective = shared.tune.objective
    found: list[Listener] = [Events(ctx.store.folder("tune", shared.name), objective)]
    if shared.tune.mlflow:
        from ray_pipeline.stages.sweep_mlflow import Tracked

        found.append(Tracked(shared.tune.mlflow, shared.name, objective, ctx.run.note))
    return found


def _about(shared: Shared) -> dict[str, Any]:
    """The recipe of the table: how the sweep searched, for whoever reads its rows."""
    scoring = shared.config.scoring
    told = shared.tune.model_dump(
        mode="json", include={"space", "together", "search", "scheduler", "objective", "gates"}
    )
    return {
        "stage": "sweep",
        **told,
        "label": scoring.label,
        "uses_labels": uses_labels(shared.tune.objective, scoring),
        "yardstick": list(scoring.yardstick),
        "views": shared.views,
        "n_tracks": len(shared.collection),
        "seeds": scoring.seeds,
    }


def _check_labels(shared: Shared) -> None:
    if uses_labels(shared.tune.objective, shared.config.scoring) and not any(shared.collection.labels):
        raise ConfigError(f"tune.objective: no track has the label '{shared.config.scoring.label}'")


def _close(ctx: Context, found: Sweep) -> None:
    """Say what came of it; where nothing did, say why."""
    ctx.run.statuses[TABLE] = {}
    for row in found.rows:
        ctx.run.statuses[TABLE][row["status"]] = ctx.run.statuses[TABLE].get(row["status"], 0) + 1
    ctx.say(f"sweep {found.name}: {found.outcomes()}")
    if found.rows and not any(row["status"] == OK for row in found.rows):
        ctx.run.note(f"no trial passed: {found.outcomes()}")
    page = write_sweep(ctx.store, found, notes=ctx.run.notes)
    ctx.say(f"page: {page}")
    if found.rows and all(row["status"] == FAILED for row in found.rows):
        raise TrainingError(
            f"all {len(found.rows)} trials failed; the first: {first_failure(found.rows)}",
            hint="the same command with --retry-failed tries them again",
        )
