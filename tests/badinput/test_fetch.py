"""Archives that lie, servers that send the wrong bytes, disks that fill: nothing stray is written, and it is said."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from archive_server import ArchiveServer, noise, published, serve, serving, zipped

from ray_pipeline.fma_archive import Archive, BadArchive, FetchError, disk
from ray_pipeline.fma_archive.archives import MIB
from ray_pipeline.fma_archive.fetch import fetch
from ray_pipeline.fma_archive.unpack import unpack

MP3 = {f"fma_small/000/{i:06}.mp3": noise(20_000, seed=i) for i in range(5)}
ZIP = zipped(MP3)


@pytest.fixture
def server() -> Iterator[ArchiveServer]:
    with serving() as server:
        server.files["/fma_small.zip"] = ZIP
        yield server


def have(server: ArchiveServer, folder: Path, archive: Archive | None = None) -> list[str]:
    """Fetch; what was said."""
    said: list[str] = []
    wanted = archive or published("fma_small", ZIP)
    fetch([wanted], folder, server.url, say=said.append, progress=lambda *_: None, sleep=lambda _: None)
    return said


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def entry(name: str, mode: int = stat.S_IFREG | 0o644, data: bytes = b"x") -> Callable[[zipfile.ZipFile], None]:
    def add(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("placeholder")
        info.filename = info.orig_filename = name
        info.external_attr = mode << 16
        archive.writestr(info, data)

    return add


def hostile(*entries: Callable[[zipfile.ZipFile], None]) -> bytes:
    """A zip with a sound file first, then `entries`."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for add in (entry("fma_small/good.mp3"), *entries):
            add(archive)
    return out.getvalue()


NAMES = {
    "absolute": "/etc/passwd",
    "above": "../evil",
    "above from inside": "fma_small/../../evil",
    "back inside": "fma_small/../fma_small/evil",
    "here": "fma_small/./evil",
    "no name": "fma_small//evil",
    "drive": "C:\\evil",
    "drive inside": "fma_small/C:evil",
    "backslash": "fma_small\\..\\..\\evil",
    "backslash inside": "fma_small/..\\..\\evil",
    "share": "//host/share/evil",
    "device": "fma_small/CON",
    "device with an ending": "fma_small/nul.mp3",
    "control character": "fma_small/a\nb",
    "direction mark": "fma_small/a\u202eb",
    "nul": "fma_small/a\0b",
    "dot at the end": "fma_small/evil.",
    "space at the end": "fma_small /evil",
    "another folder": "fma_large/evil",
    "no folder": "evil",
    "a file for the folder": "fma_small",
    "empty": "",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_name_that_leads_astray_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "deep" / "fma"
    folder.mkdir(parents=True)
    path = folder / "fma_small.zip"
    path.write_bytes(hostile(entry(name)))
    with pytest.raises(BadArchive, match="nothing was unpacked"):
        unpack(path, folder, "fma_small", MIB, progress=lambda *_: None)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


KINDS = {
    "link": [entry("fma_small/a", stat.S_IFLNK | 0o777, b"/etc")],
    "link to write through": [entry("fma_small/a", stat.S_IFLNK | 0o777, b"/tmp"), entry("fma_small/a/evil")],
    "device": [entry("fma_small/a", stat.S_IFCHR | 0o666)],
    "pipe": [entry("fma_small/a", stat.S_IFIFO | 0o666)],
    "the same name twice": [entry("fma_small/a"), entry("fma_small/a")],
    "the same name to some disks": [entry("fma_small/a"), entry("fma_small/A")],
    "a file that is a folder": [entry("fma_small/a"), entry("fma_small/a/b")],
    "more than all": [entry("fma_small/a", data=bytes(MIB))],
}


def test_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fma_small.zip"
    path.write_bytes(zipped({"fma_small": b"x"}))
    with pytest.raises(BadArchive, match="lies outside the folder"):
        unpack(path, tmp_path, "fma_small", MIB, progress=lambda *_: None)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("entries", KINDS.values(), ids=KINDS)
def test_what_is_no_plain_file_is_refused_before_anything_is_written(tmp_path: Path, entries: list[Any]) -> None:
    path = tmp_path / "fma_small.zip"
    path.write_bytes(hostile(*entries))
    with pytest.raises(BadArchive, match="nothing was unpacked"):
        unpack(path, tmp_path, "fma_small", MIB, progress=lambda *_: None)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("offset", "value"), [(8, 0x01), (10, 14), (10, 99)], ids=["encrypted", "lzma", "method 99"])
