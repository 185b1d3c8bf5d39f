"""A finished run's tables → ``report/index.html``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ray_pipeline import model_files
from ray_pipeline.clusterers.choice import NO_STRUCTURE
from ray_pipeline.errors import StoreError
from ray_pipeline.report.data import ReportData, Verdict
from ray_pipeline.report.html import write
from ray_pipeline.report.pages import INDEX
from ray_pipeline.schemas import BAD
from ray_pipeline.stages.blocks import Row
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.evaluate import read_clustering
from ray_pipeline.stages.pages import kept_page
from ray_pipeline.stages.sweep_report import write_sweeps
from ray_pipeline.store import Run, Store, latest_run

MOST_BAD = 200
EXCERPT = 240  # characters


def report(ctx: Context) -> str:
    """Write the report of this run."""
    return write_report(ctx.store, ctx.run)


def write_report(store: Store, run: Run) -> str:
    """Write ``report/index.html`` of `run`; its address.

    Raises
    ------
    StoreError
        The run clustered nothing.
    """
    if not run.experiments:
        raise StoreError("this run clustered nothing", hint="`ray-pipeline run CONFIG` goes all the way")
    write(_data(store, run), store.folder("report") / INDEX)
    return kept_page(store, INDEX)


def write_reports(store: Store) -> list[str]:
    """Write the report of the latest run that clustered something, and the page of each sweep, where there are any.

    Raises
    ------
    StoreError
        There is neither.
    """
    swept = write_sweeps(store)
    try:
        run = latest_run(store, where=lambda run: bool(run.experiments))
    except StoreError:
        if not swept:
            raise
        return swept
    return [write_report(store, run), *swept]


def _data(store: Store, run: Run) -> ReportData:
    tracks = _read(store, run, "tracks")
    label = run.config["scoring"]["label"]
    shown = _shown(store, run, tracks, label)
    labelled = sum(row["label"] is not None for row in shown)
    card = _card(store, run)
    bad = _bad(store, run, tracks)
    scores = _read(store, run, "scores")
    return ReportData(
        title="Music clusters",
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        store=str(store.root),
        experiment_id=run.experiments[0],
        config=run.config,
        versions=run.versions,
        seconds=run.seconds,
        statuses=run.statuses,
        bad_tracks=bad[:MOST_BAD],
        bad_total=len(bad),
        scores=scores,
        label_name=label,
        coverage=labelled / len(shown) if label and shown else None,
        tracks=shown,
        losses=card.get("history", []),
        kl_per_dim=card.get("kl_per_dim") or None,
        notes=run.notes,
        curves=[read_clustering(store, found)["curve"] for found in run.experiments],
        verdicts=[*_verdicts(scores, run.experiments[0]), *_no_structure(store, run.experiments[0])],
        seed=run.config["seed"],
    )


def _shown(store: Store, run: Run, tracks: list[Row], label: str | None) -> list[Row]:
    """One row a clustered track."""
    by_id = {track["track_id"]: track for track in tracks}
    words = {(row["track_id"], row["content_hash"]): row for row in _read(store, run, "lyrics")}
    out = []
    for row in _read(store, run, "clusters"):
        track = by_id.get(row["track_id"])
        if track is None or track["content_hash"] != row["content_hash"]:
            continue
        heard = words.get((row["track_id"], row["content_hash"]), {})
        classes = dict(track["labels"]).get(label, []) if label else []
        out.append(
            {name: row[name] for name in ("track_id", "cluster", "x2d", "y2d", "distance")}
            | {"title": track["title"] or Path(track["uri"]).name, "artist": track["artist"]}
            | {"label": classes[0] if classes else None}
            | {"has_lyrics": heard.get("has_vocals"), "text": (heard.get("text") or "")[:EXCERPT]}
        )
    return out


def _bad(store: Store, run: Run, tracks: list[Row]) -> list[Row]:
    """Every track that is bad in any table, once, with what became of it first."""
    found: dict[str, Row] = {}
    for name in ("tracks", "features", "lyrics"):
        for row in _read(store, run, name, ["track_id", "content_hash", "status", "error"]):
            if row["status"] in BAD:
                found.setdefault(row["track_id"], row)
    return [
        {"track_id": t["track_id"], "title": t["title"], "uri": t["uri"]}
        | {key: found[t["track_id"]][key] for key in ("status", "error")}
        for t in tracks
        if t["track_id"] in found
    ]


def _read(store: Store, run: Run, name: str, columns: list[str] | None = None) -> list[Row]:
    rows: list[Row] = []
    for address in run.tables.get(name, []):
        table = store.at(address)
        if table.exists():
            rows += table.read(columns).to_pylist()
    return rows


def _card(store: Store, run: Run) -> dict[str, Any]:
    """The card of the first seed's model."""
    addresses = run.tables.get("latents", [])
    if not addresses:
        return {}
    return model_files.read_json(store.files / "models" / Path(addresses[0]).stem, "card.json")


def _verdicts(scores: list[Row], experiment: str) -> list[Verdict]:
    return [
        Verdict("collapsed" if row["value"] else "not collapsed", bool(row["value"]), row["note"])
        for row in scores
        if row["metric"] == "collapsed" and row["experiment_id"] == experiment
    ]


def _no_structure(store: Store, experiment: str) -> list[Verdict]:
    notes = read_clustering(store, experiment)["notes"]
    reasons = [note.partition(": ")[2] for note in notes if note.startswith(NO_STRUCTURE)]
    return [Verdict(NO_STRUCTURE, True, reason) for reason in reasons]
