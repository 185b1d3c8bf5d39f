"""The study's "140-dimensional spectral features" by themselves: 20 MFCC × 7 statistics, z-scored (section 3.1)."""

from __future__ import annotations

from pydantic import Field

from ray_pipeline.fusion.audio import Params as AudioParams
from ray_pipeline.fusion.audio import Single


class Params(AudioParams):
    kind: str = "spectral"
    view: str = Field(default="mfcc_stats", description="feature that becomes the view 'fused'")


class Spectral(Single):
    """`mfcc_stats` [n_tracks, 140] -> `fused` [n_tracks, columns that vary]."""
