"""Files of the archive that are known to be bad, empty, cut short or no music, end as bad rows beside the sound ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile as sf
from fma_tables import write_tracks
from processed import by_name, process
from sounds import tone

from ray_pipeline.schemas import Status
from ray_pipeline.stages.ingest import read_tracks

pytestmark = pytest.mark.ray

TRACKS = {1: "sound", 2: "empty", 3: "cut short", 4: "a web page", 5: "silent", 6: "no file at all"}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """``fma_metadata`` and ``fma_small`` with a track of each kind."""
    root, folder = tmp_path / "fma", tmp_path / "fma/fma_small/000"
    write_tracks(root, {number: {"title": title, "genre_top": "Rock"} for number, title in TRACKS.items()})
    folder.mkdir(parents=True)
    sf.write(folder / "000001.mp3", tone(3.0), 22050, format="MP3")
    whole = (folder / "000001.mp3").read_bytes()
    (folder / "000002.mp3").write_bytes(b"")
    (folder / "000003.mp3").write_bytes(whole[: len(whole) // 3])
    (folder / "000004.mp3").write_bytes(b"<!doctype html><title>404</title>" * 40)
    sf.write(folder / "000005.mp3", 0 * tone(3.0), 22050, format="MP3")
    return root


def test_known_bad_files_come_out_as_bad_rows(ray_session: object, archive: Path, tmp_path: Path) -> None:
    ctx = process(tmp_path / "store", {"kind": "fma", "root": str(archive)}, max_bad_fraction=1.0)
    assert {track["title"] for track in read_tracks(ctx)} == set(TRACKS.values())
    found = {row["title"]: row for row in by_name(ctx).values() if row["uri"]}
    assert {title: row["status"] for title, row in found.items()} == {
        "sound": Status.OK,
        "empty": Status.EMPTY,
        "cut short": Status.TRUNCATED,
        "a web page": Status.UNSUPPORTED,
        "silent": Status.SILENT,
    }
    assert all(row["error"] for title, row in found.items() if title != "sound")
