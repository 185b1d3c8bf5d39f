"""What the latents hold, and whether a model collapsed: it kept so little that any clusters in it are cuts through a cloud."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ray_pipeline.metrics.score import NAN, Metric, Score, of_family

ACTIVE_NATS = 0.01
PCA_COMPONENTS = 2
MIN_RANK = 2.0
# A linear model of two latents equals PCA up to rounding in float32; that alone is not worse.
RECONSTRUCTION_SLACK = 1e-3
DENSE_UP_TO = 1024
PCA_ROUNDS = 30
PCA_TOLERANCE = 1e-5
RECONSTRUCTION_WORST = 1e30


@dataclass(frozen=True)
class Latents:
    """What is known of a fitted model; None where the model has no such thing."""

    mu: NDArray[Any]
    """[n, latent_dim]."""
    kl_per_dim: NDArray[Any] | None = None
    """[latent_dim], or [n, latent_dim]: KL to the prior in nats."""
    recon_error: float | None = None
    """Mean over tracks of the sum of squared errors of a row."""
    matrix: NDArray[Any] | None = None
    """[n, D], what the model was trained to reconstruct."""
    mask: NDArray[np.bool_] | None = None
    """[n] or [n, D], True = present."""
    threshold: float = ACTIVE_NATS

    @cached_property
    def pca_error(self) -> float:
        """Error of PCA with two components; NaN without a matrix."""
        return NAN if self.matrix is None else pca_reconstruction(self.matrix, PCA_COMPONENTS, self.mask)

    @cached_property
    def rank(self) -> float:
        """Effective rank of `mu`."""
        return rank_of(self.mu)

    @cached_property
    def n_active(self) -> int | None:
        """Active units; None without a KL."""
        if self.kl_per_dim is None:
            return None
        return count_active(self.kl_per_dim, self.threshold)


@dataclass(frozen=True)
class Latent(Metric):
    """A metric of `Latents` → Score, or None where the model lacks what it looks at."""

    formula: Callable[[Latents], tuple[float, str] | None]

    def __call__(self, latents: Latents) -> Score | None:
        found = self.formula(latents)
        if found is None:
            return None
        value, note = found
        if not np.isfinite(value):
            value, note = self.worst, f"not finite: {note}" if note else "not finite"
        return Score(self.name, float(value), n=len(latents.mu), note=note)


def latent_scores(
    mu: NDArray[Any],
    *,
    kl_per_dim: NDArray[Any] | None = None,
    recon_error: float | NDArray[Any] | None = None,
    matrix: NDArray[Any] | None = None,
    mask: NDArray[np.bool_] | None = None,
    threshold: float = ACTIVE_NATS,
) -> list[Score]:
    """Every score of latents `mu` [n, latent_dim] that the rest allows.

    `kl_per_dim` [latent_dim] or [n, latent_dim] in nats gives `active_units`; `recon_error`, the mean over tracks of the sum
    of squared errors of a row (or those sums, [n]), gives `reconstruction`; `matrix` [n, D] with `mask` [n] or [n, D] (True =
    present) is what was reconstructed, and gives PCA's error beside it. `collapsed` is 1 or 0, with the reason.
    """
    error = None if recon_error is None else _mean_error(np.asarray(recon_error), mask)
    latents = Latents(np.asarray(mu), kl_per_dim, error, matrix, mask, threshold)
    scores = [metric(latents) for metric in of_family("latent")]
    return [score for score in scores if score is not None]


def _mean_error(errors: NDArray[Any], mask: NDArray[np.bool_] | None) -> float:
    """Mean of `errors` [n] over the rows of which something is present, as PCA's is; a mean [] as it is."""
    if not errors.ndim or mask is None:
        return float(np.mean(errors))
    seen = mask.any(axis=1) if mask.ndim == 2 else mask
    return float(np.mean(errors[seen])) if seen.any() else NAN


def collapse(latents: Latents) -> tuple[bool, str]:
    """Whether the model collapsed, and why, in a reader's words.

    Collapsed: reconstruction worse than PCA with two components on the same matrix, or effective rank of the latents < 2.
    """
    reasons = []
    if not np.isfinite(latents.mu).all():
        return True, "the latents hold values that are not finite: training diverged"
    if latents.rank < MIN_RANK:
        reasons.append(f"the latents vary in {latents.rank:.2f} directions (effective rank), fewer than {MIN_RANK:.0f}")
    error = latents.recon_error
    if error is not None and not np.isfinite(error):
        reasons.append("the reconstruction error is not finite")
    elif error is not None and error > most_error(latents.pca_error):
        reasons.append(
            f"it reconstructs worse (error {error:.4g}) than PCA with {PCA_COMPONENTS} components ({latents.pca_error:.4g})"
        )
    if reasons:
        active = "" if latents.n_active is None else f"; {latents.n_active} of {latents.mu.shape[1]} units are active"
        return True, f"collapsed: {', and '.join(reasons)}{active}"
    unseen = "" if error is not None and latents.matrix is not None else "; reconstruction was not compared"
    return False, f"effective rank {latents.rank:.2f}{unseen}"


