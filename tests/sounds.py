"""Small audio files made on the spot for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray


def tone(seconds: float = 2.0, rate: int = 22050, hz: float = 440.0, seed: int = 0) -> NDArray[np.float32]:
    """A tone in a little noise: float32 [seconds · rate]."""
    t = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(0, 0.02, len(t))
    return (0.4 * np.sin(2 * np.pi * hz * t) + noise).astype(np.float32)


def write(path: Path, samples: NDArray[np.float32] | None = None, rate: int = 22050, **kwargs: str) -> Path:
    """Write `samples` (default: `tone`, of another pitch for another name) to `path` in the format its ending names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if samples is None:
        number = sum(path.name.encode("utf-8", "surrogateescape"))
        samples = tone(hz=200.0 + number, rate=rate, seed=number)
    sf.write(path, samples, rate, **kwargs)
    return path
