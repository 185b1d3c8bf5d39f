"""`latents` → `clusters` and `scores`: the clusters of each seed's latents, held against chance."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from ray_pipeline import experiment, model_files, schemas
from ray_pipeline.evaluation import stability
from ray_pipeline.experiment import Collection, Evaluation
from ray_pipeline.models.contract import Latents
from ray_pipeline.stages.blocks import Row
from ray_pipeline.stages.collection import read_collection
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.plan import make_plan, mended, prepare
from ray_pipeline.stages.train import load_fitted, model_ids, read_latents
from ray_pipeline.store import Folder, Store, Table, digest

VERSION = 4
TOLD = "clustering.json"


def evaluate(ctx: Context) -> int:
    """Cluster and score what is not yet; how many experiments that were."""
    with ctx.timed("evaluate"), ctx.store.lease("scores"):
        collection = read_collection(ctx)
        ids = {
            seed: (name, experiment.experiment_id(ctx.config, name, seed))
            for seed, name in model_ids(ctx, collection).items()
        }
        for name, _ in ids.values():
            ctx.table("latents", name)  # noted, though nothing may be left to read it for
        ctx.run.experiments = [found for _, found in ids.values()]
        clusters = ctx.table("clusters", ctx.run.experiments[0])
        recipe = _scores_recipe(ctx, collection)
        scores = ctx.table("scores", digest(recipe))
        done = 0
        for table, schema, made_by in ((clusters, schemas.CLUSTERS, None), (scores, schemas.SCORES, recipe)):
            mended(table, ctx)
            table.create(schema, made_by)
        told = all(_folder(ctx.store, found).is_file(TOLD) for found in ctx.run.experiments)
        if not (told and _stands(clusters, scores, collection)):
            rows = _all(ctx, collection, ids, clusters)
            done = len(ids)
            scores.replace(pa.Table.from_pylist(rows, schema=scores.schema()))
        for found in ctx.run.experiments:
            for note in read_clustering(ctx.store, found)["notes"]:
                ctx.run.note(note)
        ctx.run.done["evaluate"] = done
        return done


def read_clustering(store: Store, found: str) -> dict[str, Any]:
    """What is kept of the experiment `found` beside its tables: `notes`, and `curve`, a row for each k that was tried."""
    folder = _folder(store, found)
    return model_files.read_json(folder, TOLD) if folder.is_file(TOLD) else {"notes": [], "curve": []}


def _folder(store: Store, found: str) -> Folder:
    return store.files / "experiments" / found


def _stands(clusters: Table, scores: Table, collection: Collection) -> bool:
    """Whether clusters and scores are there; a renamed track's row is given its new name on the way."""
    if not scores.count():
        return False
    keys = zip(collection.track_ids, collection.contents, strict=True)
    plan = make_plan([{"track_id": i, "content_hash": c, "status": "ok", "error": ""} for i, c in keys], clusters)
    if plan.todo:
        return False
    prepare(plan, clusters)
    return True


def _all(ctx: Context, collection: Collection, ids: dict[int, tuple[str, str]], clusters: Table) -> list[Row]:
    """Evaluate every seed {seed: (model, experiment)}; the clusters of the first are kept. Rows of scores."""
    latents, results = [], []
    ctx.progress("evaluate", 0, len(ids))
    for done, (seed, (name, found)) in enumerate(ids.items(), start=1):
        latents.append(read_latents(ctx, name, collection))
        results.append(_one(ctx, collection, latents[-1], seed, name, found))
        if done == 1:
            clusters.replace(_cluster_rows(clusters, collection, latents[0], results[0], found, seed))
        ctx.progress("evaluate", done, len(ids))
    stable = stability(ctx.config, list(ids), latents, results, partial(ctx.progress, "stability"))
    return [
        score.as_row(found, seed)
        for (seed, (_, found)), result in zip(ids.items(), results, strict=True)
        for score in [*result.scores, *stable[seed]]
    ]


def _one(ctx: Context, collection: Collection, latents: Latents, seed: int, name: str, found: str) -> Evaluation:
    """Evaluate one seed, and write down what its clusterer said."""
    fitted = load_fitted(ctx, name)
    result = experiment.evaluate(collection, fitted, latents, ctx.config, seed)
    told = {"notes": [*fitted.card["notes"], *result.notes], "curve": result.curve}
    model_files.write_folder(_folder(ctx.store, found), {}, "clustering", told)
    return result


def _cluster_rows(
    table: Table, collection: Collection, latents: Latents, result: Evaluation, found: str, seed: int
) -> pa.Table:
    flat = experiment.layout(latents.mu, seed)
    n = len(collection)
    columns: dict[str, Any] = {
        "track_id": collection.track_ids,
        "content_hash": collection.contents,
        "status": ["ok"] * n,
        "error": [""] * n,
        "experiment_id": [found] * n,
        "cluster": result.labels,
        "distance": result.distance,
        "x2d": np.ascontiguousarray(flat[:, 0]),
        "y2d": np.ascontiguousarray(flat[:, 1]),
    }
    return pa.table(columns, schema=table.schema())


def _scores_recipe(ctx: Context, collection: Collection) -> dict[str, Any]:
    scoring = ctx.config.scoring.model_dump(mode="json")
    held_against = json.dumps([collection.labels, collection.artists, collection.factors])
    known = hashlib.blake2b(held_against.encode(), digest_size=8).hexdigest()
    return {"version": VERSION, "experiments": ctx.run.experiments, "scoring": scoring, "known": known}
