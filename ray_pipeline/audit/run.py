"""One row of the study with one seed: fitted, clustered and scored like any experiment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from ray_pipeline import experiment, metrics
from ray_pipeline.audit.settings import settings
from ray_pipeline.audit.study import StudyRow
from ray_pipeline.collection import Collection
from ray_pipeline.config import Config
from ray_pipeline.evaluation import Evaluation, Fitted
from ray_pipeline.fusion import LYRICS
from ray_pipeline.models.condition import condition_of

GAP = "ami_missing"


@dataclass(frozen=True)
class Outcome:
    """`scores` are rows as in the SCORES schema; `fit` holds loss parts of the last epoch and the number of parameters.

    `join` has what `join_check` finds of each external score, for the config's first seed.
    """

    seed: int
    scores: list[dict[str, Any]]
    fit: dict[str, float]
    diverged: bool = False
    join: list[dict[str, Any]] = field(default_factory=list)


class FitOnce:
    """Fits models of one seed: a model that rows cluster in several ways once, and members that late rows share."""

    def __init__(self) -> None:
        self._fitted: dict[str, Fitted] = {}
        self._members: dict[str, experiment.Trained] = {}

    def __call__(self, collection: Collection, config: Config, seed: int) -> Fitted:
        name = experiment.model_id(config, collection.digest(), seed)
        if name not in self._fitted:
            self._fitted[name] = experiment.fit(collection, config, seed, trained=self._members)
        return self._fitted[name]


def run_row(
    row: StudyRow, collection: Collection, config: Config, seed: int, fit: Callable[..., Fitted] = experiment.fit
) -> Outcome:
    """Run `row` on `collection`, which has every view that the study's rows see; `fit` may remember what it fitted.

    Raises
    ------
    TrainingError
        It cannot be fitted.
    """
    configured = settings(row, config)
    told = replace(collection, condition=list(collection.labels) if condition_of(configured.model) else [])
    if row.zero_fill:
        told = replace(told, masks={**told.masks, LYRICS: np.ones(len(told), np.bool_)})
    fitted, _, evaluation = experiment.run(told, configured, seed, fit=fit)
    if row.zero_fill:
        # As the model was told, no track lacks lyrics, and there is no gap.
        kept = [score for score in evaluation.scores if score.metric != GAP]
        evaluation = replace(evaluation, scores=[*kept, _gap(evaluation, collection, config, seed)])
    join = _join(evaluation, collection, seed) if seed == config.seed else []
    return Outcome(seed, _rows(evaluation, seed), _fit(fitted), fitted.card["status"] == "diverged", join)


def _gap(evaluation: Evaluation, collection: Collection, config: Config, seed: int) -> Any:
    """What the clusters know of the gap that was filled."""
    present = collection.masks[LYRICS]
    return metrics.missingness_score(evaluation.labels, present, permutations=config.scoring.permutations, seed=seed)


def _join(evaluation: Evaluation, collection: Collection, seed: int) -> list[dict[str, Any]]:
    """What becomes of the scores with labels when those are dealt to other tracks."""
    if not any(collection.labels):
        return []
    return [asdict(one) for one in metrics.join_check(evaluation.labels, collection.labels, seed=seed)]


def _rows(evaluation: Evaluation, seed: int) -> list[dict[str, Any]]:
    return [score.as_row("", seed) for score in evaluation.scores]


def _fit(fitted: Fitted) -> dict[str, float]:
    history = fitted.card["history"]
    found = {"n_parameters": float(fitted.model.n_parameters)}
    if not history:
        return found
    first, last = history[0], history[-1]
    parts = {"loss": "loss", "loss_reconstruction": "reconstruction", "loss_kl": "kl"}
    return (
        found | {name: last[key] for name, key in parts.items()} | {"loss_reduction": 1 - last["loss"] / first["loss"]}
    )
