"""SHELF of features: one decoded clip → one array of fixed size. A feature is one file here and one line below."""

from __future__ import annotations

from collections.abc import Iterable

from ray_pipeline.errors import ConfigError

FEATURES = {
    "brightness": "ray_pipeline.features.brightness:Brightness",
    "fma_mfcc": "ray_pipeline.features.fma_mfcc:FmaMfcc",
    "log_mel": "ray_pipeline.features.log_mel:LogMel",
    "mel_chroma": "ray_pipeline.features.mel_chroma:MelChroma",
    "mfcc": "ray_pipeline.features.mfcc:Mfcc",
    "mfcc_native": "ray_pipeline.features.mfcc_native:MfccNative",
    "mfcc_stats": "ray_pipeline.features.mfcc_stats:MfccStats",
    "tempo_key_loudness": "ray_pipeline.features.tempo_key_loudness:TempoKeyLoudness",
}

NEVER_TOGETHER = (frozenset({"fma_mfcc", "mfcc_stats"}), frozenset({"mfcc", "mfcc_native"}))
"""Features with columns of the same names and other numbers: one must not stand for, or beside, the other."""


def check_together(views: Iterable[str]) -> None:
    """Raise ConfigError if `views`, which one fusion takes, hold two that must not be joined."""
    for rivals in NEVER_TOGETHER:
        if rivals <= set(views):
            raise ConfigError(
                f"fusion: {' and '.join(sorted(rivals))} are the same statistics at different sample rates, and say "
                "everything twice; name one of them"
            )
