"""Every fusion with every model, start to end, on a dozen tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from configs import make_config

from ray_pipeline import experiment, model_files
from ray_pipeline.experiment import Collection, Fitted
from ray_pipeline.fusion import FUSIONS
from ray_pipeline.models import MODELS
from ray_pipeline.shelf import params_of

N, WITH_WORDS = 12, 7
SHAPES = {"mfcc": (20,), "mfcc_stats": (140,), "log_mel": (64, 128), "lyrics": (16,)}


def takes_views(model: str) -> bool:
    """Whether it stands beside no fusion but `none`: it takes one view as it is, or has members with fusions of their own."""
    fields = params_of("model", model).model_fields
    return "view" in fields or "of" in fields


PAIRS = [
    (model, fusion)
    for model in sorted(MODELS)
    for fusion in sorted(FUSIONS)
    if fusion == "none" or not takes_views(model)
]


def tracks(views: tuple[str, ...], *, only_words: bool) -> Collection:
    """Twelve tracks of two kinds, seven of which have words; every fourth has no genre."""
    rng = np.random.default_rng(0)
    kept = np.arange(N) < (WITH_WORDS if only_words else N)
    n = int(kept.sum())
    kind = np.arange(N) % 2
    found = {
        name: (rng.normal(size=(N, *SHAPES[name])) + 2 * kind.reshape(-1, *[1] * len(SHAPES[name])))[kept]
        for name in views
    }
    masks = {name: (np.arange(N) < WITH_WORDS)[kept] if name == "lyrics" else np.ones(n, np.bool_) for name in views}
    genres = [None if i % 4 == 3 else ["rock", "folk"][i % 2] for i in range(n)]
    names = [f"c{i:02d}" for i in range(n)]
    return Collection(
        names, names, {name: x.astype(np.float32) for name, x in found.items()}, masks, genres, "genre", genres
    )


@pytest.mark.parametrize(("model", "fusion"), PAIRS)
def test_a_dozen_tracks_go_all_the_way(fusion: str, model: str, tmp_path: Path) -> None:
    needs_label = "condition" in params_of("model", model).model_fields and model != "late"
    picture = (
        {"features": ["mfcc", "mfcc_stats", "log_mel"]} if "view" in params_of("model", model).model_fields else {}
    )
    config = make_config(
        tmp_path,
        source={"kind": "folder", "root": "/"},
        **({"features": ["mfcc", "mfcc_stats"]} | picture),
        lyrics={"backend": "faster-whisper"},
        fusion={"kind": fusion},
        model={"kind": model} | ({"condition": {"label": "genre"}} if needs_label else {}),
    )
    collection = tracks(experiment.views_needed(config), only_words=bool(experiment.views_required(config)))
    fitted, latents, found = experiment.run(collection, config, 0)
    n = len(collection)
    assert fitted.card["status"] == "ok"
    assert latents.mu.shape[0] == n and np.isfinite(latents.mu).all()
    assert set(found.labels) == {0, 1}
    scores = {score.metric: score for score in found.scores}
    assert {"silhouette", "silhouette_input", "ami", "collapsed"} <= set(scores)
    assert all(np.isfinite(score.value) for score in scores.values())
    assert ("ami_missing" in scores) == ("lyrics" in collection.masks)

    model_files.save(tmp_path / "m", fitted.model, fitted.fusion, fitted.card)
    again = experiment.encode(collection, Fitted(*model_files.load(tmp_path / "m")))
    assert again.mu.tobytes() == latents.mu.tobytes()
