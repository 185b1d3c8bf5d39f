"""Integrated loudness by ITU-R BS.1770-4: K-weighted, in blocks of 400 ms, gated."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BLOCK_S, STEP_S = 0.4, 0.1
ABSOLUTE_GATE = -70.0  # LUFS
RELATIVE_GATE = -10.0  # LU below the mean of what passes the absolute gate
OFFSET = -0.691  # dB: a full-scale sine of 997 Hz in one channel reads -3.01 LUFS


def integrated(samples: NDArray[np.float32], sample_rate: int) -> float:
    """Loudness of one channel [n] in LUFS (dB below full scale); no less than `ABSOLUTE_GATE`."""
    from scipy.signal import sosfilt

    energy = sosfilt(k_weighting(sample_rate), samples.astype(np.float64)) ** 2
    step = max(1, round(STEP_S * sample_rate))
    steps_a_block = round(BLOCK_S / STEP_S)
    steps = energy[: len(energy) // step * step].reshape(-1, step).mean(axis=1)
    if len(steps) < steps_a_block:
        return max(float(_lufs(energy.mean())), ABSOLUTE_GATE)
    blocks = np.lib.stride_tricks.sliding_window_view(steps, steps_a_block).mean(axis=1)
    loud = blocks[_lufs(blocks) > ABSOLUTE_GATE]
    if not loud.size:
        return ABSOLUTE_GATE
    return float(_lufs(loud[_lufs(loud) > _lufs(loud.mean()) + RELATIVE_GATE].mean()))


@lru_cache(maxsize=8)
def k_weighting(sample_rate: int) -> NDArray[np.float64]:
    """The two filters as second-order sections [2, 6]: a shelf of +4 dB above 1.7 kHz, and a high-pass at 38 Hz.

    The standard tables them at 48 kHz; these are the analog filters behind, by the bilinear transform (Brecht De Man,
    "Evaluation of implementations of the EBU R128 loudness measurement", 2018).
    """
    # Below 3.4 kHz nothing is left to raise: the shelf then begins where the spectrum ends.
    k, q = np.tan(np.pi * min(1681.974450955533 / sample_rate, 0.49)), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    shelf = [high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k]
    below = [1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k]
    k, q = np.tan(np.pi * 38.13547087602444 / sample_rate), 0.5003270373238773
    high_pass = [1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k]
    first = np.array(shelf + below) / below[0]
    second = np.array([high_pass[0], -2 * high_pass[0], high_pass[0], *high_pass]) / high_pass[0]
    return np.stack([first, second])


def _lufs(energy: NDArray[np.float64]) -> NDArray[np.float64]:
    return OFFSET + 10 * np.log10(np.maximum(energy, 1e-12))
