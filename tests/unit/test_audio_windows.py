"""Windows of long files: they are where they should be, and cost the same however long the file is."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from encoded import encode, late, second_heard, staircase

from ray_pipeline import audio
from ray_pipeline.audio import Clip, ffmpeg
from ray_pipeline.config import Audio

RATE = 16_000
SECONDS = 100
FORMATS = ["wav", "flac", "ogg", "mp3", "aiff", "m4a", "aac", "wma", "webm", "mka", "wv"]
CODECS = {"m4a": "aac", "aac": "aac", "wma": "wmav2", "webm": "libopus", "mka": "flac", "wv": "wavpack"}


def make(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    """`samples` in the format that `path` ends in."""
    codec = CODECS.get(path.suffix[1:])
    if codec:
        return encode(path, samples, rate, codec)
    with sf.SoundFile(path, "w", rate, 1) as file:
        for start in range(0, len(samples), rate):  # libsndfile's Vorbis encoder crashes on ten minutes in one piece
            file.write(samples[start : start + rate])
    return path


@pytest.fixture(scope="module", params=FORMATS)
def long_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("long") / f"long.{request.param}", staircase(SECONDS, RATE))


@pytest.mark.parametrize(("position", "start"), [("start", 0), ("middle", 48), ("auto", 48), (61.0, 61), (1000.0, 96)])
def test_position(long_file: Path, position: str | float, start: int) -> None:
    clip = audio.decode(str(long_file), Audio(max_seconds=4, position=position))
    assert isinstance(clip, Clip)
    rate = clip.sample_rate
    assert len(clip.samples) / rate == pytest.approx(4.0, abs=0.1)
    heard = [second_heard(clip.samples[int((s + 0.1) * rate) : int((s + 0.9) * rate)], rate) for s in range(2)]
    assert heard == pytest.approx([start, start + 1], abs=0.2)


def test_window_begins_where_it_should(long_file: Path) -> None:
    """To 10 ms, where the container tells by how much its encoder is late; the two that do not are as late as that."""
    (clip,) = audio.decode_windows(str(long_file), Audio(), lambda _: [70.0], 2.0)
    assert isinstance(clip, Clip)
    truth = staircase(SECONDS, RATE)[70 * RATE : 72 * RATE]
    delay = {".aac": 1024, ".wma": 512}.get(long_file.suffix, 0)
    assert late(clip.at(RATE), truth) == pytest.approx(delay, abs=0.01 * RATE)


def test_windows_of_one_opening_are_those_of_many(long_file: Path) -> None:
    """To a millisecond, the unit of some containers; a lossy decoder also carries over a little of what it read before."""
    path, starts = str(long_file), [0.0, 30.0, 30.5, 90.0]
    together = audio.decode_windows(path, Audio(), lambda _: starts, 2.0)
    for one, start in zip(together, starts, strict=True):
        (other,) = audio.decode_windows(path, Audio(), lambda _, s=start: [s], 2.0)  # type: ignore[misc]
        assert isinstance(one, Clip) and isinstance(other, Clip)
        assert len(one.samples) == len(other.samples)
        shift = late(one.samples, other.samples)
        assert abs(shift) <= 0.001 * one.sample_rate
        assert np.corrcoef(np.roll(one.samples, -shift)[500:-500], other.samples[500:-500])[0, 1] > 0.99


def test_windows_of_what_cannot_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"<html>")
    assert [clip.status for clip in audio.decode_windows(str(path), Audio(), lambda _: [0.0, 1.0], 1.0)] == [  # type: ignore[union-attr]
        "unsupported"
    ]


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3", "m4a"])
def test_cost_does_not_grow_with_length(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames decoded and memory taken for ten seconds of one minute and of ten."""
    decoded = 0
    read, mono = sf.SoundFile.read, ffmpeg.FFmpegSound._mono

    def counted_read(self: sf.SoundFile, *args: object, **kwargs: object) -> np.ndarray:
        nonlocal decoded
        got: np.ndarray = read(self, *args, **kwargs)
        decoded += len(got)
        return got

    def counted_mono(self: ffmpeg.FFmpegSound, frame: object) -> np.ndarray:
        nonlocal decoded
        got = mono(self, frame)
        decoded += len(got)
        return got

    monkeypatch.setattr(sf.SoundFile, "read", counted_read)
    monkeypatch.setattr(ffmpeg.FFmpegSound, "_mono", counted_mono)
    frames, memory = [], []
    minute = np.random.default_rng(0).normal(0, 0.1, 60 * 8000).astype(np.float32)
    for minutes in (1, 10):
        path, decoded = make(tmp_path / f"{minutes}.{ending}", np.tile(minute, minutes), 8000), 0
        tracemalloc.start()
        assert isinstance(audio.decode(str(path), Audio(max_seconds=10, position="middle")), Clip)
        memory.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        frames.append(decoded)
    assert frames[1] == pytest.approx(frames[0], rel=0.02)
    assert frames[0] < 11 * 48_000
    assert memory[1] < 1.1 * memory[0]


def test_length_of_a_stream_that_does_not_tell_it(tmp_path: Path) -> None:
    """FFmpeg's own guess is 5,000 s for half a minute of silence before the music."""
    samples = staircase(60, RATE)
    samples[: 30 * RATE] = 0
    path = make(tmp_path / "quiet.aac", samples)
    header = audio.probe(str(path))
    assert isinstance(header, audio.Header)
    assert header.duration_s == pytest.approx(60.0, abs=0.2)
    assert isinstance(audio.decode(str(path), Audio(position=35.0)), Clip)