def test_entry_that_cannot_be_read_is_refused_before_anything_is_written(
    tmp_path: Path, offset: int, value: int
) -> None:
    data = bytearray(hostile(entry("fma_small/a")))
    data[data.rindex(b"PK\x01\x02") + offset] = value
    path = tmp_path / "fma_small.zip"
    path.write_bytes(data)
    with pytest.raises(BadArchive, match="nothing was unpacked"):
        unpack(path, tmp_path, "fma_small", MIB, progress=lambda *_: None)


@pytest.mark.parametrize("seed", range(60))
def test_zip_with_bytes_changed_at_random_is_unpacked_whole_or_refused(tmp_path: Path, seed: int) -> None:
    import random

    chance = random.Random(seed)
    data = bytearray(zipped({"fma_small/a": b"a" * 50, "fma_small/b": noise(50)}))
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    path = tmp_path / "fma_small.zip"
    path.write_bytes(data[: chance.randint(1, len(data))] if seed % 3 == 0 else data)
    try:
        files = unpack(path, tmp_path, "fma_small", MIB, progress=lambda *_: None)
    except BadArchive:
        files = {}
    written = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} - {"fma_small.zip"}
    assert all(name.startswith("fma_small/") for name in written)
    assert set(files) <= written


def test_flipped_byte_is_never_unpacked_and_the_same_command_starts_over(server: ArchiveServer, tmp_path: Path) -> None:
    flipped = bytearray(ZIP)
    flipped[1000] ^= 1
    server.files["/fma_small.zip"] = bytes(flipped)
    with pytest.raises(BadArchive, match=r"FMA published .*: removed, not unpacked") as raised:
        have(server, tmp_path)
    assert "the same command starts over" in raised.value.hint
    assert tree(tmp_path) == {}
    server.files["/fma_small.zip"] = ZIP
    have(server, tmp_path)
    assert tree(tmp_path) == MP3
    assert server.ranges == ["", ""]


def test_file_that_changes_between_two_runs_is_not_sewn_together(server: ArchiveServer, tmp_path: Path) -> None:
    other = zipped({name: data[::-1] for name, data in MP3.items()})
    server.files["/fma_small.zip"], server.etag = other, '"old"'
    server.script.extend([serve(cut=30_000), lambda handler: handler.answer(403)])
    with pytest.raises(FetchError, match="403"):
        have(server, tmp_path)
    server.files["/fma_small.zip"], server.etag = ZIP, '"new"'
    have(server, tmp_path)
    assert tree(tmp_path) == MP3


def test_length_that_is_too_short_is_found_by_the_hash(server: ArchiveServer, tmp_path: Path) -> None:
    server.script.append(serve(claim=len(ZIP) - 100))
    with pytest.raises(BadArchive, match="removed"):
        have(server, tmp_path)
    assert tree(tmp_path) == {}


def test_part_that_rots_on_the_disk_is_found_by_the_hash(server: ArchiveServer, tmp_path: Path) -> None:
    server.script.extend([serve(cut=30_000), lambda handler: handler.answer(403)])
    with pytest.raises(FetchError):
        have(server, tmp_path)
    with (tmp_path / "fma_small.zip.part").open("r+b") as part:
        part.write(b"rot")
    with pytest.raises(BadArchive, match="removed"):
        have(server, tmp_path)
    have(server, tmp_path)
    assert tree(tmp_path) == MP3


def test_zip_that_is_another_is_set_aside_not_lost(server: ArchiveServer, tmp_path: Path) -> None:
    (tmp_path / "fma_small.zip").write_bytes(b"somebody's own")
    said = have(server, tmp_path)
    assert any("set aside as fma_small.zip.damaged" in line for line in said)
    assert tree(tmp_path) == MP3 | {"fma_small.zip.damaged": b"somebody's own"}


