"""A row of the study → the config that runs it on a given collection, or the reason why it cannot be run there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ray_pipeline.audit.study import BETA, CONV, HYBRID, KMEANS, MEANS, STATS, VAE, StudyRow
from ray_pipeline.config import Config, check
from ray_pipeline.fusion import LYRICS
from ray_pipeline.late import as_config

VIEWS = {MEANS: ("mfcc_native", "mfcc"), STATS: ("fma_mfcc", "mfcc_stats")}
"""The features that may stand for what the study saw, the first choice first."""
NO_LYRICS = "not possible here: no lyrics for these tracks"
FEWEST_WITH_WORDS = 2


def view_of(sees: str, config: Config) -> str | None:
    """The feature of `config` that a row which `sees` it is given; None where it has none of them."""
    wanted = VIEWS[MEANS if sees == HYBRID else sees]
    return next((name for name in wanted if name in config.features), None)


def possible(row: StudyRow, config: Config, *, n_with_words: int, n_with_label: int) -> str:
    """ "" if `row` can be run on the collection of `config`; else why not, in a reader's words.

    `n_with_words` and `n_with_label` are tracks that have words, and the label that ``scoring.label`` names.
    """
    for sees in (MEANS, STATS) if row.late else (row.sees,):
        if view_of(sees, config) is None:
            return f"not possible here: none of {', '.join(VIEWS[MEANS if sees == HYBRID else sees])} is among the features"
    if row.sees == HYBRID and n_with_words < FEWEST_WITH_WORDS:
        return NO_LYRICS
    if not needs_label(row):
        return ""
    if config.scoring.label is None:
        return "not possible here: no label is named (scoring.label)"
    return "" if n_with_label else f"not possible here: no track has the label '{config.scoring.label}' (scoring.label)"


def settings(row: StudyRow, config: Config) -> Config:
    """`config` with the fusion, model and clusterer of `row`.

    Raises
    ------
    ConfigError
        The row's part is not there.
    """
    if row.late:
        return as_config(_members(config), row.late, check(config.plain() | {"clusterer": dict(row.clusterer)}))
    return _with(config, row.sees, dict(row.model), row.fusion, dict(row.clusterer))


def fitted_together(row: StudyRow, config: Config) -> str:
    """A name that rows have in common which, with one seed, are clusters of one model, or of the same members."""
    if row.late:
        return "late"
    configured = settings(row, config)
    parts = [part.model_dump(mode="json") for part in (configured.fusion, configured.model)]
    return json.dumps([*parts, row.zero_fill], sort_keys=True)


def _members(config: Config) -> dict[str, Config]:
    """The three whose latents late fusion combines: hybrid, beta and conv."""

    def member(sees: str, model: Mapping[str, Any], fusion: str) -> Config:
        return _with(config, sees, dict(model), fusion, dict(KMEANS))

    return {"H": member(HYBRID, VAE, "concat"), "B": member(MEANS, BETA, "audio"), "C": member(STATS, CONV, "audio")}


def _with(config: Config, sees: str, model: dict[str, Any], fusion: str, clusterer: dict[str, Any]) -> Config:
    view = view_of(sees, config)
    if "condition" in model:
        model["condition"] = {**model["condition"], "label": config.scoring.label}
    if fusion == "audio":
        fused: dict[str, Any] = {"kind": "audio", "view": view}
    elif fusion == "none":
        fused = {"kind": "none", "views": [view, LYRICS]}
    else:
        # The study's plain z-score: text is not scaled down to the audio's variance.
        fused = {"kind": fusion, "audio": view, "balance": False}
    return check(config.plain() | {"fusion": fused, "model": model, "clusterer": clusterer})


def needs_label(row: StudyRow) -> bool:
    """Whether the model of `row` is given the label that its clusters are held against."""
    return "condition" in row.model or row.late == "with_genre"
