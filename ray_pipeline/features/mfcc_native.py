"""20 MFCCs at each file's own sample rate, each averaged over the clip.

The means among the 140 numbers that FMA publishes; see `fma_mfcc` for why `mfcc`, at ``audio.sample_rate``, is not the same.
"""

from __future__ import annotations

from typing import ClassVar

from ray_pipeline import shelf
from ray_pipeline.features.base import Rate
from ray_pipeline.features.mfcc import Mfcc


class Params(shelf.Params):
    """No settings: FMA fixes them."""


class MfccNative(Mfcc):
    """[20]: the first 20 of `fma_mfcc`."""

    version: ClassVar[int] = 1
    rate: ClassVar[Rate] = "native"
