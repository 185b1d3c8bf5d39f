"""Files that are not what they promise, in one folder, through ingest and featurize. Numbers are those of BAD_INPUTS."""

from __future__ import annotations

import os
import random
import socket
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from processed import Row, by_name, process
from sounds import tone, write

from ray_pipeline import audio
from ray_pipeline.config import Audio
from ray_pipeline.schemas import Status

pytestmark = pytest.mark.ray

RATE = 22050
NAMES = {
    "not UTF-8": os.fsdecode(b"caf\xe9 \xff.wav"),
    "newline": "new\nline\r.wav",
    "quotes": 'it\'s "quoted" `x` $(y) \\ %s {z}.wav',
    "right to left": "song\u202egpj.wav",
    "long": "x" * 251 + ".wav",
    "NFC": "caf\u00e9.wav",
    "NFD": "cafe\u0301.wav",
}


def wav_header(rate: int = RATE, channels: int = 1, data_bytes: int = 4 * RATE) -> bytes:
    """44 bytes that say what they are told to, with an honest RIFF size of a file of 4 · RATE bytes of samples."""
    block = 2 * channels
    fmt = struct.pack("<HHIIHH", 1, channels, rate, rate * block & 0xFFFFFFFF, block & 0xFFFF, 16)
    riff = struct.pack("<I", 36 + 4 * RATE)
    return b"RIFF" + riff + b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", data_bytes)


def pcm(seconds: float = 2.0) -> bytes:
    return (tone(seconds) * 32767).astype("<i2").tobytes()


def loud(value: float) -> np.ndarray:
    samples = tone()
    samples[RATE] = value
    return samples


