"""Rows 29 and 30: clusters that cannot be scored have a defined worst score, a coverage, and are never flattered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configs import make_config
from processed import process
from sounds import write

from ray_pipeline import experiment, metrics, shelf
from ray_pipeline.clusterers import CLUSTERERS
from ray_pipeline.experiment import Collection, Evaluation
from ray_pipeline.metrics import METRICS
from ray_pipeline.store.export import read_run

WORST = {name: shelf.part("metric", name).worst for name in METRICS}
INTERNAL = ("silhouette", "calinski_harabasz", "davies_bouldin", "silhouette_input", "davies_bouldin_input")


def evaluated(x: np.ndarray, tmp_path: Path, **clusterer: Any) -> Evaluation:
    """Clusters and scores of `x` [n, d] as they are, by way of the model that leaves features alone."""
    n = len(x)
    labels: list[str | None] = [f"class {i % 3}" for i in range(n)]
    names = [f"{i:04d}" for i in range(n)]
    collection = Collection(names, names, {"mfcc": x}, {"mfcc": np.ones(n, np.bool_)}, labels, "genre")
    config = make_config(
        tmp_path, source={"kind": "folder", "root": "."}, model={"kind": "raw"}, clusterer=clusterer,
        scoring={"seeds": 1, "null_draws": 3, "permutations": 20, "label": "genre"},
    )  # fmt: skip
    return experiment.run(collection, config, 0)[2]


def cloud(n: int = 100, d: int = 20) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)


def values(result: Evaluation) -> dict[str, float]:
    return {score.metric: score.value for score in result.scores}


def assert_worst(result: Evaluation) -> None:
    for score in result.scores:
        if score.metric in INTERNAL:
            assert score.value == WORST[score.metric] and score.note, score.metric
            assert np.isnan(score.lift) and np.isnan(score.z), score.metric
    assert all(np.isfinite(score.value) for score in result.scores)


@pytest.mark.parametrize(
    "clusterer",
    [{"kind": "dbscan", "eps": 1e-3}, {"kind": "hdbscan", "min_cluster_size": 60}],
    ids=["dbscan", "hdbscan"],
)
def test_row_30_all_noise(clusterer: dict[str, Any], tmp_path: Path) -> None:
    result = evaluated(cloud(), tmp_path, **clusterer)
    assert (result.labels == -1).all() and np.isnan(result.distance).all()
    assert_worst(result)
    assert values(result)["coverage"] == 0.0
    assert "noise share 100.0%, coverage 0.0%: 100 of 100 tracks are noise" in result.notes


def test_row_30_one_cluster(tmp_path: Path) -> None:
    result = evaluated(cloud(), tmp_path, kind="dbscan", eps=1e3)
    assert (result.labels == 0).all()
    assert_worst(result)
    assert values(result)["coverage"] == 1.0 and values(result)["ami"] == pytest.approx(0.0)
    assert "one cluster only was found" in result.notes


def test_row_30_mostly_noise_is_not_flattered(tmp_path: Path) -> None:
    """Two tight groups of four among 100 tracks: alone they would score nearly 1."""
    x = cloud()
    x[:4], x[4:8] = cloud(4) / 100, cloud(4) / 100 + 1
    result = evaluated(x, tmp_path, kind="dbscan", eps=0.5, min_samples=3)
    assert sorted(np.unique(result.labels, return_counts=True)[1]) == [4, 4, 92]
    assert_worst(result)
    silhouette = next(score for score in result.scores if score.metric == "silhouette")
    assert "92.0%" in silhouette.note and "those in clusters alone have" in silhouette.note
    assert values(result)["coverage"] == pytest.approx(0.08)
    assert "noise share 92.0%, coverage 8.0%: 92 of 100 tracks are noise" in result.notes


@pytest.mark.parametrize("kind", ["kmeans", "agglomerative", "gmm"])
def test_row_30_all_singletons(kind: str, tmp_path: Path) -> None:
    result = evaluated(cloud(8), tmp_path, kind=kind, n_clusters=8)
    assert len(set(result.labels)) == 8
    assert_worst(result)


def test_row_30_no_structure_found(tmp_path: Path) -> None:
    result = evaluated(cloud(80, 4), tmp_path, kind="agglomerative", n_clusters="auto", k_range=[2, 5])
    assert (result.labels == 0).all() and result.notes[0].startswith("no structure found")
    assert [row["k"] for row in result.curve] == [2, 3, 4, 5]
    assert_worst(result)


def test_row_30_score_of_a_chosen_k_is_held_against_the_same_k_and_its_p_against_the_search(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(0, 3, (3, 6))[np.arange(90) % 3].astype(np.float32) + cloud(90, 6)
    result = evaluated(x, tmp_path, kind="agglomerative", n_clusters="auto", k_range=[2, 5])
    chosen = next(row for row in result.curve if row["chosen"])
    score = next(score for score in result.scores if score.metric == "silhouette")
    assert chosen["k"] == 3 and score.value == pytest.approx(chosen["silhouette"])
    assert score.null_mean == pytest.approx(chosen["null_mean"], abs=4 * chosen["null_sd"])
    assert score.p >= chosen["p"] and "k was chosen" in score.note


@pytest.mark.parametrize("kind", sorted(CLUSTERERS))
def test_row_29_constant_columns_in_latents_leave_scores_finite(kind: str, tmp_path: Path) -> None:
    x = np.hstack([cloud(60, 4), np.full((60, 3), 2.0, np.float32)])
    params = shelf.params_of("clusterer", kind)()
    part = shelf.part("clusterer", kind)
    scores = metrics.internal_scores(
        x, part(x, params, 0).labels, cluster=lambda x, seed: part(x, params, seed).labels, null_draws=2
    )
    assert all(np.isfinite(score.value) for score in scores)


@pytest.mark.parametrize(
    ("clusterer", "coverage", "told"),
    [
        ({"kind": "dbscan", "eps": 1e-6}, 0.0, "noise share 100.0%, coverage 0.0%: 6 of 6 tracks are noise"),
        ({"kind": "dbscan", "eps": 1e6}, 1.0, "one cluster only was found"),
        ({"kind": "kmeans", "n_clusters": 6}, 1.0, ""),
    ],
    ids=["all noise", "one cluster", "all singletons"],
)
def test_row_30_worst_down_to_the_tables(
    clusterer: dict[str, Any], coverage: float, told: str, stages_here: None, tmp_path: Path
) -> None:
    for name in "abcdef":
        write(tmp_path / f"music/{name}.wav")
    source = {"kind": "folder", "root": str(tmp_path / "music")}
    ctx = process(tmp_path / "store", source, "run", clusterer=clusterer)
    scores = read_run(ctx.store, ctx.run, "scores")
    assert scores is not None
    rows = {row["metric"]: row for row in scores.to_pylist()}
    assert {name: rows[name]["value"] for name in INTERNAL} == {name: WORST[name] for name in INTERNAL}
    assert all(rows[name]["lift"] is None and rows[name]["z"] is None and rows[name]["note"] for name in INTERNAL)
    assert rows["coverage"]["value"] == coverage
    assert all(row["value"] is not None for row in rows.values())
    assert not told or told in ctx.run.notes
    assert (ctx.store.root / "report/index.html").is_file()