def most_error(pca_error: float) -> float:
    """Largest reconstruction error that counts as no worse than `pca_error`, that of PCA on the same matrix."""
    return pca_error * (1 + RECONSTRUCTION_SLACK)


def pca_reconstruction(matrix: NDArray[Any], n_components: int, mask: NDArray[np.bool_] | None = None) -> float:
    """Mean over rows of the sum of squared errors of `matrix` [n, D] rebuilt from `n_components` principal components.

    With `mask` [n] or [n, D] only what is present counts: gaps are filled from the components, again and again until the
    error settles (Kiers 1997), and rows with nothing present are left out. NaN without a row.
    """
    x = np.asarray(matrix, dtype=np.float64)
    if mask is None:
        return _pca_error(x, np.ones_like(x, dtype=bool), n_components, rounds=1)
    present = np.broadcast_to(mask if np.ndim(mask) == 2 else np.asarray(mask)[:, None], x.shape)
    seen = present.any(axis=1)
    x, present = x[seen], present[seen]
    return _pca_error(x, present, n_components, rounds=1 if present.all() else PCA_ROUNDS)


def rank_of(mu: NDArray[Any]) -> float:
    """Effective rank of `mu` [n, latent_dim]: exp of the entropy of the normalised singular values of the centred matrix.

    Roy and Vetterli 2007. 0 where nothing varies or values are not finite.
    """
    x = np.asarray(mu, dtype=np.float64)
    if not len(x) or not np.isfinite(x).all():
        return 0.0
    singular = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    kept = singular[singular > max(x.shape) * np.finfo(np.float64).eps * np.abs(x).max()]
    if not len(kept):
        return 0.0
    share = kept / kept.sum()
    return float(np.exp(-(share @ np.log(share))))


def count_active(kl_per_dim: NDArray[Any], threshold: float = ACTIVE_NATS) -> int:
    """Units whose mean KL to the prior is above `threshold` nats; `kl_per_dim` [latent_dim] or [n, latent_dim]."""
    kl = np.asarray(kl_per_dim, dtype=np.float64)
    return int((kl.reshape(-1, kl.shape[-1]).mean(axis=0) > threshold).sum())


def _pca_error(x: NDArray[np.float64], present: NDArray[np.bool_], n_components: int, rounds: int) -> float:
    if not len(x):
        return NAN
    n_present = present.sum(axis=0)
    mean = np.where(present, x, 0).sum(axis=0) / np.maximum(n_present, 1)
    filled = np.where(present, x, mean)
    error = np.inf
    for _ in range(rounds):
        mean = filled.mean(axis=0)
        centred = filled - mean
        axes = _principal_axes(centred, n_components)
        rebuilt = centred @ axes @ axes.T + mean
        before, error = error, float(np.sum((x - rebuilt) ** 2, where=present)) / len(x)
        if before - error <= PCA_TOLERANCE * error:
            break
        filled = np.where(present, x, rebuilt)
    return error


def _principal_axes(centred: NDArray[np.float64], n_components: int) -> NDArray[np.float64]:
    """[D, n_components] of `centred` [n, D]."""
    n, dim = centred.shape
    if dim <= DENSE_UP_TO:
        return np.asarray(np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :n_components])
    if n <= DENSE_UP_TO:
        return np.asarray(np.linalg.svd(centred, full_matrices=False)[2][:n_components].T)
    from scipy.sparse.linalg import svds

    start = np.random.default_rng(0).standard_normal(min(n, dim))
    return np.asarray(svds(centred, k=n_components, v0=start, return_singular_vectors="vh")[2].T)


def _active_units(latents: Latents) -> tuple[float, str] | None:
    if latents.n_active is None:
        return None
    return latents.n_active, f"of {latents.mu.shape[1]} units, mean KL > {latents.threshold:g} nats"


def _effective_rank(latents: Latents) -> tuple[float, str]:
    if not np.isfinite(latents.mu).all():
        return NAN, "the latents"
    return latents.rank, f"of {latents.mu.shape[1]} dimensions"


def _reconstruction(latents: Latents) -> tuple[float, str] | None:
    if latents.recon_error is None:
        return None
    return latents.recon_error, "mean over tracks of the sum of squared errors"


def _reconstruction_pca2(latents: Latents) -> tuple[float, str] | None:
    if latents.matrix is None:
        return None
    return latents.pca_error, f"PCA with {PCA_COMPONENTS} components on the same matrix"


def _collapsed(latents: Latents) -> tuple[float, str]:
    verdict, reason = collapse(latents)
    return float(verdict), reason


active_units = Latent("active_units", "latent", True, 0.0, _active_units)
effective_rank = Latent("effective_rank", "latent", True, 0.0, _effective_rank)
reconstruction = Latent("reconstruction", "latent", False, RECONSTRUCTION_WORST, _reconstruction)
reconstruction_pca2 = Latent("reconstruction_pca2", "latent", False, RECONSTRUCTION_WORST, _reconstruction_pca2)
collapsed = Latent("collapsed", "latent", False, 1.0, _collapsed)
