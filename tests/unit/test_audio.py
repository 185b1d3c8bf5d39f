"""Bytes to a clip: headers that tell half the truth, what is averaged, what is left open. Windows have a file of their own."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from sounds import tone, write

from ray_pipeline import audio
from ray_pipeline.audio import BadAudio, Clip, Header
from ray_pipeline.config import Audio
from ray_pipeline.schemas import Status

RATE = 22_050


def decoded(path: Path, **settings: object) -> Clip:
    clip = audio.decode(str(path), Audio(**settings))  # type: ignore[arg-type]
    assert isinstance(clip, Clip), clip
    return clip


def test_auto_takes_the_start_of_what_is_no_longer_than_a_minute(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.linspace(0, 1, 60 * 4000, dtype=np.float32), rate=4000, subtype="FLOAT")
    assert decoded(path).samples[0] == 0


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = tone(seed=1), tone(hz=700, seed=2)
    path = write(tmp_path / "a.wav", np.stack([left, right], axis=1), subtype="FLOAT")
    np.testing.assert_allclose(decoded(path).samples, (left + right) / 2, atol=1e-7)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3", "aiff", "caf", "w64"])
def test_formats(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"a.{ending}")
    header = audio.probe(str(path))
    assert isinstance(header, Header)
    assert (header.sample_rate, header.channels, header.duration_s) == (RATE, 1, pytest.approx(2, abs=0.1))
    clip = decoded(path)
    assert clip.decoded_ratio == pytest.approx(1, abs=0.03)
    assert clip.rms_db == pytest.approx(-10.9, abs=0.5)


def test_same_samples_as_reading_all_at_once(fma_clips: list[Path]) -> None:
    whole, rate = sf.read(fma_clips[0], dtype="float32")
    clip = decoded(fma_clips[0])
    assert clip.sample_rate == rate
    np.testing.assert_allclose(clip.samples, whole.mean(axis=1)[: len(clip.samples)], atol=1e-6)


def test_same_samples_as_librosa_at_its_rate(fma_clips: list[Path]) -> None:
    import librosa

    expected, _ = librosa.load(fma_clips[1], sr=RATE, duration=30)
    found = decoded(fma_clips[1]).at(RATE)
    np.testing.assert_allclose(found[: len(expected)], expected[: len(found)], atol=1e-4)


def test_at_its_own_rate_nothing_is_resampled(tmp_path: Path) -> None:
    clip = decoded(write(tmp_path / "a.wav"))
    assert clip.at(RATE) is clip.samples
    assert len(clip.at(RATE // 2)) == len(clip.samples) // 2


def flac_of_unknown_length(path: Path) -> Path:
    """As what is encoded from a pipe: 0 for the number of samples."""
    data = bytearray(write(path).read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    return path


def test_flac_that_does_not_say_its_length(tmp_path: Path) -> None:
    path = flac_of_unknown_length(tmp_path / "a.flac")
    assert audio.probe(str(path)) == Header("flac/pcm_16", RATE, 1, 0)
    assert len(decoded(path).samples) == 2 * RATE


def with_sizes(path: Path, riff: int, data: int) -> Path:
    whole = bytearray(write(path).read_bytes())
    struct.pack_into("<I", whole, 4, riff)
    struct.pack_into("<I", whole, 40, data)
    path.write_bytes(whole)
    return path


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000])
def test_wav_from_a_pipe_has_the_largest_sizes_and_is_ok(tmp_path: Path, size: int) -> None:
    """As ffmpeg and sox write it."""
    clip = decoded(with_sizes(tmp_path / "a.wav", size, size))
    assert (len(clip.samples), clip.decoded_ratio) == (2 * RATE, 1.0)


def test_wav_cut_in_half_is_truncated(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav")
    os.truncate(path, path.stat().st_size // 2)
    bad = audio.decode(str(path), Audio())
    assert isinstance(bad, BadAudio)
    assert (bad.status, bad.decoded_ratio) == (Status.TRUNCATED, pytest.approx(0.5, abs=0.01))


def test_words_in_a_wavs_comment_are_not_taken_for_its_samples(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav")
    whole = path.read_bytes()
    comment = b"INFOICMT" + struct.pack("<I", 20) + b"fmt of the metadata!"
    listed = b"LIST" + struct.pack("<I", len(comment)) + comment
    riff = b"RIFF" + struct.pack("<I", len(whole) + len(listed) - 8)
    path.write_bytes(riff + whole[8:36] + listed + whole[36:])
    assert decoded(path).decoded_ratio == 1.0


def test_chunks_without_end_are_not_followed(tmp_path: Path) -> None:
    """100 MB of empty chunks: to look at each would take minutes."""
    path = write(tmp_path / "a.wav")
    os.truncate(path, 100 * 2**20)
    with path.open("r+b") as file:
        file.seek(36)
        file.write(b"junk\0\0\0\0")
    assert isinstance(audio.probe(str(path)), Header | BadAudio)


def test_no_file_is_left_open(tmp_path: Path) -> None:
    good = write(tmp_path / "good.wav")
    (tmp_path / "bad.mp3").write_bytes(b"<html>" * 100)
    cut = write(tmp_path / "cut.flac")
    os.truncate(cut, 5000)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for path in (good, tmp_path / "bad.mp3", cut, tmp_path / "gone.wav"):
        audio.probe(str(path))
        audio.decode(str(path), Audio())
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_what_cannot_be_opened_takes_nobody_elses_file(tmp_path: Path) -> None:
    """libsndfile closes a descriptor that it cannot make sense of; closed twice, it may by then be another thread's."""
    (tmp_path / "bad.mp3").write_bytes(b"<html>" * 100)
    before = os.open(tmp_path, os.O_RDONLY)
    os.close(before)  # the number that the next file gets
    assert audio.probe(str(tmp_path / "bad.mp3")) == BadAudio(Status.UNSUPPORTED, "not audio that can be decoded here")
    again = os.open(tmp_path, os.O_RDONLY)
    assert again == before
    audio.probe(str(tmp_path / "bad.mp3"))
    os.fstat(again)
    os.close(again)


@pytest.mark.parametrize(
    ("path", "status"), [("a\0b.wav", "unreadable"), ("x" * 300 + ".wav", "unreadable"), ("gone.wav", "missing")]
)
def test_names_no_file_can_have(path: str, status: str) -> None:
    found = audio.probe(path)
    assert isinstance(found, BadAudio)
    assert found.status == status
