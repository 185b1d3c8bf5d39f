"""A zip unpacked: what was packed comes out, what is there is left, and nothing costs more memory or disk than it says."""

from __future__ import annotations

import io
import struct
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_server import noise, zipped

from ray_pipeline.fma_archive import BadArchive, disk
from ray_pipeline.fma_archive import unpack as unpack_module
from ray_pipeline.fma_archive.archives import MIB
from ray_pipeline.fma_archive.unpack import unpack

FILES = {
    "fma_small/README.txt": b"words\n" * 100,
    "fma_small/empty": b"",
    "fma_small/000/000002.mp3": noise(MIB + 17),
    "fma_small/000/000005.mp3": bytes(2 * MIB) + noise(1000),
    "fma_small/155/155066.mp3": noise(1000, seed=2),
}


def put(folder: Path, data: bytes) -> Path:
    path = folder / "fma_small.zip"
    path.write_bytes(data)
    return path


def unpacked(path: Path, limit: int = 100 * MIB) -> dict[str, int]:
    return unpack(path, path.parent, "fma_small", limit, progress=lambda *_: None)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_what_was_packed_comes_out(tmp_path: Path, method: int) -> None:
    path = put(tmp_path, zipped(FILES, method))
    assert unpacked(path) == {name: len(data) for name, data in FILES.items()}
    path.unlink()
    assert tree(tmp_path) == FILES


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_last_bytes_come_out_whatever_the_length(tmp_path: Path, method: int) -> None:
    """A decoder that is asked for 1 MiB at a time may take in all its input and keep a few bytes back."""
    files = {f"fma_small/{more}": bytes(MIB + more) for more in range(-2, 12)}
    assert unpacked(put(tmp_path, zipped(files, method))) == {name: len(data) for name, data in files.items()}


