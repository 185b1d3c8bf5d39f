"""A small picture of the clip, time by frequency, for convolutional and recurrent models."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ray_pipeline import shelf
from ray_pipeline.features.base import Feature
from ray_pipeline.features.spectra import N_MELS, Spectra

N_SPANS = 64


class Params(shelf.Params):
    """No settings: models know the shape."""


class LogMel(Feature):
    shape: ClassVar[tuple[int, ...]] = (N_SPANS, N_MELS)
    dtype: ClassVar[type[np.floating[Any]]] = np.float16

    def __call__(self, spectra: Spectra) -> NDArray[np.floating[Any]]:
        """float16 [64, 128]: time first, then mel bands, lowest first.

        Each row is the mean of the bands' dB (0 dB: a power of 1; no lower than 80 dB below the clip's loudest) over a 64th
        of the clip: 0.47 s of 30 s. float16 keeps them to 0.06 dB.
        """
        return spans(spectra.mel_db, N_SPANS).astype(np.float16)


def spans(frames: NDArray[np.float32], n_spans: int) -> NDArray[np.float64]:
    """Means of `frames` [n_frames, dim] over `n_spans` equally long spans: [n_spans, dim].

    A frame that lies in two spans counts in each by its share, so that clips of fewer frames than spans have means too.
    """
    edges = np.linspace(0, len(frames), n_spans + 1)
    whole = np.minimum(edges.astype(int), len(frames) - 1)
    totals = np.zeros((len(frames) + 1, frames.shape[1]))
    np.cumsum(frames, axis=0, dtype=np.float64, out=totals[1:])
    at_edges = totals[whole] + (edges - whole)[:, None] * frames[whole]
    return np.diff(at_edges, axis=0) * (n_spans / len(frames))
