"""Brightness: librosa's spectral centroid, and a number for what has no spectrum."""

from __future__ import annotations

import numpy as np
import pytest
from sounds import tone

from ray_pipeline.features.brightness import SILENT, Brightness
from ray_pipeline.features.spectra import Spectra

RATE = 22050


def brightness(samples: np.ndarray) -> float:
    return float(Brightness()(Spectra(samples.astype(np.float32), RATE))[0])


def test_equals_librosas_centroid() -> None:
    import librosa

    noise = np.random.default_rng(0).normal(0, 0.1, 3 * RATE).astype(np.float32)
    coloured = np.convolve(noise, np.ones(8) / 8, mode="same").astype(np.float32)
    for samples in (noise, coloured):
        assert brightness(samples) == pytest.approx(
            librosa.feature.spectral_centroid(y=samples, sr=RATE).mean(), rel=1e-4
        )


def test_of_a_tone_is_its_pitch_and_rises_with_it() -> None:
    low, high = (np.sin(2 * np.pi * hz * np.arange(2 * RATE) / RATE) for hz in (500, 4000))
    assert brightness(low) == pytest.approx(500, rel=0.1) and brightness(high) == pytest.approx(4000, rel=0.05)


def test_level_changes_nothing() -> None:
    assert brightness(tone(1.0)) == pytest.approx(brightness(0.01 * tone(1.0)), rel=1e-3)


def test_silence_around_a_sound_changes_little_and_silence_alone_is_none() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE)
    assert brightness(np.concatenate([noise, np.zeros(3 * RATE)])) == pytest.approx(brightness(noise), rel=0.02)
    assert brightness(np.zeros(RATE)) == SILENT
