"""Factors: named in a config, read from feature tables by track, held against latents, and never seen by a fusion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from configs import make_config

from ray_pipeline import experiment, schemas
from ray_pipeline.collection import Collection
from ray_pipeline.config import FACTORS, LABEL, Config
from ray_pipeline.errors import ConfigError, StoreError
from ray_pipeline.stages.collection import read_collection
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.evaluate import evaluate, read_clustering
from ray_pipeline.stages.factors import READ
from ray_pipeline.stages.featurize import feature_table
from ray_pipeline.stages.ingest import tracks_table
from ray_pipeline.stages.train import train

NOWHERE = {"kind": "folder", "root": "/"}
N = 24
FEATURES = ["mfcc", "tempo_key_loudness", "brightness"]
QUICK = {"seeds": 1, "null_draws": 2, "permutations": 20}
FLAT = {"kind": "pca", "n_components": 2}  # a map of two dimensions needs no UMAP


@pytest.fixture
def store(tmp_path: Path) -> Callable[..., Context]:
    """`store(**sections)`: a context over tracks t0 … by three artists, each track's factors told by its number."""

    def make(features: list[str] = FEATURES, **sections: Any) -> Context:
        ctx = Context.of(make_config(tmp_path, source=NOWHERE, features=features, **sections), "test")
        keys = [{"track_id": f"t{i}", "content_hash": f"c{i:02d}", "status": "ok", "error": ""} for i in range(N)]
        more = [
            {"uri": "", "artist": f"artist {i % 3}" if i else "", "labels": {"genre": [str(i % 2)]}} for i in range(N)
        ]
        _write(tracks_table(ctx), schemas.TRACKS, [key | one for key, one in zip(keys, more, strict=True)])
        rng = np.random.default_rng(0)
        columns = {
            "mfcc": rng.normal(size=(N, 20)),
            "tempo_key_loudness": [[100.0 + i if i else 0.0, i % 12, i % 2, -10.0 - i] for i in range(N)],
            "brightness": [[1000.0 + i] for i in range(N)],
        }
        for name in features:
            rows = [key | {name: value} for key, value in zip(keys, columns[name], strict=True)]
            if name == "brightness":
                rows[3] = keys[3] | {"status": "worker_crash"}
            # In another order than the tracks: rows are found by id.
            _write(feature_table(ctx, name), schemas.feature(name, (len(columns[name][0]),)), rows[::-1])
        return ctx

    return make


def _write(table: Any, schema: pa.Schema, rows: list[dict[str, Any]]) -> None:
    table.create(schema)
    table.replace(pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema=schema))


def config(tmp_path: Path, **sections: Any) -> Config:
    found: Config = make_config(tmp_path, source=NOWHERE, **sections)
    return found


def test_every_factor_of_the_config_can_be_read() -> None:
    assert set(READ) == set(FACTORS) and LABEL not in FACTORS


