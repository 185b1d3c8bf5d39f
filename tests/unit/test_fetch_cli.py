"""`ray-pipeline fetch-fma` from end to end, with archives of a few kB from a server on this machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from archive_server import ArchiveServer, noise, published, refuse, serve, serving, zipped
from typer.testing import CliRunner, Result

from ray_pipeline.cli.fetch import Subset
from ray_pipeline.cli.main import app
from ray_pipeline.fma_archive import ARCHIVES, PUBLISHED_AT, web

RUN = CliRunner()
FILES = {
    "fma_metadata/tracks.csv": b"tracks\n" * 300,
    "fma_metadata/genres.csv": b"genres\n",
    "fma_small/000/000002.mp3": noise(20_000),
    "fma_small/155/155066.mp3": noise(30_000, seed=1),
}


def part_of(name: str) -> dict[str, bytes]:
    return {path: data for path, data in FILES.items() if path.startswith(name)}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ArchiveServer]:
    with serving() as server:
        for key in ("metadata", "small"):
            name = f"fma_{key}"
            body = server.files[f"/{name}.zip"] = zipped(part_of(name))
            monkeypatch.setitem(ARCHIVES, key, published(name, body))
        yield server


def fetch(server: ArchiveServer, folder: Path, subset: str = "small", *more: str) -> Result:
    return RUN.invoke(app, ["fetch-fma", subset, "--to", str(folder), "--from", server.url, *more])


def tree(folder: Path) -> dict[str, bytes]:
    """All files but hidden ones."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_music_and_tables_come_and_no_zip_stays(server: ArchiveServer, tmp_path: Path) -> None:
    said = fetch(server, tmp_path / "fma")
    assert said.exit_code == 0, said.output
    assert tree(tmp_path / "fma") == FILES
    assert "fma_small.zip, MiB: 1 of 1" in said.output
    assert f"source: {{kind: fma, root: {tmp_path}/fma}}" in said.output.replace("\n", "")


def test_second_time_needs_no_network(server: ArchiveServer, tmp_path: Path) -> None:
    fetch(server, tmp_path)
    asked = len(server.asked)
    said = fetch(server, tmp_path)
    assert said.exit_code == 0, said.output
    assert "all there already" in said.output
    assert len(server.asked) == asked == 2


def test_second_time_needs_no_right_to_write(server: ArchiveServer, tmp_path: Path) -> None:
    fetch(server, tmp_path)
    (tmp_path / ".fetch-fma.lock").unlink()
    assert fetch(server, tmp_path).exit_code == 0
    assert (tmp_path / ".fetch-fma.lock").exists() is False


def test_tables_alone(server: ArchiveServer, tmp_path: Path) -> None:
    assert fetch(server, tmp_path, "metadata").exit_code == 0
    assert tree(tmp_path) == part_of("fma_metadata")
    assert fetch(server, tmp_path).exit_code == 0
    assert [path for path, _ in server.asked] == ["/fma_metadata.zip", "/fma_small.zip"]


@pytest.mark.parametrize("lost", [Path.unlink, lambda path: path.write_bytes(b"cut")], ids=["gone", "cut short"])
def test_file_that_was_lost_since_comes_again(
    server: ArchiveServer, tmp_path: Path, lost: Callable[[Path], object]
) -> None:
    fetch(server, tmp_path)
    lost(tmp_path / "fma_small/000/000002.mp3")
    assert fetch(server, tmp_path).exit_code == 0
    assert tree(tmp_path) == FILES
    assert [path for path, _ in server.asked].count("/fma_metadata.zip") == 1


def test_zip_can_be_kept(server: ArchiveServer, tmp_path: Path) -> None:
    assert fetch(server, tmp_path, "metadata", "--keep-zip").exit_code == 0
    assert (tmp_path / "fma_metadata.zip").read_bytes() == server.files["/fma_metadata.zip"]


def test_zip_brought_by_hand_is_taken(server: ArchiveServer, tmp_path: Path) -> None:
    (tmp_path / "fma_metadata.zip").write_bytes(server.files["/fma_metadata.zip"])
    assert fetch(server, tmp_path, "metadata").exit_code == 0
    assert tree(tmp_path) == part_of("fma_metadata")
    assert server.asked == []


def test_broken_off_goes_on_with_the_same_command(server: ArchiveServer, tmp_path: Path) -> None:
    server.script.extend([serve(), serve(cut=12_345), refuse(403)])
    assert fetch(server, tmp_path).exit_code == 1
    assert (tmp_path / "fma_small.zip.part").stat().st_size == 12_345
    assert fetch(server, tmp_path).exit_code == 0
    assert tree(tmp_path) == FILES
    assert server.asked[-1] == ("/fma_small.zip", "bytes=12345-")


def test_quiet_says_one_line(server: ArchiveServer, tmp_path: Path) -> None:
    assert len(fetch(server, tmp_path, "metadata", "-q").output.splitlines()) == 1


@pytest.mark.parametrize(
    "url",
    ["http://example.org/fma", "ftp://example.org", "example.org/fma", "https://u:p@example.org", "https://x/?y=z"],
)
def test_mirror_must_be_https(tmp_path: Path, url: str) -> None:
    said = RUN.invoke(app, ["fetch-fma", "small", "--to", str(tmp_path / "x"), "--from", url])
    assert said.exit_code == 2
    assert "not the https address" in said.output
    assert (tmp_path / "x").exists() is False


@pytest.mark.parametrize("words", [["tiny", "--to", "x"], ["small"], []])
def test_wrong_words_end_with_2(words: list[str]) -> None:
    assert RUN.invoke(app, ["fetch-fma", *words]).exit_code == 2


def test_every_published_archive_can_be_asked_for() -> None:
    assert {subset.value for subset in Subset} == set(ARCHIVES)
    assert web.allowed(PUBLISHED_AT)
    for name, archive in ARCHIVES.items():
        assert archive.name == f"fma_{name}"
        assert re.fullmatch("[0-9a-f]{40}", archive.sha1)
        assert archive.unpacked > archive.size


def test_real_clips_unpack_as_they_are(
    server: ArchiveServer, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FMA's own files in FMA's own layout, packed as FMA packs, are what the source `fma` lists."""
    from ray_pipeline.sources.fma import source

    real = data_dir / "fma"
    clips = sorted(real.glob("fma_small/000/*.mp3"))[:2]
    tables = [real / "fma_metadata" / name for name in ("tracks.csv", "genres.csv")]
    for key, paths in {"metadata": tables, "small": clips}.items():
        body = server.files[f"/fma_{key}.zip"] = zipped({str(p.relative_to(real)): p.read_bytes() for p in paths})
        monkeypatch.setitem(ARCHIVES, key, published(f"fma_{key}", body, unpacked=16 << 20))
    said = fetch(server, tmp_path)
    assert said.exit_code == 0, said.output
    entries = source.list_tracks(source.Params(root=str(tmp_path)), store="", seed=0)
    assert {int(entry.track_id) for entry in entries if entry.uri} == {int(path.stem) for path in clips}
