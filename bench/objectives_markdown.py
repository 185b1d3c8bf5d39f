"""What the parts of the page on objectives share: lines of Markdown, and what they read of a collection's trials."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from objectives_judged import Bools, Floats

AMI = "ami"


def ami_of(dataset: Any) -> Floats:
    """[n_trials]"""
    return np.array([one["metrics"][AMI] for one in dataset.outcomes])


def passed_of(dataset: Any) -> Bools:
    """[n_trials], True where all gates were passed."""
    return np.array([not one["reason"] for one in dataset.outcomes])


def named(candidate: str) -> str:
    """A candidate in a table: ranks of `silhouette_input` + `−davies_bouldin_input`."""
    names = [f"`{name.replace('-', '−')}`" for name in candidate.split(" & ")]
    return names[0] if len(names) == 1 else f"ranks of {' + '.join(names)}"


def metrics_of(dataset: Any) -> list[Mapping[str, float]]:
    return [one["metrics"] for one in dataset.outcomes]


def paragraph(text: str) -> list[str]:
    return textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def head(*names: str) -> list[str]:
    return [row(*names), row(*["---"] * len(names))]