def test_zip_with_folders_and_unknown_sizes_in_its_headers(tmp_path: Path) -> None:
    """As a zip is written to a pipe: sizes follow the data, and stand only in the directory at its end."""
    path = tmp_path / "fma_small.zip"
    with path.open("wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_BZIP2) as archive:
        archive._seekable = False  # type: ignore[attr-defined]
        archive.mkdir("fma_small")
        with archive.open("fma_small/a.mp3", "w") as one:
            one.write(b"music")
    assert unpacked(path) == {"fma_small/a.mp3": 5}
    assert (tmp_path / "fma_small/a.mp3").read_bytes() == b"music"


def test_progress_ends_at_the_whole(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    unpack(put(tmp_path, zipped(FILES)), tmp_path, "fma_small", 100 * MIB, progress=lambda *x: told.append(x))
    assert told[0] == ("unpack fma_small, MiB", 0, 4)
    assert told[-1] == ("unpack fma_small, MiB", 4, 4)


def test_what_is_there_is_left_and_what_is_wrong_is_mended(tmp_path: Path) -> None:
    path = put(tmp_path, zipped(FILES))
    unpacked(path)
    kept, flipped, cut = (tmp_path / name for name in list(FILES)[2:5])
    before = kept.stat()
    flipped.write_bytes(bytes([flipped.read_bytes()[0] ^ 1]) + flipped.read_bytes()[1:])
    cut.write_bytes(b"")
    unpacked(path)
    path.unlink()
    assert tree(tmp_path) == FILES
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_link_in_a_files_place_is_replaced_not_followed(tmp_path: Path) -> None:
    """Not even where it leads to the same bytes, as many as its target has letters, which is the size of a link."""
    other = tmp_path / "other"
    same = str(other).encode()
    other.write_bytes(same)
    (tmp_path / "fma_small").mkdir()
    (tmp_path / "fma_small/a").symlink_to(other)
    (tmp_path / "fma_small/.a.part").symlink_to(other)
    unpacked(put(tmp_path, zipped({"fma_small/a": same})))
    other.write_bytes(b"changed")
    assert (tmp_path / "fma_small/a").read_bytes() == same


def test_flipped_byte_is_found_and_no_half_file_stays(tmp_path: Path) -> None:
    data = bytearray(zipped({"fma_small/a": noise(1000)}, zipfile.ZIP_STORED))
    data[data.index(noise(1000)) + 500] ^= 1
    with pytest.raises(BadArchive, match="fma_small/a: damaged in the zip: its length or CRC-32"):
        unpacked(put(tmp_path, bytes(data)))
    assert list((tmp_path / "fma_small").iterdir()) == []


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_packed_bytes_that_make_no_sense(tmp_path: Path, method: int) -> None:
    data = bytearray(zipped({"fma_small/a": noise(1000)}, method))
    start = 30 + len("fma_small/a")
    data[start : start + 200] = b"\xff" * 200
    with pytest.raises(BadArchive, match="fma_small/a: damaged in the zip"):
        unpacked(put(tmp_path, bytes(data)))


def understated(method: int, size: int, declared: int) -> bytes:
    """A zip of one file of `size` zeros that declares fewer."""
    data = zipped({"fma_small/a": bytes(size)}, method)
    assert data.count(struct.pack("<L", size)) >= 2
    return data.replace(struct.pack("<L", size), struct.pack("<L", declared))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_more_than_declared_is_never_written_nor_held(tmp_path: Path, method: int) -> None:
    """zipfile's own reader would hold all 100 MiB at once for bzip2."""
    path = put(tmp_path, understated(method, 100 * MIB, declared=1000))
    tracemalloc.start()
    try:
        with pytest.raises(BadArchive, match="holds more than the 1,000 bytes"):
            unpacked(path)
        assert tracemalloc.get_traced_memory()[1] < 20 * MIB
    finally:
        tracemalloc.stop()
    assert list((tmp_path / "fma_small").iterdir()) == []


def test_fewer_than_declared_is_damage(tmp_path: Path) -> None:
    data = zipped({"fma_small/a": bytes(1000)}, zipfile.ZIP_BZIP2)
    path = put(tmp_path, data.replace(struct.pack("<L", 1000), struct.pack("<L", 2000)))
    with pytest.raises(BadArchive, match="length or CRC-32"):
        unpacked(path)


def test_disk_too_small_for_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, zipped(FILES))
    monkeypatch.setattr(disk, "room", lambda _: 3 * MIB)
    with pytest.raises(disk.FetchError, match=r"what is still packed in fma_small.zip needs 3\.0 MiB"):
        unpacked(path)
    assert (tmp_path / "fma_small").exists() is False
    big = tmp_path / "fma_small/000/000002.mp3"
    big.parent.mkdir(parents=True)
    big.write_bytes(FILES["fma_small/000/000002.mp3"])
    unpacked(path)


def test_interrupt_does_not_wait_for_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = 0

    def endless(_: object) -> Iterator[bytes]:
        nonlocal pieces
        while pieces < 3_000:
            pieces += 1
            time.sleep(0.005)
            yield b"x"

    def interrupt(_: str, done: int, __: int) -> None:
        if done:
            raise KeyboardInterrupt

    monkeypatch.setitem(unpack_module._UNPACKED, zipfile.ZIP_STORED, endless)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("fma_small/a", bytes(2 * MIB), zipfile.ZIP_BZIP2)
        archive.writestr("fma_small/b", bytes(5_000), zipfile.ZIP_STORED)
    with pytest.raises(KeyboardInterrupt):
        unpack(put(tmp_path, data.getvalue()), tmp_path, "fma_small", 100 * MIB, progress=interrupt)
    assert pieces < 3_000
    assert sorted(tree(tmp_path)) == ["fma_small.zip", "fma_small/a"]


def test_interrupt_keeps_what_is_whole(tmp_path: Path) -> None:
    """What is whole stays whole, of the rest nothing is left, and no thread goes on."""
    path = put(tmp_path, zipped({f"fma_small/{i}": bytes([i]) * 100_000 for i in range(40)}))

    def interrupt(_: str, done: int, __: int) -> None:
        if done:
            raise KeyboardInterrupt

    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        unpack(path, tmp_path, "fma_small", 100 * MIB, progress=interrupt)
    assert threading.active_count() == threads
    found = tree(tmp_path / "fma_small")
    assert 0 < len(found) < 40
    assert all(data == bytes([int(name)]) * 100_000 for name, data in found.items())
    assert len(unpacked(path)) == len(tree(tmp_path / "fma_small")) == 40
