"""FMA's real tables and its ten clips: published numbers taken in, the clips computed beside them, all of it scored."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outcome import done, rows
from small_job import runs_in

from ray_pipeline.stages.collection import read_collection
from ray_pipeline.store.verify import verify

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PUBLISHED, CLIPS, TRACKS = 1990, 10, 682 + 2000 - 14


@pytest.fixture(scope="module")
def run(ray_session: Any, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`run("train")`: run a command over FMA's tables and clips."""
    job = runs_in(tmp_path_factory.mktemp("fma"))
    source = {"kind": "fma", "root": str(data_dir / "fma"), "labels_file": str(data_dir / "fma/labels.csv")}
    settings: dict[str, Any] = {
        "source": source,
        "features": ["fma_mfcc", "mfcc_native"],
        "fusion": {"kind": "audio", "view": "fma_mfcc"},
        "scoring": {"seeds": 1, "null_draws": 2, "permutations": 99, "label": "label"},
    }
    return lambda command, **sections: job(command, **settings | sections)


@pytest.fixture(scope="module")
def ctx(run: Any) -> Any:
    for command in ("ingest", "import-features", "featurize", "train", "evaluate"):
        last = run(command)
        if command == "import-features":
            assert last.run.statuses["features"] == {"missing": TRACKS - PUBLISHED - CLIPS, "ok": PUBLISHED}
        if command == "featurize":
            assert done(last) == {"featurize": CLIPS}, "what is published was computed too"
    return last


def test_features_only_run_has_no_bad_tracks(run: Any, ctx: Any) -> None:
    assert run("ingest", max_bad_fraction=0.0).run.statuses["tracks"] == {"ok": TRACKS}


def test_clips_are_computed_beside_what_is_published(ctx: Any) -> None:
    clips = {row["track_id"] for row in rows(ctx, "tracks") if row["uri"]}
    found = rows(ctx, "features")
    assert Counter(row["status"] for row in found) == {
        "ok": PUBLISHED + CLIPS,
        "missing": TRACKS - PUBLISHED - CLIPS,
    }
    assert {row["track_id"] for row in found if row["decoded_ratio"] is not None} == clips
    assert verify(ctx.store) == []


def test_computed_and_published_numbers_are_of_one_kind(run: Any, ctx: Any) -> None:
    """Every clip's loudness and spread of MFCCs lie among those of the 1,990: so do units, order and sample rate."""
    collection = read_collection(run("featurize"))
    computed = {row["content_hash"] for row in rows(ctx, "features") if row["decoded_ratio"] is not None}
    is_clip = np.array([content in computed for content in collection.contents])
    assert is_clip.sum() == CLIPS
    statistics = collection.views["fma_mfcc"].reshape(-1, 7, 20)
    published, clips = statistics[~is_clip], statistics[is_clip]
    for at in range(7):
        low, high = np.quantile(published[:, at], [0.001, 0.999], axis=0)
        assert ((clips[:, at] >= low) & (clips[:, at] <= high)).mean() > 0.9


def test_means_are_the_first_of_the_statistics(run: Any, ctx: Any) -> None:
    views = read_collection(run("featurize", fusion={"kind": "none", "views": ["fma_mfcc", "mfcc_native"]})).views
    assert views["mfcc_native"].shape == (PUBLISHED + CLIPS, 20)
    np.testing.assert_array_equal(views["mfcc_native"], views["fma_mfcc"][:, :20])


def test_clusters_are_held_against_labels_from_elsewhere(ctx: Any) -> None:
    """The ten clips have none in that file; MFCCs tell Rock from Hip-Hop better than chance."""
    by_metric = {row["metric"]: row for row in rows(ctx, "scores")}
    assert by_metric["silhouette"]["n"] == PUBLISHED + CLIPS
    assert by_metric["ami"]["n"] == PUBLISHED
    assert by_metric["ami"]["p"] == pytest.approx(0.01)
    assert by_metric["ami"]["ci_low"] > 0


def test_feature_that_must_be_decoded_leaves_tracks_without_audio_missing(run: Any, ctx: Any) -> None:
    last = run("featurize", features=["mfcc"], max_bad_fraction=1.0)
    assert done(last) == {"featurize": CLIPS}
    found = Counter((row["status"], row["error"]) for row in rows(last, "features"))
    nothing = "no audio file: the track is known by its metadata alone"
    assert found == {("ok", ""): CLIPS, ("missing", nothing): TRACKS - CLIPS}


def test_import_again_leaves_the_clips_rows_alone(run: Any, ctx: Any) -> None:
    before = rows(run("featurize"), "features")
    again = run("import-features")
    assert done(again) == {}
    assert rows(again, "features") == before
