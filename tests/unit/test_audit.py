"""The audit: the study's own numbers, rows run on small made-up music, and what is said of both."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configs import make_config

from ray_pipeline import training
from ray_pipeline.audit import ROWS, FitOnce, Outcome, StudyRow, controls, cost, joins, lines, possible, run_row
from ray_pipeline.audit.controls import DIMS, gaussian, random_clusters
from ray_pipeline.audit.settings import NO_LYRICS, fitted_together
from ray_pipeline.audit.table import CONTROLS, Line
from ray_pipeline.audit.verdicts import of_external, of_fit, of_gap, of_internal, of_reported
from ray_pipeline.collection import Collection
from ray_pipeline.errors import ImpossibleScore, RayPipelineError, TrainingError
from ray_pipeline.report import audit_page
from ray_pipeline.stages import audit as stage
from ray_pipeline.stages.context import Context

BY_NAME = {(row.table, row.name): row for row in ROWS}
BETA = BY_NAME["Table 1", "Beta-VAE"]
CVAE = BY_NAME["Table 1", "CVAE"]
HYBRID = BY_NAME["Task 1", "VAE on audio and lyrics"]
ZEROS = BY_NAME["Task 1", "zeros passed off as lyrics"]
PCA = BY_NAME["Task 2", "PCA + k-means"]
N = 60


@pytest.fixture
def config(tmp_path: Path) -> Any:
    return make_config(
        tmp_path,
        features=["mfcc", "mfcc_stats"],
        lyrics={"backend": "faster-whisper"},
        scoring={"label": "genre", "seeds": 1, "null_draws": 3, "permutations": 200},
        source={"kind": "folder", "root": "/"},
    )


@pytest.fixture
def collection() -> Collection:
    """Two genres told apart by their means, a third of the tracks with words: float32 [60, 20], [60, 140], [60, 8]."""
    rng = np.random.default_rng(0)
    genres = np.arange(N) % 2
    words = np.arange(N) % 3 == 0
    views = {
        "mfcc": rng.normal(size=(N, 20)) + 4 * genres[:, None],
        "mfcc_stats": rng.normal(size=(N, 140)),
        "lyrics": rng.normal(size=(N, 8)) * words[:, None],
    }
    masks = {name: np.ones(N, np.bool_) for name in views} | {"lyrics": words}
    ids = [str(i) for i in range(N)]
    arrays = {name: view.astype(np.float32) for name, view in views.items()}
    return Collection(ids, ids, arrays, masks, [str(genre) for genre in genres], "genre")


def line_of(found: list[Line], metric: str) -> Line:
    (line,) = [line for line in found if line.metric == metric]
    return line


def test_the_studys_losses_are_reconstruction_plus_beta_times_kl() -> None:
    """17.9625 = 15.7037 + 4 × 0.5647, and 12.9078 = 9.3730 + 3.5348: its parts are per track, KL before its weight."""
    for row, beta in ((BETA, 4.0), (CVAE, 1.0)):
        said = row.reported
        assert said["loss"] == pytest.approx(said["loss_reconstruction"] + beta * said["loss_kl"], abs=2e-4)


def test_losses_are_put_down_in_the_same_parts(config: Any, collection: Collection) -> None:
    fit = run_row(BETA, collection, config, 0).fit
    assert fit["loss"] == pytest.approx(fit["loss_reconstruction"] + 4 * fit["loss_kl"], rel=1e-5)
    assert fit["n_parameters"] == 365_908


def test_the_headline_is_a_structureless_gaussian_in_one_dimension() -> None:
    assert gaussian(1)["silhouette"].mean == pytest.approx(0.524, abs=0.005)
    for metric in ("silhouette", "calinski_harabasz", "davies_bouldin"):
        said = of_reported(metric, BETA.reported[metric], "kmeans")
        assert said == "what a structureless 1-D Gaussian scores"
        assert of_reported(metric, HYBRID.reported.get(metric, 9.9), "kmeans") == ""


def test_its_agreement_with_genre_is_that_of_random_clusters_or_impossible() -> None:
    assert random_clusters()["nmi"].mean == pytest.approx(0.004, abs=0.0005)
    assert of_reported("ari", -0.0003, "kmeans") == of_reported("nmi", 0.0032, "kmeans") == "what random clusters score"
    assert of_reported("purity", 0.1477, "kmeans").startswith("impossible: below the largest genre's share, 0.1493")
    assert of_reported("purity", 0.1506, "kmeans") == "what random clusters score"
    assert of_reported("ari", 0.2, "kmeans") == of_reported("purity", 0.6, "kmeans") == ""


def test_dbscan_leaves_the_noise_out() -> None:
    assert of_reported("silhouette", 0.4862, "dbscan") == "leaves the noise out"


@pytest.mark.parametrize(
    ("z", "collapsed", "n_above", "said"),
    [
        (6.0, False, 5, "above structureless data, z = 6.0"),
        (6.0, False, 3, "above structureless data, z = 6.0, with 3 of 5 seeds above all of it"),
        (0.3, True, 1, "collapsed: what structureless data scores, z = 0.3"),
        (-4.0, False, 0, "worse than structureless data, z = -4.0"),
        (None, False, 0, "nothing to compare: no clusters that can be scored"),
    ],
)
def test_scores_of_the_latents_in_words(z: float | None, collapsed: bool, n_above: int, said: str) -> None:
    assert of_internal(z, collapsed, n_above, n_seeds=5) == said


def test_seeds_without_clusters_are_said_whatever_the_others_score() -> None:
    found = of_internal(6.0, False, 1, n_seeds=3, n_unscored=2)
    assert found == "with 2 of 3 seeds no clusters that can be scored"


def test_scores_with_labels_in_words() -> None:
    assert of_external(0.41, "") == "at chance, p = 0.41"
    assert of_external(0.001, "") == "above chance, p = 0.001"
    assert of_external(0.001, "label leak: the model was given it") == "label leak: the model was given it"


def test_clusters_that_follow_a_gap_are_never_praised() -> None:
    assert of_gap(0.41, True) == of_gap(0.41, False) == "gap in lyrics not followed, p = 0.41"
    assert of_gap(0.001, True) == "follows the gap in lyrics, not music: p = 0.001"
    assert of_gap(0.001, False) == "tells by sound which tracks have lyrics, p = 0.001"
    assert of_gap(None, True) == "no gap in lyrics to follow"


def test_fits_in_words() -> None:
    assert of_fit("n_parameters", 365_908, 365_908.0) == "exact"
    assert of_fit("loss_reconstruction", 15.7, 16.0) == "agrees"
    assert of_fit("loss", 10.0, 15.0).startswith("+50%")


def test_a_row_that_tells_genres_apart_is_above_chance(config: Any, collection: Collection) -> None:
    found = lines([(BETA, [run_row(BETA, collection, config, seed) for seed in (0, 1)])])
    ami = line_of(found, "ami")
    assert ami.n_seeds == 2 and ami.p is not None and ami.p < 0.01
    assert ami.verdict.startswith("above chance")
    silhouette = line_of(found, "silhouette")
    assert silhouette.reported == 0.5264 and silhouette.null_sd is not None
    assert silhouette.verdict.startswith("reported: what a structureless 1-D Gaussian scores; here: ")


def test_one_model_clustered_in_several_ways_is_fitted_once(
    config: Any, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = [BY_NAME["Task 2", f"Conv-VAE + {name}"] for name in ("k-means", "agglomerative", "DBSCAN")]
    late = [BY_NAME["Table 2", name] for name in ("weighted average", "PCA-reduced")]
    assert (
        len({fitted_together(row, config) for row in several})
        == len({fitted_together(row, config) for row in late})
        == 1
    )
    assert len({fitted_together(row, config) for row in (ZEROS, HYBRID, BETA, several[0], late[0])}) == 5
    expected = [run_row(row, collection, config, 0) for row in (*several, *late)]
    kinds, fit, once = [], training.fit, FitOnce()
    monkeypatch.setattr(
        training, "fit", lambda model, *a, **k: (kinds.append(model.params.kind), fit(model, *a, **k))[1]
    )
    found = [run_row(row, collection, config, 0, once) for row in (*several, *late)]
    assert kinds == ["conv", "vae", "beta", "conv"], "the last three are members of late fusion"
    assert json.dumps([asdict(one) for one in found]) == json.dumps([asdict(one) for one in expected])


def test_a_row_that_was_given_the_genre_is_a_leak(config: Any, collection: Collection) -> None:
    found = lines([(CVAE, [run_row(CVAE, collection, config, 0)])])
    assert "label leak: the model was given" in line_of(found, "ami").verdict
    assert line_of(found, "n_parameters").verdict == "exact"


def test_zeros_passed_off_as_lyrics_split_by_the_gap(config: Any, collection: Collection) -> None:
    scores = run_row(ZEROS, collection, config, 0).scores
    by_metric = {score["metric"]: score for score in scores}
    assert len(by_metric) == len(scores), "each once: a gap that was filled is no gap, and scores 0"
    masked = {score["metric"]: score for score in run_row(HYBRID, collection, config, 0).scores}
    assert by_metric["ami_missing"]["value"] > masked["ami_missing"]["value"]


def test_splitting_by_the_gap_is_bad_on_the_page(config: Any, collection: Collection) -> None:
    gap = line_of(lines([(ZEROS, [run_row(ZEROS, collection, config, 0)])]), "ami_missing")
    assert gap.p is not None and gap.p < 0.05
    assert "follows the gap in lyrics, not music" in gap.verdict and "above" not in gap.verdict
    page = audit_page.render([gap], store="s", n_tracks=N, label=None)
    assert f'<span class="verdict bad">{gap.verdict}</span>' in page


def test_the_join_is_checked_on_the_first_seed_alone(config: Any, collection: Collection) -> None:
    """On the first row of a table that was run: here the CVAE, which knows the genre, is passed over."""
    outcomes = [run_row(PCA, collection, config, seed) for seed in (0, 1)]
    assert [len(one.join) for one in outcomes] == [4, 0]
    found = joins([(CVAE, outcomes), (BETA, NO_LYRICS), (PCA, outcomes)])
    assert [line.row for line in found] == ["Task 2, PCA + k-means"] * 4
    assert run_row(PCA, replace(collection, labels=[], label=None), config, 0).join == []


@pytest.mark.parametrize("error", [TrainingError("too few tracks"), ImpossibleScore("purity below")])
def test_what_cannot_be_fitted_is_an_outcome_and_a_score_that_cannot_be_is_none(
    config: Any, collection: Collection, monkeypatch: pytest.MonkeyPatch, error: RayPipelineError
) -> None:
    def fails(*_: Any) -> Outcome:
        raise error

    monkeypatch.setattr(stage, "run_row", fails)
    if isinstance(error, ImpossibleScore):
        with pytest.raises(ImpossibleScore, match="purity below"):
            stage._one(BETA, collection, config, 0, FitOnce())
    else:
        assert stage._one(BETA, collection, config, 0, FitOnce())["error"] == "too few tracks"


def test_diverged_is_said(config: Any) -> None:
    score = {"metric": "ami", "value": 0.0, "null_mean": None, "null_sd": None, "chance": 0.0, "lift": 0.0}
    score |= {"z": None, "p": 1.0, "note": ""}
    (ami, *_) = lines([(BETA, [Outcome(0, [score], {}, diverged=True)])])
    assert ami.verdict.endswith("diverged")


def test_the_controls_have_no_row_of_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray_pipeline.audit.table.DIMS", (1,))
    found = controls()
    assert {line.table for line in found} == {CONTROLS}
    assert {line.row for line in found} == {"N(0, 1) in 1 dimension", "random clusters"}
    assert all(line.reported is None and line.reproduced_mean is not None for line in found)


def test_what_cannot_be_run_says_why(config: Any) -> None:
    many = {"n_with_words": 9, "n_with_label": 9}
    assert possible(HYBRID, config, **many | {"n_with_words": 0}) == NO_LYRICS
    assert possible(HYBRID, config, **many) == possible(CVAE, config, **many) == ""
    bare = config.model_copy(update={"features": ("mfcc",)})
    assert possible(PCA, bare, **many) == "not possible here: none of fma_mfcc, mfcc_stats is among the features"
    assert "no label is named" in possible(CVAE, config.model_copy(update={"scoring": type(config.scoring)()}), **many)
    none = many | {"n_with_label": 0}
    assert possible(CVAE, config, **none) == "not possible here: no track has the label 'genre' (scoring.label)"
    assert possible(HYBRID, config, **none) == "", "it knows no label"
    found = lines([(HYBRID, NO_LYRICS)])
    assert line_of(found, "silhouette").verdict == NO_LYRICS
    assert line_of(found, "silhouette").reproduced_mean is None


@pytest.fixture
def planned(config: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """`planned(collection)`: what a dry run says of an audit of that, the CVAE's row alone, but no time for controls."""

    def plan(collection: Collection) -> list[str]:
        monkeypatch.setattr(stage, "ROWS", (CVAE,))
        monkeypatch.setattr(stage, "read_all_views", lambda ctx: collection)
        return stage.plan(Context.of(config, "audit"))

    monkeypatch.setattr(stage, "controls_seconds", lambda: 0.0)
    return plan


