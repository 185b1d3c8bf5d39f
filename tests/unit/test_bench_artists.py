"""The bench of artists: what it prints of each cluster."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ray_pipeline.collection import Collection


def test_clusters_are_listed_by_the_share_of_their_most_frequent_artist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
    import artists

    names = ["Ella", "Ella", "Miles", None, "Miles", "miles", None]
    ids = [str(i) for i in range(len(names))]
    said = artists._by_cluster(Collection(ids, ids, {}, {}, artists=names), np.array([0, 0, 0, 0, 1, 1, 2]), "vae")
    assert said[-2:] == ["| 1 | 2 | 2 | 100% |", "| 0 | 4 | 3 | 67% |"], "of cluster 2 no artist is known"