def test_an_unknown_factor_is_told_with_the_one_that_was_likely_meant(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"scoring\.factors: unknown factor 'temp'; did you mean 'tempo'\? known: brightness"
    ):
        config(tmp_path, features=FEATURES, scoring={"factors": ["temp"]})


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"scoring": {"factors": ["tempo", "tempo"]}}, "a factor is named twice"),
        ({"scoring": {"factors": ["label"]}}, r"'label' is the classes of scoring\.label, which names none"),
        (
            {"features": ["mfcc"], "scoring": {"factors": ["tempo"]}},
            "'tempo_key_loudness', which is not among features",
        ),
        (
            {"fusion": {"kind": "audio", "view": "brightness"}, "scoring": {"factors": ["brightness"]}},
            "'brightness', which the fusion takes",
        ),
        (
            {"fusion": {"kind": "none", "views": ["mfcc", "brightness"]}, "scoring": {"factors": ["brightness"]}},
            "'brightness', which the fusion takes",
        ),
    ],
)
def test_factors_that_make_no_sense_are_refused(tmp_path: Path, sections: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(tmp_path, **({"features": FEATURES} | sections))


def test_factors_and_artists_are_joined_by_track(store: Callable[..., Context]) -> None:
    ctx = store(scoring={"label": "genre", "factors": ["tempo", "key", "loudness", "brightness", "label"]})
    found = read_collection(ctx)
    at = [int(track_id[1:]) for track_id in found.track_ids]
    assert found.factors["tempo"] == [100.0 + i if i else None for i in at]
    assert found.factors["loudness"] == [-10.0 - i for i in at]
    assert found.factors["key"][at.index(3)] == "D# major" and found.factors["key"][at.index(0)] == "C minor"
    assert found.factors["brightness"] == [None if i == 3 else 1000.0 + i for i in at]
    assert found.factors["label"] == found.labels == [str(i % 2) for i in at]
    assert found.artists == [f"artist {i % 3}" if i else None for i in at]


def test_a_fusion_that_takes_whatever_there_is_sees_no_factor(store: Callable[..., Context]) -> None:
    taken = {"kind": "none"}
    assert set(read_collection(store(fusion=taken)).views) == set(FEATURES)
    held_back = read_collection(store(fusion=taken, scoring={"factors": ["tempo"]}))
    assert set(held_back.views) == {"mfcc", "brightness"}


def test_factors_and_artists_are_no_part_of_the_digest() -> None:
    x = np.zeros((2, 3), np.float32)
    plain = Collection(["a", "b"], ["a", "b"], {"mfcc": x}, {"mfcc": np.ones(2, np.bool_)})
    told = Collection(
        ["a", "b"], ["a", "b"], plain.views, plain.masks, artists=["x", "y"], factors={"tempo": [100.0, None]}
    )
    assert told.digest() == plain.digest()


def test_a_feature_that_was_never_made_is_told(store: Callable[..., Context]) -> None:
    ctx = store(features=["mfcc"])
    later = Context.of(
        make_config(Path(ctx.store.root), source=NOWHERE, features=FEATURES, scoring={"factors": ["tempo"]}), "test"
    )
    with pytest.raises(StoreError, match="tempo_key_loudness"):
        read_collection(later)


def test_scores_of_factors_stability_and_artists_reach_the_table(store: Callable[..., Context]) -> None:
    ctx = store(model=FLAT, scoring=QUICK | {"label": "genre", "factors": ["loudness", "label"], "seeds": 2})
    assert train(ctx) == evaluate(ctx) == 2
    (address,) = ctx.run.tables["scores"]
    rows = ctx.store.at(address).read().to_pylist()
    seeds = {
        name: sorted(row["seed"] for row in rows if row["metric"] == name) for name in {row["metric"] for row in rows}
    }
    assert seeds["stability"] == [0]
    for name in ("stability_bootstrap", "artist_share", "ami@artists", "mig", "mig@rotated", "dci_informativeness"):
        assert seeds[name] == [0, 1], name
    assert all(row["null_mean"] is not None for row in rows if row["metric"].startswith("stability"))
    assert evaluate(ctx) == 0


def test_another_factor_or_artist_is_scored_anew_and_not_trained_anew(store: Callable[..., Context]) -> None:
    ctx = store(model=FLAT, scoring=QUICK | {"factors": ["tempo"]})
    assert train(ctx) == evaluate(ctx) == 1
    other = store(model=FLAT, scoring=QUICK | {"factors": ["loudness"]})
    assert (train(other), evaluate(other)) == (0, 1)
    rows = tracks_table(other).read().to_pylist()
    rows[0]["artist"] = "somebody else"
    tracks_table(other).replace(pa.Table.from_pylist(rows, schema=schemas.TRACKS))
    assert (train(other), evaluate(other)) == (0, 1)


def test_without_artists_a_note_says_so(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(N, 20)).astype(np.float32)
    names = [str(i) for i in range(N)]
    plain = Collection(names, names, {"mfcc": x}, {"mfcc": np.ones(N, np.bool_)}, factors={"key": [None] * N})
    _, _, found = experiment.run(plain, config(tmp_path), 0)
    assert not [score for score in found.scores if "artist" in score.metric or score.metric == "mig"]
    assert "no artists are known: whether clusters follow artists cannot be told" in found.notes
    assert any(
        note.startswith("latents were held against no factor: of key too little is known") for note in found.notes
    )


def test_a_factor_that_the_model_was_given_is_marked_as_a_leak(store: Callable[..., Context]) -> None:
    condition = {"label": "genre", "encoding": "number"}
    ctx = store(
        model={"kind": "cvae", "condition": condition, "latent_dim": 2, "hidden": [8]},
        scoring=QUICK | {"label": "genre", "factors": ["label"]},
    )
    assert train(ctx) == evaluate(ctx) == 1
    rows = ctx.store.at(ctx.run.tables["scores"][0]).read().to_pylist()
    told = [row for row in rows if row["metric"] in {"mig", "ami", "ami@artists"}]
    assert len(told) == 3 and all(row["note"].startswith("label leak") for row in told)
    assert read_clustering(ctx.store, ctx.run.experiments[0])["notes"]