RECORDS = {
    "empty": "",
    "a list": "[]",
    "no files": '{"sha1": "SHA1"}',
    "files that are none": '{"sha1": "SHA1", "files": 3}',
    "an empty list of files": '{"sha1": "SHA1", "files": {}}',
    "another file that is there": '{"sha1": "x", "files": {".fma_small.json": 52}}',
    "not UTF-8": "\xff",
    "endless": "[" * 100_000,
}


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_record_that_lies_is_not_believed(server: ArchiveServer, tmp_path: Path, record: str) -> None:
    text = record.replace("SHA1", published("fma_small", ZIP).sha1)
    (tmp_path / ".fma_small.json").write_text(text, encoding="latin-1")
    have(server, tmp_path)
    assert tree(tmp_path) == MP3


def test_disk_too_small_is_told_before_a_byte_is_asked_for(
    server: ArchiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "room", lambda _: MIB)
    with pytest.raises(FetchError, match=r"fma_small\.zip, packed and unpacked, needs 1\.1 MiB .* 1\.0 MiB are free"):
        have(server, tmp_path)
    assert server.asked == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_disk_that_fills_on_the_way_is_told(server: ArchiveServer, tmp_path: Path) -> None:
    from ray_pipeline.fma_archive.download import download
    from ray_pipeline.fma_archive.part import Part

    class Full(Part):
        def open(self) -> Any:
            return open("/dev/full", "ab")  # noqa: PTH123

    part = Full(tmp_path / "fma_small.zip.part")
    url = f"{server.url}/fma_small.zip"
    with pytest.raises(FetchError, match="No space left") as raised:
        download(published("fma_small", ZIP), url, part, say=print, progress=lambda *_: None, sleep=lambda _: None)
    assert "make room" in raised.value.hint
    assert len(server.asked) == 1


def test_folder_that_is_a_file_is_told(server: ArchiveServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FetchError, match="file"):
            have(server, folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_cannot_be_written_is_told(server: ArchiveServer, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(FetchError, match="Permission denied"):
            have(server, tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_linked_folder_is_not_written_through(server: ArchiveServer, tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "fma"
    outside.mkdir()
    folder.mkdir()
    (folder / "fma_small").symlink_to(outside)
    with pytest.raises(FetchError, match="leads out of"):
        have(server, folder)
    assert list(outside.iterdir()) == []


def test_two_at_once_in_one_folder(server: ArchiveServer, tmp_path: Path) -> None:
    with disk.alone(tmp_path), pytest.raises(FetchError, match="another fetch-fma is at work"):
        have(server, tmp_path)
    have(server, tmp_path)
    assert tree(tmp_path) == MP3


COMMAND = """
import signal, sys
from ray_pipeline.cli.main import main
from ray_pipeline.fma_archive import ARCHIVES, Archive
ARCHIVES["metadata"] = Archive("fma_small", {sha1!r}, {size}, 1 << 20)
sys.argv = ["ray-pipeline", "fetch-fma", "metadata", "--to", {folder!r}, "--from", {url!r}]
signal.signal(signal.SIGINT, signal.default_int_handler)  # which is off in what a shell runs in the background
main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)], ids=["Ctrl-C", "killed"])
def test_stopped_command_keeps_its_part(server: ArchiveServer, tmp_path: Path, number: int, code: int) -> None:
    server.script.append(serve(cut=60_000, stall=True))
    archive = published("fma_small", ZIP)
    program = COMMAND.format(sha1=archive.sha1, size=archive.size, folder=str(tmp_path), url=server.url)
    part = tmp_path / "fma_small.zip.part"
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        told = process.communicate(timeout=30)[1]
    assert process.returncode == code
    assert ("To go on: ray-pipeline fetch-fma metadata --to" in told) == (number == signal.SIGINT)
    kept = part.stat().st_size
    assert part.read_bytes() == ZIP[:kept]
    have(server, tmp_path)
    assert tree(tmp_path) == MP3
    assert server.ranges == ["", f"bytes={kept}-"]
