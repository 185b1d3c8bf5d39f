"""Randomness by name: what is drawn for one purpose changes nothing elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def rng_of(*words: object) -> np.random.Generator:
    """The generator that belongs to these words, such as the seed, a track and a purpose; the same on every machine."""
    digest = hashlib.blake2b("/".join(map(str, words)).encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of `choices`, whatever they are."""
    return choices[int(rng.integers(len(choices)))]
