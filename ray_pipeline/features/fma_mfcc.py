"""The 140 MFCC statistics as FMA publishes them: at each file's own sample rate.

Defferrard et al., "FMA: A Dataset for Music Analysis", ISMIR 2017. Mel bands reach up to half the sample rate, so a band is
another at 44,100 Hz than at 22,050 Hz, and so is every number: `mfcc_stats` is the same statistics at ``audio.sample_rate``,
and no fusion may take both. This one goes with FMA's own tables, that one with collections of mixed rates.
"""

from __future__ import annotations

from typing import ClassVar

from ray_pipeline import shelf
from ray_pipeline.features.base import Rate
from ray_pipeline.features.mfcc_stats import MfccStats


class Params(shelf.Params):
    """No settings: FMA fixes them."""


class FmaMfcc(MfccStats):
    """[140] in the order of `mfcc_stats.STATISTICS`, 20 coefficients each; FMA's columns go by name, in another order."""

    version: ClassVar[int] = 1
    rate: ClassVar[Rate] = "native"