def spoilt(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def row_1(folder: Path) -> None:
    for name in ("zero.wav", "zero.mp3"):
        (folder / name).touch()


def row_2(folder: Path) -> None:
    (folder / "header_only.wav").write_bytes(wav_header())
    (folder / "no_frames.wav").write_bytes(wav_header(data_bytes=0))
    write(folder / "one_sample.wav", tone()[:1])
    write(folder / "ten_ms.wav", tone(0.01))
    write(folder / "ten_ms.flac", tone(0.01))


def row_3(folder: Path) -> None:
    write(folder / "silence.wav", np.zeros(2 * RATE, np.float32))
    write(folder / "silence.mp3", np.zeros(2 * RATE, np.float32))
    write(folder / "dc.wav", np.full(2 * RATE, 0.5, np.float32))


def row_4(folder: Path) -> None:
    write(folder / "nan.wav", loud(np.nan), subtype="FLOAT")
    write(folder / "inf.wav", loud(np.inf), subtype="FLOAT")
    write(folder / "huge.wav", loud(1e30), subtype="FLOAT")
    write(folder / "huge_stereo.wav", np.stack([loud(3e38)] * 2, axis=1), subtype="FLOAT")


def row_5(folder: Path, mp3: bytes) -> None:
    middle = len(mp3) // 2
    junk = random.Random(0).randbytes(len(mp3) // 10)
    (folder / "cut_20.mp3").write_bytes(mp3[: len(mp3) // 5])
    (folder / "cut_90.mp3").write_bytes(mp3[: len(mp3) * 9 // 10])
    (folder / "junk_put_in.mp3").write_bytes(mp3[:middle] + junk + mp3[middle:])
    (folder / "junk_put_over.mp3").write_bytes(mp3[:middle] + junk + mp3[middle + len(junk) :])


def row_6(folder: Path) -> None:
    whole = write(folder / "cut.flac").read_bytes()
    (folder / "cut.flac").write_bytes(whole[: len(whole) // 2])
    (folder / "cut_to_magic.flac").write_bytes(whole[:4])
    spoilt(write(folder / "flipped.flac"), len(whole) // 2)


def row_7(folder: Path) -> None:
    (folder / "html.mp3").write_text("<!doctype html><title>404</title>" * 100)
    (folder / "random.mp3").write_bytes(random.Random(1).randbytes(100_000))
    (folder / "random_after_sync.mp3").write_bytes(b"\xff\xfb\x90\x00" + random.Random(2).randbytes(100_000))
    (folder / "tag_alone.mp3").write_bytes(b"ID3\x04\0\0\0\0\x0f\x76" + bytes(2038))
    (folder / "midi.wav").write_bytes(b"MThd\0\0\0\x06\0\0\0\x01\0\x60MTrk\0\0\0\x04\0\xff\x2f\0")
    sf.write(folder / "htk.wav", tone(), RATE, format="HTK")


def row_8(folder: Path, mp3: bytes) -> None:
    (folder / "mp3.wav").write_bytes(mp3)
    (folder / "flac.mp3").write_bytes(write(folder / "a.flac").read_bytes())
    (folder / "No ending").write_bytes(write(folder / "b.ogg").read_bytes())
    (folder / "Symphony No. 5").write_bytes(write(folder / "c.wav").read_bytes())


def row_10(folder: Path) -> None:
    (folder / "rate_1.wav").write_bytes(wav_header(rate=1) + pcm())
    (folder / "rate_2e31.wav").write_bytes(wav_header(rate=2**31 - 1) + pcm())
    (folder / "channels_300.wav").write_bytes(wav_header(channels=300) + pcm(28))
    (folder / "channels_0.wav").write_bytes(wav_header(channels=0) + pcm())
    (folder / "longer_than_it_is.wav").write_bytes(wav_header(data_bytes=10**9) + pcm())
    (folder / "longest.wav").write_bytes(wav_header(data_bytes=2**32 - 1) + pcm())
    data = bytearray(write(folder / "days.flac").read_bytes())
    data[21:26] = b"\xff" * 5  # the low 36 bits: how many samples there are
    data[21] = data[21] & 0x0F | 0xF0
    (folder / "days.flac").write_bytes(data)
    write(folder / "channels_8.wav", np.stack([tone(seed=i) for i in range(8)], axis=1))


def row_12(folder: Path, outside: Path) -> None:
    os.mkfifo(folder / "fifo.mp3")
    (folder / "folder.mp3").mkdir()
    (folder / "device.mp3").symlink_to("/dev/zero")
    (folder / "broken.mp3").symlink_to(folder / "nothing.mp3")
    (folder / "loop_a.mp3").symlink_to(folder / "loop_b.mp3")
    (folder / "loop_b.mp3").symlink_to(folder / "loop_a.mp3")
    (folder / "linked_folder").symlink_to(folder)
    (folder / "outside").symlink_to(outside)
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(folder)  # a socket's address is at most 107 bytes
        listening.bind("socket.mp3")
        os.chdir(here)


def row_14(folder: Path) -> None:
    for name in NAMES.values():
        write(folder / "sound.wav", tone(seed=sum(os.fsencode(name)))).rename(folder / name)


def row_16(folder: Path) -> None:
    (folder / "twin.wav").write_bytes(write(folder / "twin_too.wav").read_bytes())


@pytest.fixture(scope="module")
def mp3(fma_clips: list[Path]) -> bytes:
    return fma_clips[0].read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, mp3: bytes) -> Path:
    """All the files above."""
    folder, outside = tmp_path_factory.mktemp("music"), tmp_path_factory.mktemp("outside")
    write(outside / "a.wav")
    for fill in (row_1, row_2, row_3, row_4, row_6, row_7, row_10, row_14, row_16):
        fill(folder)
    for fill_with in (row_5, row_8):
        fill_with(folder, mp3)
    row_12(folder, outside)
    return folder


@pytest.fixture(scope="module")
def rows(ray_session: Any, tmp_path_factory: pytest.TempPathFactory, folder: Path) -> dict[str, Row]:
    """What became of each file, by its name, after one ingest and one featurize of them all."""
    store = tmp_path_factory.mktemp("bad") / "store"
    return by_name(process(store, {"kind": "folder", "root": str(folder)}, max_bad_fraction=1.0))


def statuses(rows: dict[str, Row], *names: str) -> dict[str, str]:
    return {name: rows[name]["status"] for name in names}


def test_every_file_is_one_row(folder: Path, rows: dict[str, Row]) -> None:
    assert set(rows) == {path.name for path in folder.iterdir()} - {"linked_folder"}
    assert all(row["error"] or row["status"] == Status.OK for row in rows.values())


def test_row_01_empty(rows: dict[str, Row]) -> None:
    assert statuses(rows, "zero.wav", "zero.mp3") == {"zero.wav": "empty", "zero.mp3": "empty"}


def test_row_02_too_short(rows: dict[str, Row]) -> None:
    names = ("header_only.wav", "no_frames.wav", "one_sample.wav", "ten_ms.wav", "ten_ms.flac")
    assert statuses(rows, *names) == dict.fromkeys(names, "too_short")


def test_row_03_silent(rows: dict[str, Row]) -> None:
    names = ("silence.wav", "silence.mp3", "dc.wav")
    assert statuses(rows, *names) == dict.fromkeys(names, "silent")


def test_row_04_non_finite_and_out_of_range(rows: dict[str, Row]) -> None:
    assert statuses(rows, "nan.wav", "inf.wav", "huge.wav", "huge_stereo.wav") == {
        "nan.wav": "non_finite",
        "inf.wav": "non_finite",
        "huge.wav": "out_of_range",
        "huge_stereo.wav": "out_of_range",
    }


@pytest.mark.parametrize(
    ("name", "ratio"), [("cut_20.mp3", 0.2), ("cut_90.mp3", 0.9), ("junk_put_in.mp3", 0.5), ("junk_put_over.mp3", 0.5)]
)
def test_row_05_mp3_cut_short_or_spliced(rows: dict[str, Row], name: str, ratio: float) -> None:
    assert rows[name]["status"] == "truncated"
    assert rows[name]["decoded_ratio"] == pytest.approx(ratio, abs=0.02)
    assert rows[name]["mfcc"] is None


def test_row_05_is_used_where_min_decoded_ratio_allows(tmp_path: Path, mp3: bytes) -> None:
    row_5(tmp_path, mp3)
    clip = audio.decode(str(tmp_path / "cut_20.mp3"), Audio(min_decoded_ratio=0.1))
    assert isinstance(clip, audio.Clip)
    assert clip.decoded_ratio == pytest.approx(0.2, abs=0.02)


def test_row_06_flac_cut_or_flipped(rows: dict[str, Row]) -> None:
    names = ("cut.flac", "cut_to_magic.flac", "flipped.flac")
    assert statuses(rows, *names) == dict.fromkeys(names, "corrupt")


def test_row_07_not_audio(rows: dict[str, Row]) -> None:
    names = ("html.mp3", "random.mp3", "random_after_sync.mp3", "tag_alone.mp3", "midi.wav", "htk.wav")
    assert statuses(rows, *names) == dict.fromkeys(names, "unsupported")


def test_row_08_content_decides(rows: dict[str, Row]) -> None:
    names = ("mp3.wav", "flac.mp3", "No ending", "Symphony No. 5")
    assert statuses(rows, *names) == dict.fromkeys(names, "ok")
    assert [rows[name]["codec"].split("/")[0] for name in names] == ["mp3", "flac", "ogg", "wav"]


def test_row_10_headers_that_lie(rows: dict[str, Row]) -> None:
    names = ("rate_1.wav", "rate_2e31.wav", "channels_300.wav", "channels_0.wav", "longer_than_it_is.wav")
    names += ("longest.wav", "days.flac")
    assert statuses(rows, *names) == dict.fromkeys(names, "bad_header")


def test_row_10_is_seen_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row_10(tmp_path)
    monkeypatch.setattr(sf.SoundFile, "read", lambda *_, **__: pytest.fail("decoded"))
    for path in tmp_path.glob("r*.wav"):
        assert audio.decode(str(path), Audio()).status == Status.BAD_HEADER  # type: ignore[union-attr]


def test_row_10_eight_channels_are_mixed_down(rows: dict[str, Row]) -> None:
    assert (rows["channels_8.wav"]["status"], rows["channels_8.wav"]["channels"]) == ("ok", 8)


def test_row_12_not_regular_or_unreadable(rows: dict[str, Row]) -> None:
    assert statuses(rows, "fifo.mp3", "socket.mp3", "folder.mp3", "broken.mp3", "loop_a.mp3", "loop_b.mp3") == {
        "fifo.mp3": "not_regular",
        "socket.mp3": "not_regular",
        "folder.mp3": "not_regular",
        "broken.mp3": "unreadable",
        "loop_a.mp3": "unreadable",
        "loop_b.mp3": "unreadable",
    }


def test_row_12_links_out_of_the_root_are_told_and_not_followed(rows: dict[str, Row]) -> None:
    assert statuses(rows, "device.mp3", "outside") == {"device.mp3": "outside_root", "outside": "outside_root"}
    assert rows["device.mp3"]["content_hash"] == ""
    assert "linked_folder" not in rows


def test_row_12_takes_no_time(tmp_path: Path) -> None:
    """Even where no source stands between the file and the decoder."""
    row_12(tmp_path, tmp_path)
    start = time.monotonic()
    found = {path.name: audio.decode(str(path), Audio()) for path in tmp_path.iterdir()}
    assert time.monotonic() - start < 1
    assert found["device.mp3"] == audio.BadAudio(Status.NOT_REGULAR, "not a regular file")
    assert all(isinstance(one, audio.BadAudio) for one in found.values())


def test_row_12_fifo_put_there_after_the_look_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    regular = write(tmp_path / "a.wav").stat()
    os.mkfifo(tmp_path / "fifo.wav")
    monkeypatch.setattr(audio, "look", lambda _: regular)
    assert audio.probe(str(tmp_path / "fifo.wav")) == audio.BadAudio(Status.NOT_REGULAR, "not a regular file")


def test_row_12_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may well be run by root, who can read all: the refusal is played."""

    def refused(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    path = str(write(tmp_path / "a.wav"))
    monkeypatch.setattr(os, "open", refused)
    assert audio.decode(path, Audio()) == audio.BadAudio(Status.UNREADABLE, "Permission denied")


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_row_14_odd_names_are_processed_and_safe_to_show(rows: dict[str, Row], name: str) -> None:
    from rich.text import Text

    from ray_pipeline.cli.console import safe

    assert rows[name]["status"] == "ok"
    shown = Text.from_markup(safe(rows[name]["uri"])).plain
    assert shown.isprintable()
    assert len(shown) == len(rows[name]["uri"])


def test_row_14_composed_and_decomposed_are_two_tracks(rows: dict[str, Row]) -> None:
    assert rows[NAMES["NFC"]]["track_id"] != rows[NAMES["NFD"]]["track_id"]
    assert rows[NAMES["NFC"]]["mfcc"] != rows[NAMES["NFD"]]["mfcc"]


def test_row_16_same_bytes_twice(rows: dict[str, Row]) -> None:
    first, second = sorted((rows["twin.wav"], rows["twin_too.wav"]), key=lambda row: row["track_id"])
    assert (first["duplicate_of"], second["duplicate_of"]) == ("", first["track_id"])
    assert first["mfcc"] == second["mfcc"]
    assert first["status"] == second["status"] == "ok"
