"""Every feature on the shelf: shape, dtype, finiteness, determinism, on whatever a valid clip may be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sounds import tone

from ray_pipeline import shelf
from ray_pipeline.features import FEATURES
from ray_pipeline.features.spectra import Spectra

RATE = 22050


def noise(seconds: float, rate: int = RATE) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 0.1, int(seconds * rate)).astype(np.float32)


CLIPS = {
    "a tone": (tone(3.0), RATE),
    "noise": (noise(3.0), RATE),
    "a second": (noise(1.0), RATE),
    "10 ms": (noise(0.01), RATE),
    "one sample": (noise(1 / RATE), RATE),
    "silence, which workers are warmed with": (np.zeros(RATE, np.float32), RATE),
    "all but silence": (1e-4 * noise(2.0), RATE),
    "loud": (300 * noise(2.0), RATE),
    "a click": (np.eye(1, RATE, 100, dtype=np.float32)[0], RATE),
    "sound, then silence": (np.concatenate([noise(1.0), np.zeros(RATE, np.float32)]), RATE),
    "the lowest rate there is": (noise(2.0, 2000), 2000),
    "8,000 Hz": (noise(2.0, 8000), 8000),
    "a very high rate": (noise(0.2, 768_000), 768_000),
}


@pytest.fixture(params=FEATURES)
def feature(request: pytest.FixtureRequest) -> Any:
    return shelf.part("feature", request.param)()


@pytest.mark.parametrize("clip", CLIPS)
def test_gives_what_it_declares(feature: Any, clip: str) -> None:
    samples, rate = CLIPS[clip]
    array = feature(Spectra(samples, rate))
    assert (array.shape, array.dtype) == (feature.shape, feature.dtype)
    assert np.isfinite(array).all()


def test_same_samples_same_numbers(feature: Any) -> None:
    first, second = (feature(Spectra(noise(2.0), RATE)) for _ in range(2))
    assert np.array_equal(first, second)


def test_samples_are_left_alone(feature: Any) -> None:
    samples = noise(2.0)
    feature(Spectra(samples, RATE))
    assert np.array_equal(samples, noise(2.0))


def test_other_sound_other_numbers(feature: Any) -> None:
    assert not np.allclose(feature(Spectra(tone(3.0), RATE)), feature(Spectra(noise(3.0), RATE)), rtol=0.01)


@pytest.mark.parametrize("name", FEATURES)
def test_class_says_what_the_stages_ask(name: str) -> None:
    part = shelf.part("feature", name)
    assert part.rate in {"common", "native"}
    assert part.version >= 1
    assert np.dtype(part.dtype).kind == "f"
    assert shelf.params_of("feature", name)().model_dump() == {"kind": ""}
