"""Fusions: views -> what a model is given. Every one but `none` gives the single view `fused`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ray_pipeline.errors import ConfigError
from ray_pipeline.fusion.base import Fusion
from ray_pipeline.shelf import Params

FUSIONS = {
    "audio": "ray_pipeline.fusion.audio:Single",
    "concat": "ray_pipeline.fusion.concat:Concat",
    "lyrics": "ray_pipeline.fusion.lyrics:Lyrics",
    "none": "ray_pipeline.fusion.none:PassOn",
    "pca": "ray_pipeline.fusion.pca:Pca",
    "spectral": "ray_pipeline.fusion.spectral:Spectral",
    "weighted": "ray_pipeline.fusion.weighted:Weighted",
}

LYRICS = "lyrics"
"""The view that comes from the words, not from a feature."""


class FusionPart(Fusion, Protocol):
    """What a class on this shelf gives, made as `part(params)`."""

    @property
    def params(self) -> Params: ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the views it takes; empty = whatever there is."""
        ...

    @property
    def required(self) -> tuple[str, ...]:
        """Views without which a track has no place in it; tracks that lack one are left out of the experiment."""
        ...

    @property
    def notes(self) -> list[str]:
        """What a reader should know of how it was fitted."""
        ...


def check_needs(params: Params, needs: Iterable[str], features: Iterable[str]) -> None:
    """Raise ConfigError if a fusion of `params` needs a view that neither `features` nor the lyrics give."""
    known = [*features, LYRICS]
    for view in needs:
        if view not in known:
            keys = [key for key, value in params if value == view or (isinstance(value, tuple) and view in value)]
            key = keys[0] if keys else "kind"
            raise ConfigError(f"fusion.{key}: '{view}' is not among features: [{', '.join(known[:-1])}]")
