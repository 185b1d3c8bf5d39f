"""The study's rows on this collection, each with several seeds, spread over Ray → ``report/audit.{html,json}``.

Every outcome is kept under ``audit/`` as it comes, so the same command goes on where an interrupted one was.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from math import ceil
from typing import Any

from ray_pipeline import model_files
from ray_pipeline.audit import ROWS, FitOnce, Line, Outcome, StudyRow, controls, joins, lines, possible, run_row
from ray_pipeline.audit.cost import controls_seconds, fitting_seconds, scoring_seconds
from ray_pipeline.audit.settings import fitted_together, settings, view_of
from ray_pipeline.audit.study import MEANS, STATS
from ray_pipeline.collection import Collection
from ray_pipeline.config import Config, check
from ray_pipeline.errors import ConfigError, ImpossibleScore, RayPipelineError
from ray_pipeline.fusion import LYRICS
from ray_pipeline.report import audit_page
from ray_pipeline.stages import session
from ray_pipeline.stages.collection import read_collection
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.pages import kept_page
from ray_pipeline.stages.train import seeds
from ray_pipeline.stages.transcribe import has_lyrics
from ray_pipeline.store import Folder, digest

VERSION = 3
TOLD = "outcome.json"
CPUS_PER_TASK = 0.9

Task = tuple[StudyRow, int, str]
"""A row, a seed, and the name under which the outcome is kept."""


def audit(ctx: Context) -> int:
    """Run what is not run yet and write page and table; how many experiments were run.

    Raises
    ------
    ConfigError
        None of the features that the study saw is among this config's.
    ImpossibleScore
        Labels and clusters are not of the same tracks.
    """
    with ctx.timed("audit"), ctx.store.lease("audit"):
        collection = read_all_views(ctx)
        tasks = _tasks(ctx, collection)
        missing = _missing(ctx, tasks)
        ctx.progress("audit", 0, len(missing))
        for done, (name, outcome) in enumerate(_on_ray(ctx, collection, missing), start=1):
            model_files.write_folder(_folder(ctx, name), {}, "outcome", outcome)
            ctx.progress("audit", done, len(missing))
        found = _outcomes(ctx, collection, tasks)
        _write(ctx, collection, [*lines(found), *joins(found), *controls()])
        ctx.run.done["audit"] = len(missing)
    return len(missing)


def plan(ctx: Context) -> list[str]:
    """What an audit would run and how long it and the controls may take, by a short probe of each kind of model."""
    # Loaded before threads are bound: what is loaded later has threads of its own.
    import sklearn.cluster  # noqa: F401

    collection = read_all_views(ctx)
    tasks = _tasks(ctx, collection)
    missing = _missing(ctx, tasks)
    left_out = [f"  {row.table}, {row.name}: {why}" for row in ROWS if (why := _possible(ctx, row, collection))]
    with session.one_thread():
        seconds = _probe(ctx, collection, missing) + controls_seconds()
    said = f"audit: {len(missing)} of {len({name for _, _, name in tasks})} experiments to run on {len(collection):,} tracks"
    return [f"{said}, about {ceil(seconds):,} s with one CPU", *left_out]


def read_all_views(ctx: Context) -> Collection:
    """The collection with every view that a row of the study sees."""
    views = [view for sees in (MEANS, STATS) if (view := view_of(sees, ctx.config))]
    if not views:
        raise ConfigError(
            "features: the audit needs mfcc and mfcc_stats, or mfcc_native and fma_mfcc as FMA publishes them"
        )
    words = [LYRICS] if has_lyrics(ctx) else []
    plain = ctx.config.plain() | {"fusion": {"kind": "none", "views": [*views, *words]}, "model": {"kind": "raw"}}
    return read_collection(replace(ctx, config=check(plain)))


def _tasks(ctx: Context, collection: Collection) -> list[Task]:
    rows = [row for row in ROWS if not _possible(ctx, row, collection)]
    return [(row, seed, _name(ctx, collection, row, seed)) for row in rows for seed in seeds(ctx.config)]


def _missing(ctx: Context, tasks: list[Task]) -> list[Task]:
    """One task of each distinct experiment that has no outcome yet."""
    distinct = {name: (row, seed, name) for row, seed, name in tasks}
    return [task for task in distinct.values() if not _folder(ctx, task[2]).is_file(TOLD)]


def _possible(ctx: Context, row: StudyRow, collection: Collection) -> str:
    n_with_words = int(collection.masks[LYRICS].sum()) if LYRICS in collection.masks else 0
    n_with_label = sum(map(bool, collection.labels))
    return possible(row, ctx.config, n_with_words=n_with_words, n_with_label=n_with_label)


def _name(ctx: Context, collection: Collection, row: StudyRow, seed: int) -> str:
    """Two rows of the study that are one experiment have one name."""
    what = {key: value for key, value in asdict(row).items() if key not in {"table", "name", "reported"}}
    labels = hashlib.blake2b(json.dumps(collection.labels).encode(), digest_size=8).hexdigest()
    settings = {key: ctx.config.plain()[key] for key in ("training", "scoring")}
    data = collection.digest()
    return digest({"version": VERSION, "row": what, **settings, "labels": labels, "data": data, "seed": seed})


def _folder(ctx: Context, name: str) -> Folder:
    return ctx.store.files / "audit" / name


def _on_ray(ctx: Context, collection: Collection, tasks: list[Task]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and outcome of each distinct experiment, as they finish."""
    if not tasks:
        return
    ray = session.connect(ctx)
    shared, config = ray.put(collection), ctx.config.plain()
    remote = ray.remote(num_cpus=CPUS_PER_TASK, max_retries=2)(_group)
    running = {
        remote.remote(shared, config, [row for row, _, _ in group], seed): [name for _, _, name in group]
        for (_, seed), group in _groups(ctx, tasks).items()
    }
    while running:
        (ready,), _ = ray.wait(list(running), num_returns=1)
        yield from zip(running.pop(ready), _got(ray, ready), strict=True)


