"""The study's features against stock librosa and scipy, on real music."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ray_pipeline import audio
from ray_pipeline.config import Audio
from ray_pipeline.features.mfcc import Mfcc
from ray_pipeline.features.mfcc_stats import STATISTICS, MfccStats
from ray_pipeline.features.spectra import Spectra

RATE = 22_050  # Hz
CLIPS = 10


@pytest.fixture(scope="module", params=range(CLIPS))
def clip(request: pytest.FixtureRequest, fma_clips: list[Path]) -> tuple[Spectra, np.ndarray]:
    """Ours of one FMA clip, and librosa's MFCCs [n_frames, 20] of the same."""
    import librosa

    path = fma_clips[request.param]
    samples, _ = librosa.load(path, sr=RATE, duration=30)
    expected = librosa.feature.mfcc(y=samples, sr=RATE, n_mfcc=20).T
    decoded = audio.decode(str(path), Audio())
    assert isinstance(decoded, audio.Clip)
    return Spectra(decoded.at(RATE), RATE), expected


def assert_near(found: np.ndarray, expected: np.ndarray) -> None:
    off = np.abs(found - expected) / np.maximum(np.abs(expected), 0.1)
    assert off.max() <= 1e-3


def test_mfcc_is_librosas(clip: tuple[Spectra, np.ndarray]) -> None:
    spectra, expected = clip
    assert_near(Mfcc()(spectra), expected.mean(axis=0))


def test_mfcc_stats_are_scipys(clip: tuple[Spectra, np.ndarray]) -> None:
    from scipy import stats

    spectra, x = clip
    x = x.astype(np.float64)
    expected = {
        "mean": x.mean(axis=0),
        "std": x.std(axis=0),
        "skew": stats.skew(x, axis=0),
        "kurtosis": stats.kurtosis(x, axis=0),
        "median": np.median(x, axis=0),
        "min": x.min(axis=0),
        "max": x.max(axis=0),
    }
    assert tuple(expected) == STATISTICS
    assert_near(MfccStats()(spectra), np.concatenate(list(expected.values())))


def test_a_coefficient_that_never_changes_has_no_shape() -> None:
    found = MfccStats()(Spectra(np.zeros(RATE, np.float32), RATE)).reshape(7, 20)
    np.testing.assert_array_equal(found[1:4], np.zeros((3, 20)))
    np.testing.assert_array_equal(found[0], found[4])
