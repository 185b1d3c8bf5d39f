"""Early fusion by PCA (section 3.3): audio and lyrics side by side, reduced to what keeps 99.99 % of their variance."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ray_pipeline.errors import TrainingError
from ray_pipeline.fusion.base import Masks, Views
from ray_pipeline.fusion.concat import Concat
from ray_pipeline.fusion.concat import Params as ConcatParams
from ray_pipeline.fusion.principal import Principal
from ray_pipeline.fusion.zscore import Array, check_names, tensor


class Params(ConcatParams):
    kind: str = "pca"
    variance: float = Field(0.9999, gt=0, le=1, description="share of the variance to keep")
    n_components: int = Field(64, ge=1, le=4096, description="at most; never more than tracks − 1 or the rank")


class Pca:
    """Audio [n_tracks, a] and text [n_tracks, t], z-scored -> `fused` [n_tracks, k ≤ n_components].

    Components mix the columns, so a missing text cannot be masked any more: it counts as the mean of the tracks that
    have one, 0 after standardising. A note says how many those are, for clusters may follow that gap (`ami_missing`).
    """

    required: tuple[str, ...] = ()

    def __init__(self, params: Params) -> None:
        self.params = params
        self._concat = Concat(params)
        self._pca = Principal("pca")
        # Tracks that have the text, and tracks; for the note alone.
        self._counts: Array = np.zeros(2, np.float32)

    @property
    def needs(self) -> tuple[str, ...]:
        return self._concat.needs

    @property
    def notes(self) -> list[str]:
        has, n = map(int, self._counts)
        if not self._concat.text_dim or has == n:
            return self._concat.notes
        return [
            *self._concat.notes,
            f"view '{self.params.text}': {n - has} of {n} tracks lack it and were given its mean, for PCA needs a value",
        ]

    def fit(self, views: Views, masks: Masks) -> None:
        self._concat.fit(views, masks)
        x, present = self._joined(views, masks)
        rows = present[:, 0]
        self._counts = np.array([present[:, -1].sum(), len(x)], np.float32)
        self._fit_weights(x[rows])
        self._pca.fit(self._weighted(x)[rows], self.params.n_components, self.params.variance)

    def transform(self, views: Views, masks: Masks) -> tuple[Views, Masks]:
        x, present = self._joined(views, masks)
        rows = present[:, 0]
        fused = self._pca.transform(self._weighted(x))
        return {"fused": np.where(rows[:, None], fused, np.float32(0))}, {"fused": np.array(rows)}

    def state(self) -> dict[str, Array]:
        return {**self._concat.state(), **self._pca.state(), "counts": self._counts}

    def load_state(self, state: dict[str, Array]) -> None:
        check_names(state, set(self.state()))
        counts = tensor(state, "counts", ndim=1)
        if counts.shape != (2,) or not 0 <= counts[0] <= counts[1]:
            raise TrainingError("fusion tensor 'counts' is not a number of tracks with text and one of tracks")
        self._concat.load_state({name: state[name] for name in self._concat.state() if name in state})
        self._counts = counts
        self._pca.load_state(state, self._load_weights(state))

    def _joined(self, views: Views, masks: Masks) -> tuple[Array, np.ndarray]:
        fused, present = self._concat.transform(views, masks)
        return fused["fused"], present["fused"]

    def _fit_weights(self, x: Array) -> None:
        """Learn what `_weighted` needs from `x` [n_tracks, a + t]."""

    def _weighted(self, x: Array) -> Array:
        """The matrix whose components are kept."""
        return x

    def _load_weights(self, state: dict[str, Array]) -> int:
        """Take over what `_weighted` needs; how many columns it gives."""
        return self._concat.audio_dim + self._concat.text_dim
