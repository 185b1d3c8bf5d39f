"""Row 28 of BAD_INPUTS: no tracks, one, fewer than clusters, none that is good. A clear message, and what was made is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processed import process
from sounds import write

from ray_pipeline.errors import SourceError, TooManyBadTracks, TrainingError
from ray_pipeline.stages.ingest import read_tracks

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run("ingest", …)`: stages over ``music`` of `tmp_path`."""
    (tmp_path / "music").mkdir()
    source = {"kind": "folder", "root": str(tmp_path / "music")}
    return lambda *stages, **sections: process(tmp_path / "store", source, *stages, **sections)


def test_row_28_empty_folder(run: Run) -> None:
    with pytest.raises(SourceError, match="no audio files in it") as caught:
        run("ingest")
    assert caught.value.exit_code == 2


@pytest.mark.ray
def test_row_28_all_bad(ray_session: Any, run: Run, tmp_path: Path) -> None:
    for name in ("a.mp3", "b.mp3", "c.wav"):
        (tmp_path / "music" / name).touch()
    with pytest.raises(TooManyBadTracks, match=r"3 of 3 tracks are of no use \(3 empty\)") as caught:
        run("ingest", max_bad_fraction=1.0)
    assert caught.value.exit_code == 3
    assert "ray-pipeline status" in caught.value.hint


@pytest.mark.ray
def test_row_28_too_many_bad(ray_session: Any, run: Run, tmp_path: Path) -> None:
    """Tables are kept, and the same command goes on once more is allowed."""
    write(tmp_path / "music" / "good.wav")
    (tmp_path / "music" / "bad.wav").touch()
    with pytest.raises(TooManyBadTracks, match="1 of 2 tracks"):
        run("ingest", max_bad_fraction=0.2)
    ctx = run("ingest", max_bad_fraction=0.5)
    assert ctx.run.done["ingest"] == 0
    assert sorted(track["status"] for track in read_tracks(ctx)) == ["empty", "ok"]


@pytest.mark.ray
@pytest.mark.parametrize(
    ("n", "k", "told"),
    [(1, 2, "1 tracks with features are too few"), (2, 8, "2 tracks for 8 clusters: lower clusterer.n_clusters")],
)
def test_row_28_fewer_tracks_than_clusters(
    ray_session: Any, run: Run, tmp_path: Path, n: int, k: int, told: str
) -> None:
    for i in range(n):
        write(tmp_path / "music" / f"{i}.wav")
    with pytest.raises(TrainingError, match=told):
        run("run", clusterer={"kind": "kmeans", "n_clusters": k})
    assert run("featurize").run.done["featurize"] == 0
