"""Label leak: a model that was given a label, or one that tells of it, cannot be praised for finding it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ray_pipeline.metrics.external import external_scores
from ray_pipeline.metrics.score import LEAK

PERMUTATIONS = 1000
CERTAIN = 0.01
"""Largest p at which the label that was given counts as telling of the label that is scored."""


def leak(
    given_name: str, given: Sequence[str | None], scored_name: str, scored: Sequence[str | None], *, seed: int = 0
) -> str:
    """What is to be said of a model that was given the classes `given` and is scored on `scored`; "" where there is no leak.

    Labels of one name are one label. Others are compared by value: an artist tells the collection, under whatever name.
    """
    if given_name == scored_name:
        return f"{LEAK}: the model was given '{given_name}', so agreement of its clusters with that label shows nothing"
    codes = np.unique([name or "" for name in given], return_inverse=True)[1]
    found = external_scores(codes, scored, permutations=PERMUTATIONS, bootstrap=2, seed=seed)
    ami = next((score for score in found if score.metric == "ami"), None)
    if ami is None or ami.p > CERTAIN:
        return ""
    return (
        f"{LEAK}: the model was given '{given_name}', which tells of '{scored_name}' (AMI {ami.value:.2f} between the two), "
        "so agreement of its clusters with that label shows nothing"
    )
