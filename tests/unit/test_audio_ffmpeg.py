"""What libsndfile does not read, through FFmpeg."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from encoded import encode, late
from numpy.typing import NDArray
from sounds import write

from ray_pipeline import audio
from ray_pipeline.audio import BadAudio, Clip, Header, ffmpeg
from ray_pipeline.config import Audio
from ray_pipeline.schemas import Status

CASES = {
    "mp4.m4a": "aac", "lossless.m4a": "alac", "video.mp4": "aac", "windows.wma": "wmav2", "web.webm": "libopus",
    "raw.aac": "aac", "dvd.ac3": "ac3", "matroska.mka": "flac", "wavpack.wv": "wavpack", "true.tta": "tta", "apple.caf": "alac",
}  # fmt: skip
LOSSLESS = {"alac", "flac", "tta", "wavpack"}


@pytest.fixture(scope="module")
def music(fma_clips: list[Path]) -> tuple[NDArray[np.float32], int]:
    """Ten seconds of real music, stereo: float32 [n, 2], and its rate in Hz."""
    samples, rate = sf.read(fma_clips[0], frames=441_000, dtype="float32")
    return 0.5 * samples, rate


@pytest.fixture(scope="module")
def m4a(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Five seconds of noise, the index before the sound."""
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * 22050).astype(np.float32)
    path = tmp_path_factory.mktemp("m4a") / "a.m4a"
    return encode(path, noise, 22050, "aac", options={"movflags": "faststart"}).read_bytes()


def decoded(path: Path, **settings: Any) -> Clip | BadAudio:
    return audio.decode(str(path), Audio(**settings))


@pytest.mark.parametrize("name", CASES)
def test_decodes_what_was_encoded(name: str, music: tuple[NDArray[np.float32], int], tmp_path: Path) -> None:
    samples, rate = music
    path = encode(tmp_path / name, samples, rate, CASES[name])
    header, clip = audio.probe(str(path)), decoded(path)
    assert isinstance(header, Header) and isinstance(clip, Clip)
    assert header.channels == 2
    assert header.codec.endswith(CASES[name].removeprefix("lib"))
    assert header.duration_s == pytest.approx(10.0, abs=0.1)
    assert len(clip.samples) / clip.sample_rate == pytest.approx(10.0, abs=0.1)
    mono, heard = samples.mean(axis=1), clip.at(rate)
    shift = late(heard, mono)
    assert abs(shift) < 0.1 * rate
    n, edge = min(len(mono), len(heard)), rate // 2
    same = np.corrcoef(mono[edge : n - edge], np.roll(heard, -shift)[edge : n - edge])[0, 1]
    assert same > (0.999 if CASES[name] in LOSSLESS else 0.97)


def test_name_does_not_decide(m4a: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(m4a)
    assert isinstance(decoded(tmp_path / "a.mp3"), Clip)


def test_cut_short_is_truncated(m4a: bytes, tmp_path: Path) -> None:
    (tmp_path / "cut.m4a").write_bytes(m4a[: len(m4a) // 2])
    found = decoded(tmp_path / "cut.m4a")
    assert isinstance(found, BadAudio) and found.status == Status.TRUNCATED
    assert found.decoded_ratio == pytest.approx(0.5, abs=0.05)
    assert isinstance(decoded(tmp_path / "cut.m4a", min_decoded_ratio=0.4), Clip)


def test_cut_before_its_index_is_corrupt(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.m4a", np.random.default_rng(0).normal(0, 0.1, 44100).astype(np.float32), 22050, "aac")
    path.write_bytes(path.read_bytes()[:5000])
    why = "a file of format 'mov' that cannot be opened: Invalid data found when processing input"
    assert audio.probe(str(path)) == BadAudio(Status.CORRUPT, why)


def test_silence_and_shortness_are_told(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 22050).astype(np.float32)
    silent = decoded(encode(tmp_path / "silent.m4a", np.zeros(44100, np.float32), 22050, "aac"))
    short = decoded(encode(tmp_path / "short.m4a", noise[:11025], 22050, "aac"))
    assert [one.status for one in (silent, short) if isinstance(one, BadAudio)] == ["silent", "too_short"]


def test_video_alone_is_unsupported(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    assert audio.probe(str(tmp_path / "a.mp4")) == BadAudio(Status.UNSUPPORTED, "a file of format 'mov' without sound")


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{other}\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile '{other}'\n",
        b"<html>" + bytes(1000),
        np.random.default_rng(0).bytes(100_000),
    ],
)
def test_nothing_is_guessed_and_nothing_else_opened(content: bytes, tmp_path: Path) -> None:
    """FFmpeg would play a playlist's files; by their first bytes these are nothing that it is asked about."""
    other = write(tmp_path / "other.wav")
    (tmp_path / "a.m4a").write_bytes(content.replace(b"{other}", os.fsencode(other)))
    assert audio.probe(str(tmp_path / "a.m4a")) == BadAudio(Status.UNSUPPORTED, "not audio that can be decoded here")


@pytest.mark.parametrize("name", ffmpeg.DEMUXERS)
def test_demuxers_are_ffmpegs(name: str) -> None:
    import av

    assert name in av.formats_available
    at, marks = ffmpeg.DEMUXERS[name]
    assert ffmpeg.demuxer_of(bytes(at) + marks[0] + bytes(16)) == name


def test_damage_is_a_status(m4a: bytes, tmp_path: Path) -> None:
    """Some bits flipped anywhere, a hundred times: a clip, or why there is none, and never an exception."""
    rng = np.random.default_rng(0)
    path = tmp_path / "a.m4a"
    for _ in range(100):
        data = np.frombuffer(m4a, np.uint8).copy()
        data[rng.integers(0, len(data), 20)] ^= rng.integers(1, 256, 20, np.uint8)
        path.write_bytes(data.tobytes())
        assert isinstance(decoded(path), Clip | BadAudio)
