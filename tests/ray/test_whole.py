"""The whole job on twelve real clips of three collections: words for the songs, a row a track, a page that loads nothing."""

from __future__ import annotations

import csv
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from outcome import done, rows
from small_job import runs_in

from ray_pipeline.store.verify import verify

pytestmark = pytest.mark.ray

COLLECTIONS = ("UltraStar-Deluxe/songs", "singularity-music", "xmoto-data")
SUNG_BY = "Jonathan Coulton"


@pytest.fixture(scope="module")
def job(ray_session: Any, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`job()`: run the whole job on four clips of each collection, the first of them sung."""
    folder = tmp_path_factory.mktemp("whole")
    with (data_dir / "clips/manifest.csv").open(encoding="utf-8", newline="") as file:
        clips = list(csv.DictReader(file))
    clips.sort(key=lambda row: row["artist"] != SUNG_BY)
    chosen = [row for name in COLLECTIONS for row in [clip for clip in clips if clip["collection"] == name][:4]]
    with (folder / "tracks.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["track_id", "path", "title", "artist", "collection"], extrasaction="ignore")
        table.writeheader()
        table.writerows({"track_id": row["clip_id"], **row} for row in chosen)
    source = {"kind": "manifest", "root": str(folder / "tracks.csv"), "audio_root": str(data_dir / "clips")}
    return lambda: runs_in(folder)(
        source=source,
        features=["mfcc", "mfcc_stats"],
        lyrics={"backend": "faster-whisper", "model": "tiny.en", "language": "en", "windows": 1},
        fusion={"kind": "concat"},
        model={"kind": "vae"},
        training={"epochs": 5, "num_workers": 0},
        clusterer={"kind": "kmeans", "n_clusters": 3},
        scoring={"seeds": 2, "null_draws": 3, "permutations": 50, "label": "collection"},
        max_bad_fraction=0.0,
    )


@pytest.fixture(scope="module")
def ctx(job: Any) -> Any:
    return job()


def test_every_stage_did_its_work(ctx: Any) -> None:
    stages = done(ctx)
    assert {name: stages[name] for name in ("ingest", "featurize", "transcribe", "train")} == {
        "ingest": 12,
        "featurize": 12,
        "transcribe": 12,
        "train": 2,
    }
    assert verify(ctx.store) == []


@pytest.mark.parametrize("table", ["tracks", "features", "lyrics", "text_vectors", "latents", "clusters"])
def test_one_row_a_track(ctx: Any, table: str) -> None:
    ids = [row["track_id"] for row in rows(ctx, table)]
    assert ids == sorted(row["track_id"] for row in rows(ctx, "tracks"))
    assert len(set(ids)) == 12


def test_songs_have_words_and_their_vectors(ctx: Any) -> None:
    tracks = {row["track_id"]: row for row in rows(ctx, "tracks")}
    heard = {row["track_id"]: row for row in rows(ctx, "lyrics")}
    sung = [i for i, track in tracks.items() if track["artist"] == SUNG_BY]
    assert len(sung) == 4
    assert any(len(heard[i]["text"].split()) > 20 for i in sung)
    for row in rows(ctx, "text_vectors"):
        words = bool(heard[row["track_id"]]["text"])
        assert (row["vector"] is not None) == words == heard[row["track_id"]]["has_vocals"]
        assert row["status"] == ("ok" if words else "no_text")
        assert row["vector"] is None or len(row["vector"]) == 384
    assert any(not row["has_vocals"] for row in heard.values()), "not one instrumental among game music"


def test_scores_stand_beside_chance(ctx: Any) -> None:
    scores = rows(ctx, "scores")
    assert {row["seed"] for row in scores} == {0, 1}
    by_metric = {row["metric"]: row for row in scores}
    assert by_metric["silhouette"]["n_null"] == 3
    assert by_metric["ami"]["p"] is not None
    assert by_metric["ami"]["n"] == 12
    assert "ami_missing" in by_metric


def test_report_loads_nothing_and_names_the_songs(ctx: Any) -> None:
    page = (ctx.store.root / "report/index.html").read_text(encoding="utf-8")
    loads = []

    class Loads(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            loads.extend(v for k, v in attrs if k in {"src", "href"} and v and not v.startswith(("#", "data:")))

    Loads().feed(page)
    assert loads == []
    assert SUNG_BY in page


def test_again_nothing_is_left_to_do(ctx: Any, job: Any) -> None:
    assert done(job()) == {}