def test_a_dry_run_where_no_track_has_the_label_says_so(
    planned: Callable[..., list[str]], collection: Collection
) -> None:
    assert planned(replace(collection, labels=[None] * N)) == [
        "audit: 0 of 0 experiments to run on 60 tracks, about 0 s with one CPU",
        "  Table 1, CVAE: not possible here: no track has the label 'genre' (scoring.label)",
    ]


def test_a_dry_run_measures_with_one_thread(
    planned: Callable[..., list[str]], collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from threadpoolctl import threadpool_info

    seen: list[int] = []

    def probe(*_: Any) -> float:
        seen.extend([torch.get_num_threads(), *(pool["num_threads"] for pool in threadpool_info())])
        return 0.0

    monkeypatch.setattr(stage, "_probe", probe)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    planned(collection)
    torch.set_num_threads(before)
    assert set(seen) == {1}


def test_a_dry_run_counts_what_the_controls_take(
    planned: Callable[..., list[str]], collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_probe", lambda *_: 0.5)
    monkeypatch.setattr(stage, "controls_seconds", lambda: 1000.0)
    assert planned(collection) == ["audit: 1 of 1 experiments to run on 60 tracks, about 1,001 s with one CPU"]


def test_the_time_of_the_controls_is_that_of_a_draw_of_each_many_times(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(cost, "gaussian_draw", lambda dim, draw: (drawn.append(dim), time.sleep(0.01)))
    monkeypatch.setattr(cost, "random_draw", lambda draw: time.sleep(0.01))
    assert cost.controls_seconds() >= 20 * (len(DIMS) + 1) * 0.01
    assert drawn[1:] == list(DIMS), "the first warms up"


def test_every_row_is_one_that_the_study_has() -> None:
    assert len(BY_NAME) == len(ROWS), "a row is known by its table and name"
    assert {row.table for row in ROWS} == {"Task 1", "Task 2", "Table 1", "Table 2"}


def test_the_page_opens_offline_and_its_data_is_the_table(tmp_path: Path) -> None:
    hostile = StudyRow("Task 1", "<script>alert(1)</script>", "means", {}, {"silhouette": 0.5264})
    found = lines([(hostile, NO_LYRICS)])
    page = audit_page.write(found, tmp_path, store="s", n_tracks=60, label='"><b>').read_text(encoding="utf-8")
    assert "<script" not in page and "http" not in re.sub(r'http-equiv="[^"]+"', "", page)
    assert "what a structureless 1-D Gaussian scores; here: not possible here: no lyrics" in page
    told = json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))
    assert told == [line.plain() for line in found]
    assert set(told[0]) == {
        "table", "row", "metric", "reported", "reproduced_mean", "reproduced_sd", "n_seeds", "null_mean", "null_sd", "p",
        "verdict",
    }  # fmt: skip
