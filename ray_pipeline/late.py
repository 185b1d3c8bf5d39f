"""Late fusion: an Experiment over Experiments (section 5.3.2). Members' latents are combined, clustered and scored.

In a config it is a model, `model: {kind: late, of: …}` beside `fusion: {kind: none}` (see `members`), so that every command
knows it. Here it is for whoever has the members' configs, and wants several combinations of the same trained members.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ray_pipeline import experiment
from ray_pipeline.collection import Collection
from ray_pipeline.config import Config, check
from ray_pipeline.evaluation import Evaluation
from ray_pipeline.models.combination import Combine


def evaluate(
    collection: Collection, members: Mapping[str, Config], combine: Combine, config: Config, seed: int
) -> Evaluation:
    """Train `members` {name: its config}, combine their latents, and score the clusters by the clusterer of `config`.

    Of a member's config its fusion and model are taken, all else of `config`. With `combine: with_genre` the model is given
    the classes `collection.condition`, and scores that agree with them are marked as a label leak.

    Raises
    ------
    ConfigError
        A member reads what is not among the features, or needs a label; or a class is wanted and no label is named.
    TrainingError
        A member cannot be fitted, or latents of different dimensions are to be averaged.
    """
    return evaluate_each(collection, members, [combine], config, seed)[combine]


def evaluate_each(
    collection: Collection, members: Mapping[str, Config], combines: Sequence[Combine], config: Config, seed: int
) -> dict[Combine, Evaluation]:
    """`evaluate` for several combinations of the same members, each of which is trained once."""
    trained: dict[str, experiment.Trained] = {}
    fit = partial(experiment.fit, trained=trained)
    return {how: experiment.run(collection, as_config(members, how, config), seed, fit=fit)[2] for how in combines}


def as_config(members: Mapping[str, Config], combine: Combine, config: Config) -> Config:
    """`config` with late fusion of `members` as its model; the classes given `with_genre` are those of `scoring.label`."""
    of = {
        name: {"fusion": member.fusion.model_dump(mode="json"), "model": member.model.model_dump(mode="json")}
        for name, member in members.items()
    }
    model: dict[str, Any] = {"kind": "late", "of": of, "combine": combine}
    if combine == "with_genre":
        model["condition"] = {"label": config.scoring.label}
    return check(config.plain() | {"fusion": {"kind": "none"}, "model": model})