def _got(ray: Any, ready: Any) -> list[dict[str, Any]]:
    """What a task returned; an impossible score as the task raised it, where Ray would add the worker's traceback."""
    try:
        found: list[dict[str, Any]] = ray.get(ready)
    except ImpossibleScore as error:
        raise getattr(error, "cause", error) from None
    return found


def _groups(ctx: Context, tasks: list[Task]) -> dict[tuple[str, int], list[Task]]:
    """Tasks by what is fitted for them, once for them all, and seed."""
    groups: dict[tuple[str, int], list[Task]] = {}
    for row, seed, name in tasks:
        groups.setdefault((fitted_together(row, ctx.config), seed), []).append((row, seed, name))
    return groups


def _group(collection: Collection, config: dict[str, Any], rows: list[StudyRow], seed: int) -> list[dict[str, Any]]:
    """Runs in a Ray task."""
    fit = FitOnce()
    with session.one_thread():
        return [_one(row, collection, check(config), seed, fit) for row in rows]


def _one(row: StudyRow, collection: Collection, config: Config, seed: int, fit: FitOnce) -> dict[str, Any]:
    """What cannot be fitted is an outcome too."""
    began = time.monotonic()
    try:
        found = asdict(run_row(row, collection, config, seed, fit))
    except ImpossibleScore:
        raise
    except RayPipelineError as error:
        found = {"error": str(error)}
    return found | {"seconds": round(time.monotonic() - began, 2)}


def _outcomes(ctx: Context, collection: Collection, tasks: list[Task]) -> list[tuple[StudyRow, list[Outcome] | str]]:
    out: list[tuple[StudyRow, list[Outcome] | str]] = []
    for row in ROWS:
        told = [model_files.read_json(_folder(ctx, name), TOLD) for one, _, name in tasks if one is row]
        failed = next((one["error"] for one in told if "error" in one), "")
        why = _possible(ctx, row, collection) or (f"not possible here: {failed}" if failed else "")
        out.append((row, why or [_outcome(one) for one in told]))
    return out


def _outcome(told: dict[str, Any]) -> Outcome:
    return Outcome(**{key: value for key, value in told.items() if key != "seconds"})


def _write(ctx: Context, collection: Collection, table: list[Line]) -> None:
    folder = ctx.store.folder("report")
    page = audit_page.write(table, folder, store=str(ctx.store.root), n_tracks=len(collection), label=collection.label)
    ctx.say(f"audit  {kept_page(ctx.store, page.name)}")


def _probe(ctx: Context, collection: Collection, tasks: list[Task]) -> float:
    """Seconds that `tasks` take: a little of each distinct model is fitted, late fusion from its members; one is scored."""
    told = replace(collection, condition=list(collection.labels))
    took: dict[str, float] = {}

    def fitting(fusion: Any, model: Any) -> float:
        parts = {part: what.model_dump(mode="json") for part, what in (("fusion", fusion), ("model", model))}
        if members := parts["model"].get("of"):
            members = [check(ctx.config.plain() | member) for member in members.values()]
            return sum(fitting(member.fusion, member.model) for member in members)
        name = json.dumps(parts, sort_keys=True)
        if name not in took:
            took[name] = fitting_seconds(told, check(ctx.config.plain() | parts))
        return took[name]

    if not tasks:
        return 0.0
    fitted = [settings(group[0][0], ctx.config) for group in _groups(ctx, tasks).values()]
    fits = sum(fitting(config.fusion, config.model) for config in fitted)
    return fits + len(tasks) * scoring_seconds(told, fitted[0])
