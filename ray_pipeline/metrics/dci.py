"""How much each latent matters to each factor, by random forests, and what Eastwood and Williams (2018) make of that."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.metrics.factors import Factor

TREES = 30
LEAF = 3  # tracks
NAN = float("nan")


def importances(mu: NDArray[Any], factors: list[Factor], seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """R [L, K], the share of each latent in telling each factor, and how much is told [K], by one forest a factor.

    R is the mean decrease of impurity (Breiman 2001) over trees that see all latents at each split. How much is told is
    measured on the tracks that a tree was not grown on: 1 − error / error of the best constant guess, where the error is
    squared for a number and 0 or 1 for a class. 1 is all, 0 is no better than guessing, and less than that is worse.
    """
    columns = [_forest(mu[factor.known], factor, seed) for factor in factors]
    return np.stack([r for r, _ in columns], axis=1), np.array([told for _, told in columns])


def disentanglement(r: NDArray[np.float64]) -> float:
    """1 − entropy of each latent's importances over factors, weighted by how much the latent matters; R [L, K].

    1 where every latent that matters serves one factor, 0 where each serves all alike; NaN for a single factor.
    """
    if r.shape[1] < 2:
        return NAN
    weights = r.sum(axis=1)
    return float(_concentration(r.T) @ weights / weights.sum()) if weights.sum() > 0 else 0.0


def completeness(r: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 − entropy of each factor's importances over latents, [K]: 1 where one latent tells it all; NaN for one latent."""
    return _concentration(r) if len(r) > 1 else np.full(r.shape[1], NAN)


def _concentration(r: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 − the entropy of each column of r [m, c], in units of log m; 0 for a column of zeros."""
    total = r.sum(axis=0)
    share = np.divide(r, total, out=np.full_like(r, 1 / len(r)), where=total > 0)
    entropy = -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=0)
    return np.asarray(1 - entropy / np.log(len(r)))


def _forest(mu: NDArray[Any], factor: Factor, seed: int) -> tuple[NDArray[np.float64], float]:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    y = factor.values[factor.known]
    kind = RandomForestClassifier if factor.categorical else RandomForestRegressor
    forest = kind(TREES, min_samples_leaf=LEAF, max_features=1.0, oob_score=True, random_state=seed).fit(mu, y)
    if factor.categorical:
        votes = forest.oob_decision_function_
        wrong = 1 - np.mean(forest.classes_[np.nan_to_num(votes).argmax(axis=1)] == y)
        guess = 1 - np.unique(y, return_counts=True)[1].max() / len(y)
        return forest.feature_importances_, float(1 - wrong / guess)
    return forest.feature_importances_, float(1 - np.mean((forest.oob_prediction_ - y) ** 2) / y.var())
