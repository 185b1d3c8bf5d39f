"""Early fusion by concatenation (section 3.3): 20 MFCC + 384 of lyrics = 404 columns, missing lyrics masked."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ray_pipeline.fusion.base import Masks, Views
from ray_pipeline.fusion.zscore import Array, ZScore, check_names, flat, need_variation
from ray_pipeline.shelf import Params as Base


class Params(Base):
    kind: str = "concat"
    audio: str = Field(default="mfcc", description="view of the audio")
    text: str = Field(default="lyrics", description="view that some tracks lack")
    balance: bool = Field(
        True, description="scale the text down to the audio's total variance; false: the study's plain z-score"
    )


class Concat:
    """Audio [n_tracks, a] and text [n_tracks, t] -> `fused` [n_tracks, a + t] and a mask of the same shape.

    Each column's z-score is fitted on the tracks that have it. Where a track has no text its columns are 0, which is
    the mean, and False in the mask, so that a model neither learns to rebuild them nor is scored on them.
    """

    required: tuple[str, ...] = ()

    def __init__(self, params: Params) -> None:
        self.params = params
        self._audio = ZScore(params.audio)
        self._text = ZScore(params.text)

    @property
    def audio_dim(self) -> int:
        """Columns of `fused` that are audio; they come first."""
        return self._audio.dim

    @property
    def text_dim(self) -> int:
        """Columns of `fused` that are text; 0 where the text is left out."""
        return self._text.dim

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.params.audio, self.params.text)

    @property
    def notes(self) -> list[str]:
        if self._text.dim:
            return self._audio.notes + self._text.notes
        return [*self._audio.notes, f"view '{self.params.text}': nothing varies in it, so it is left out of the fusion"]

    def fit(self, views: Views, masks: Masks) -> None:
        x, present = flat(views, masks, self.params.audio)
        self._audio.fit(x, present)
        need_variation(self._audio.dim, self.params.audio, int(present.sum()))
        self._text = ZScore(self.params.text)
        if self.params.text in views:
            self._text.fit(*flat(views, masks, self.params.text))

    def transform(self, views: Views, masks: Masks) -> tuple[Views, Masks]:
        blocks, present = [], []
        for zscore, weight in self._blocks():
            x, has = flat(views, masks, zscore.view)
            blocks.append(zscore.transform(x, has) * weight)
            present.append(np.repeat(has[:, None], zscore.dim, axis=1))
        return {"fused": np.concatenate(blocks, axis=1)}, {"fused": np.concatenate(present, axis=1)}

    def state(self) -> dict[str, Array]:
        return {**self._audio.state(), **self._text.state()}

    def load_state(self, state: dict[str, Array]) -> None:
        check_names(state, set(self.state()))
        self._audio.load_state(state)
        self._text.load_state(state)

    def _blocks(self) -> list[tuple[ZScore, np.float32]]:
        one = np.float32(1)
        if not self._text.dim:
            return [(self._audio, one)]
        # Each column has variance 1, so a block's total is its number of columns.
        weight = np.float32(np.sqrt(self._audio.dim / self._text.dim)) if self.params.balance else one
        return [(self._audio, one), (self._text, weight)]
