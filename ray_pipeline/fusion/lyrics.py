"""The words by themselves, z-scored; tracks without any have no place in it and are left out of the experiment."""

from __future__ import annotations

from pydantic import Field

from ray_pipeline.fusion.audio import Params as AudioParams
from ray_pipeline.fusion.audio import Single


class Params(AudioParams):
    kind: str = "lyrics"
    view: str = Field(default="lyrics", description="view of the text; tracks without it are left out")


class Lyrics(Single):
    """Text [n_tracks, 384] -> `fused` [n_tracks, columns that vary].

    A model cannot place a track of which it knows nothing: filled in, all of them would be one point, and that point a
    cluster. So the view is `required`, and whoever reads the tracks leaves out those that lack it, and says how many.
    """

    @property
    def required(self) -> tuple[str, ...]:
        return (self.params.view,)
