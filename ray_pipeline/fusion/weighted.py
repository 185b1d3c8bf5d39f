"""Early fusion by weight (section 3.3): 0.6 · PCA(audio) beside 0.4 · lyrics, and PCA over both, 64 columns at most."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ray_pipeline.fusion.pca import Params as PcaParams
from ray_pipeline.fusion.pca import Pca
from ray_pipeline.fusion.principal import Principal
from ray_pipeline.fusion.zscore import Array


class Params(PcaParams):
    kind: str = "weighted"
    audio_weight: float = Field(0.6, gt=0, le=100)
    text_weight: float = Field(0.4, gt=0, le=100)
    variance: float = Field(1.0, gt=0, le=1, description="share of the variance to keep; 1: only n_components cuts")


class Weighted(Pca):
    """Audio [n_tracks, a] and text [n_tracks, t] -> `fused` [n_tracks, k ≤ min(n_components, n_tracks − 1, rank)].

    The blocks are z-scored and with `balance` of the same total variance, so that the weights are what they say; without,
    384 columns of text outweigh 20 of audio however they are weighted. A missing text counts as the mean, as in `pca`.
    """

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self._weights = (np.float32(params.audio_weight), np.float32(params.text_weight))
        self._audio = Principal("pca_audio")

    def state(self) -> dict[str, Array]:
        return {**super().state(), **self._audio.state()}

    def _fit_weights(self, x: Array) -> None:
        self._audio.fit(x[:, : self._concat.audio_dim], self.params.n_components)

    def _weighted(self, x: Array) -> Array:
        audio, text = self._weights
        at = self._concat.audio_dim
        return np.concatenate([audio * self._audio.transform(x[:, :at]), text * x[:, at:]], axis=1)

    def _load_weights(self, state: dict[str, Array]) -> int:
        self._audio.load_state(state, self._concat.audio_dim)
        return len(self._audio.components) + self._concat.text_dim
