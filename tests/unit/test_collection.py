"""Tables → Collection: which tracks have a place in the fusion, and what the model is told of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from configs import make_config

from ray_pipeline import schemas
from ray_pipeline.cli.tables import score_table
from ray_pipeline.collection import Collection, yardstick
from ray_pipeline.errors import ConfigError, TooManyBadTracks, TrainingError
from ray_pipeline.experiment import views_needed
from ray_pipeline.stages import collection
from ray_pipeline.stages.collection import read_collection
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.evaluate import evaluate
from ray_pipeline.stages.featurize import feature_table
from ray_pipeline.stages.ingest import tracks_table
from ray_pipeline.stages.report import write_report
from ray_pipeline.stages.train import train

NOWHERE = {"kind": "folder", "root": "/"}
N, WITH_WORDS = 12, 4
LYRICS = {"backend": "faster-whisper"}


def labels(i: int) -> dict[str, list[str]]:
    """Eight tracks have a genre, the first of them two."""
    return {"genre": ["rock", "folk"] if i == 0 else ["rock", "jazz"][i % 2 :][:1]} if i < 8 else {"mood": ["calm"]}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Context]:
    """`store(**sections)`: a context over twelve tracks, the first four of which have words (or `with_words` of them)."""
    # Its place hangs on Whisper's and Sentence-BERT's weights, which have no part in this.
    monkeypatch.setattr(collection, "vectors_table", lambda ctx: ctx.table("text_vectors", "of-this-test"))

    def make(with_words: int = WITH_WORDS, **sections: Any) -> Context:
        ctx = Context.of(make_config(tmp_path, source=NOWHERE, **sections), "test")
        rng = np.random.default_rng(0)
        keys = [{"track_id": f"t{i}", "content_hash": f"c{i:02d}", "status": "ok", "error": ""} for i in range(N)]
        write(tracks_table(ctx), schemas.TRACKS, [k | {"uri": "", "labels": labels(i)} for i, k in enumerate(keys)])
        write(
            feature_table(ctx, "mfcc"),
            schemas.feature("mfcc", (20,)),
            [k | {"mfcc": rng.normal(size=20)} for k in keys],
        )
        vectors = [rng.normal(size=6) if i < with_words else None for i in range(N)]
        rows = [k | {"vector": vector, "model": "none"} for k, vector in zip(keys, vectors, strict=True)]
        write(ctx.table("text_vectors", "of-this-test"), schemas.text_vectors(6), rows)
        return ctx

    return make


def write(table: Any, schema: pa.Schema, rows: list[dict[str, Any]]) -> None:
    table.create(schema)
    table.replace(pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema=schema))


def test_lyrics_alone_leave_out_the_tracks_without_words_and_say_so(store: Callable[..., Context]) -> None:
    ctx = store(fusion={"kind": "lyrics"}, lyrics=LYRICS)
    found = read_collection(ctx)
    assert found.track_ids == ["t0", "t1", "t2", "t3"]
    assert {name: view.shape for name, view in found.views.items()} == {"lyrics": (4, 6)}
    assert found.masks["lyrics"].all()
    assert ctx.run.notes == ["fusion 'lyrics' needs lyrics: 4 of 12 tracks (33.3%) have them, the others are left out"]


@pytest.mark.parametrize("fusion", [{"kind": "none", "views": ["lyrics"]}, {"kind": "audio", "view": "lyrics"}])
def test_a_view_that_is_read_alone_leaves_out_the_tracks_without_it(
    store: Callable[..., Context], fusion: dict[str, Any]
) -> None:
    """They would all be one point, and clusters that follow the gap would score well."""
    found = read_collection(store(fusion=fusion, lyrics=LYRICS))
    assert len(found) == WITH_WORDS and found.masks["lyrics"].all()


def test_a_gap_is_no_place_in_the_yardstick() -> None:
    rng = np.random.default_rng(0)
    whole, holed = rng.normal(size=(40, 3)).astype(np.float32), rng.normal(5, 1, size=(40, 2)).astype(np.float32)
    seen = np.arange(40) < 28
    views, names = {"mfcc": whole, "mfcc_stats": np.where(seen[:, None], holed, 0)}, [str(i) for i in range(40)]
    masks = {"mfcc": np.ones(40, np.bool_), "mfcc_stats": seen}
    assert yardstick(Collection(names, names, views, masks)).shape == (40, 3), "whole views alone, where there are any"
    alone = yardstick(Collection(names, names, {"mfcc_stats": views["mfcc_stats"]}, {"mfcc_stats": seen}))
    assert np.abs(alone[~seen]).max() == 0 and alone[seen].mean(axis=0) == pytest.approx([0, 0], abs=1e-5)
    assert alone[seen].std(axis=0) == pytest.approx([1, 1], abs=1e-5)


@pytest.mark.parametrize("kind", ["concat", "weighted", "pca"])
def test_fusions_with_audio_keep_every_track(store: Callable[..., Context], kind: str) -> None:
    ctx = store(fusion={"kind": kind}, lyrics=LYRICS)
    found = read_collection(ctx)
    assert len(found) == N and found.masks["lyrics"].sum() == WITH_WORDS
    assert ctx.run.notes == []


def test_no_words_at_all_is_told(store: Callable[..., Context]) -> None:
    with pytest.raises(TooManyBadTracks, match="fusion 'lyrics' needs lyrics, and not one of 12 tracks"):
        read_collection(store(with_words=0, fusion={"kind": "lyrics"}, lyrics=LYRICS))


def test_lyrics_alone_without_a_transcriber_are_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'lyrics' needs lyrics, and lyrics\.backend is none"):
        views_needed(make_config(tmp_path, source=NOWHERE, fusion={"kind": "lyrics"}))


def test_a_conditional_model_is_given_the_first_class_by_track(store: Callable[..., Context]) -> None:
    ctx = store(model={"kind": "cvae", "condition": {"label": "genre"}})
    found = read_collection(ctx)
    assert found.condition == ["rock", "jazz"] * 4 + [None] * 4
    assert ctx.run.notes == ["of tracks with several classes of 'genre' the model is given the first"]


def test_other_models_are_given_none(store: Callable[..., Context]) -> None:
    assert read_collection(store()).condition == []


def test_a_condition_that_no_track_has_is_told_with_those_there_are(store: Callable[..., Context]) -> None:
    with pytest.raises(TrainingError, match="no track has the label 'tempo'") as caught:
        read_collection(store(model={"kind": "cvae", "condition": {"label": "tempo"}}))
    assert caught.value.hint == "there are: genre, mood"


def test_left_out_tracks_take_their_labels_with_them(store: Callable[..., Context]) -> None:
    model = {"kind": "cvae", "condition": {"label": "genre"}}
    scoring = {"label": "genre", "seeds": 1, "null_draws": 2, "permutations": 20}
    found = read_collection(store(fusion={"kind": "lyrics"}, lyrics=LYRICS, model=model, scoring=scoring))
    assert found.condition == found.labels == ["rock", "jazz", "rock", "jazz"]


def test_a_leak_shows_in_the_table_of_scores_and_in_the_report(store: Callable[..., Context]) -> None:
    condition = {"label": "genre", "encoding": "number"}
    ctx = store(
        model={"kind": "cvae", "condition": condition, "latent_dim": 2, "hidden": [8]},
        scoring={"label": "genre", "seeds": 2, "null_draws": 2, "permutations": 20},
    )
    assert train(ctx) == evaluate(ctx) == 2
    shown = score_table(ctx.run)
    assert shown is not None
    names = list(shown.columns[0].cells)
    assert "ami (label leak)" in names and "purity (label leak)" in names and "silhouette" in names
    assert [note for note in ctx.run.notes if note.startswith("label leak: the model was given 'genre'")]
    (ctx.store.folder("report") / "audit.html").touch()
    page = Path(write_report(ctx.store, ctx.run)).read_text()
    assert '<a href="audit.html">Audit</a>' in page, "which was there before"
    assert '<span class="verdict bad">label leak</span>' in page and "above chance" not in page


def test_another_class_for_one_track_is_another_model(store: Callable[..., Context]) -> None:
    model = {"kind": "cvae", "condition": {"label": "genre"}, "latent_dim": 2, "hidden": [8]}
    ctx = store(model=model)
    assert train(ctx) == 1 and train(ctx) == 0
    rows = tracks_table(ctx).read().to_pylist()
    rows[5]["labels"] = [("genre", ["folk"])]
    tracks_table(ctx).replace(pa.Table.from_pylist(rows, schema=schemas.TRACKS))
    assert train(ctx) == 1
