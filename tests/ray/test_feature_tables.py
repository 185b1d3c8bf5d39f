"""Features of several axes, types and rates through Ray, Lance, `read_collection` and Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from encoded import encode
from sounds import tone, write

from ray_pipeline import audio
from ray_pipeline.config import Audio
from ray_pipeline.features import FEATURES
from ray_pipeline.features.log_mel import LogMel
from ray_pipeline.features.spectra import Spectra
from ray_pipeline.stages import featurize, pipeline
from ray_pipeline.stages.collection import read_collection
from ray_pipeline.stages.featurize import ExtractFeatures, feature_table
from ray_pipeline.store import latest_run
from ray_pipeline.store.export import export

pytestmark = pytest.mark.ray

NATIVE = ["fma_mfcc", "mfcc_native"]


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A WAV file at the common rate, an MP3 at another, an AAC file, and one of no use."""
    folder = tmp_path / "music"
    write(folder / "a.wav")
    write(folder / "b.mp3", rate=44_100)
    encode(folder / "c.m4a", tone(2.0, 32_000), 32_000, "aac")
    write(folder / "silent.wav", np.zeros(44_100, np.float32))
    return folder


def test_float16_pictures_come_back_as_they_were(ray_session: Any, context: Any, music: Path, tmp_path: Path) -> None:
    sections: dict[str, Any] = {
        "source": {"kind": "folder", "root": str(music)},
        "features": ["log_mel", "mel_chroma", "fma_mfcc"],
        "fusion": {"kind": "none", "views": ["log_mel"]},
    }
    ctx = context(**sections)
    for stage in ("ingest", "featurize"):
        pipeline.run(ctx, stage)
    expected = {}
    for path in music.iterdir():
        clip = audio.decode(str(path), Audio())
        if isinstance(clip, audio.Clip):
            expected[path.name] = LogMel()(Spectra(clip.at(22050), 22050))

    table = feature_table(ctx, "log_mel")
    assert table.schema().field("log_mel").type == pa.list_(pa.list_(pa.float16(), 128), 64)
    collection = read_collection(ctx)
    view = collection.views["log_mel"]
    assert (view.shape, view.dtype) == ((3, 64, 128), np.float32)
    for picture in expected.values():
        assert (view == picture.astype(np.float32)).all(axis=(1, 2)).sum() == 1

    (path,) = [path for path in export(ctx.store, latest_run(ctx.store), tmp_path / "out") if path.stem == "features"]
    rows = pq.read_table(path)
    assert set(rows.schema.names) > {"log_mel", "mel_chroma", "fma_mfcc"}
    assert rows["log_mel"].null_count == 1
    assert np.array(next(filter(None, rows["log_mel"].to_pylist()))).shape == (64, 128)


def test_parquet_of_float16_is_read_elsewhere(tmp_path: Path) -> None:
    import duckdb
    import polars

    kind = pa.list_(pa.list_(pa.float16(), 2), 2)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": pa.array([[np.array([1.5, 2], np.float16)] * 2, None], kind)}), path)
    ((found,),) = duckdb.sql(f"select x[2][1] from '{path}' where x is not null").fetchall()
    assert found == 1.5
    assert polars.read_parquet(path)["x"].to_list()[0] == [[1.5, 2.0], [1.5, 2.0]]


def test_one_decode_a_track_and_one_transform_a_rate(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever number of features is asked for."""
    decoded, spectra = [], []
    decode, init = audio.decode, Spectra.__init__
    monkeypatch.setattr(audio, "decode", lambda path, settings: decoded.append(path) or decode(path, settings))
    monkeypatch.setattr(Spectra, "__init__", lambda self, x, rate: spectra.append(rate) or init(self, x, rate))
    work = ExtractFeatures(tuple(FEATURES), Audio())
    work.load()
    for name, rates in {"a.wav": [22050], "b.mp3": [22050, 44100], "c.m4a": [22050, 32000]}.items():
        decoded.clear(), spectra.clear()
        stat = (music / name).stat()
        row = {"track_id": name, "content_hash": name, "uri": (music / name).as_uri()}
        (out,) = work.process([row | {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}], lambda key: None)
        assert out["status"] == "ok"
        assert (len(decoded), sorted(spectra)) == (1, rates)


def test_native_rate_does_not_depend_on_the_common_one(context: Any, music: Path) -> None:
    """So another common rate leaves what was computed at the files' own in place."""
    source = {"kind": "folder", "root": str(music)}
    recipes = [
        {name: featurize._recipe(context(source=source, audio={"sample_rate": rate}), name) for name in FEATURES}
        for rate in (22050, 16_000)
    ]
    assert [name for name in FEATURES if recipes[0][name] == recipes[1][name]] == NATIVE
