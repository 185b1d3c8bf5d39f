"""A mixture of Gaussians, fitted by expectation maximisation: clusters may be longer in some directions than in others."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ray_pipeline.clusterers.base import Clustering, KParams, check_count, reproducible

FIRM = 1e-3  # of the mean variance: a floor under which no data makes a diagonal covariance singular


class Params(KParams):
    kind: str = "gmm"
    covariance: Literal["full", "diag"] = "full"
    reg_covar: float = Field(default=1e-6, ge=0, description="added to variances, in units of the data's mean variance")
    n_init: int = Field(default=3, ge=1, description="starts, of which the likeliest is kept")
    max_iter: int = Field(default=200, ge=1)


def cluster(x: NDArray[np.float32], params: Params, seed: int) -> Clustering:
    """Cluster `x` [n_tracks, dim], each track to the component that most likely made it.

    Where a covariance is singular, diagonal ones are fitted instead, then diagonal ones with a firm floor; a note says so.

    Raises
    ------
    TrainingError
        Fewer tracks than clusters, or values that are not finite.
    """
    k = check_count(x, params)
    points = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    scale = np.sqrt(points.var(axis=0).mean())
    if len(np.unique(x, axis=0)) == 1:
        return Clustering.of(x, np.zeros(len(x), np.int32), [f"1 cluster, not {k}: all rows are the same"])
    labels, notes = _fit(points / scale, k, params, seed)
    found = Clustering.of(x, labels, notes)
    if len(found.centres) < k:
        found.notes.append(f"{len(found.centres)} clusters, not {k}: no track is likeliest of the other components")
    return found


def _fit(points: NDArray[np.float64], k: int, params: Params, seed: int) -> tuple[NDArray[np.int64], list[str]]:
    """Labels by the first kind of covariance that can be fitted."""
    from sklearn.mixture import GaussianMixture

    tries = [(params.covariance, params.reg_covar), ("diag", params.reg_covar), ("diag", max(FIRM, params.reg_covar))]
    notes: list[str] = []
    for covariance, floor in dict.fromkeys(tries):
        mixture = GaussianMixture(
            k,
            covariance_type=covariance,
            reg_covar=floor,
            n_init=params.n_init,
            max_iter=params.max_iter,
            random_state=seed,
        )
        try:
            with reproducible():
                labels = mixture.fit_predict(points)
        except ValueError:
            notes = [*notes, f"{covariance} covariance, reg_covar {floor:g}: singular, so the next simpler was fitted"]
            continue
        if not mixture.converged_:
            notes.append(f"not converged after {params.max_iter} steps")
        return labels, notes
    raise AssertionError("a diagonal covariance with a firm floor is never singular")
