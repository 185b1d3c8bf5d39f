"""Every feature on the shelf: fixed shape, float32, finite, the same twice, and robust to what is barely sound."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sounds import tone

from ray_pipeline import shelf
from ray_pipeline.features import FEATURES
from ray_pipeline.features.base import Feature
from ray_pipeline.features.spectra import Spectra

RATE = 22_050  # Hz
IMPULSE = np.zeros(RATE, np.float32)
IMPULSE[RATE // 2] = 1
SOUNDS: dict[str, NDArray[np.float32]] = {
    "tone": tone(2),
    "noise": np.random.default_rng(0).normal(0, 0.3, 2 * RATE).astype(np.float32),
    "silence": np.zeros(RATE, np.float32),
    "constant": np.full(RATE, 0.5, np.float32),
    "impulse": IMPULSE,
    "as quiet as is let through": (tone(1) * 2e-4).astype(np.float32),
    "as loud as is let through": tone(1) * 200,
    "denormal": np.full(RATE, 1e-40, np.float32),
    "shorter than a frame": tone(0.02),
    "one sample": tone(1)[:1],
    "none": np.zeros(0, np.float32),
}


@pytest.fixture(params=sorted(FEATURES))
def feature(request: pytest.FixtureRequest) -> Feature:
    made: Feature = shelf.part("feature", request.param)()
    return made


@pytest.mark.parametrize("samples", SOUNDS.values(), ids=SOUNDS)
def test_shape_dtype_and_finite(feature: Feature, samples: NDArray[np.float32]) -> None:
    found = feature(Spectra(samples, RATE))
    assert found.shape == feature.shape
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_deterministic(feature: Feature) -> None:
    first, second = (feature(Spectra(tone(2), RATE)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    again = shelf.part("feature", _name(feature))()(Spectra(tone(2), RATE))
    np.testing.assert_array_equal(first, again)


def test_leaves_the_samples_as_they_are(feature: Feature) -> None:
    samples = tone(1)
    samples.setflags(write=False)
    feature(Spectra(samples, RATE))


def test_tells_sounds_apart(feature: Feature) -> None:
    low, high = (feature(Spectra(tone(2, hz=hz), RATE)) for hz in (200, 4000))
    assert not np.allclose(low, high)


@pytest.mark.parametrize("rate", [4000, 8000, 44_100, 192_000])
def test_any_rate_a_config_may_ask_for(feature: Feature, rate: int) -> None:
    found = feature(Spectra(tone(1, rate=rate), rate))
    assert found.shape == feature.shape
    assert np.isfinite(found).all()


def test_version_and_params(feature: Feature) -> None:
    assert feature.version >= 1
    assert shelf.params_of("feature", _name(feature))()


def _name(feature: Feature) -> str:
    (name,) = (name for name in FEATURES if shelf.part("feature", name) is type(feature))
    return name
