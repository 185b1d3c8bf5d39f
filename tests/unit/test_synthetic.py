"""The embedded collection: same seed same sound, nothing rendered twice, honest metadata."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from pydantic import ValidationError

from ray_pipeline.errors import SourceError
from ray_pipeline.sources import synthetic
from ray_pipeline.sources.base import Entry
from ray_pipeline.sources.synth import arrange, names, render, theory, voice
from ray_pipeline.sources.synth.drums import KITS, VOICES, hits
from ray_pipeline.sources.synth.instruments import INSTRUMENTS
from ray_pipeline.sources.synth.styles import STYLES

SUNG = {"synthwave": "city", "shanty": "sea", "electro": "robots", "country": "farm"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def entries(store: Path) -> list[Entry]:
    return synthetic.list_tracks(synthetic.Params(n_tracks=9), store=str(store), seed=0)


def play(style: str, index: int, seed: int) -> tuple[np.ndarray, int]:
    return render.render(style, index, names.credits(style, index, seed).artist_index, seed)


def test_styles_take_turns(entries: list[Entry]) -> None:
    assert [entry.track_id for entry in entries] == [*(f"{style}-00" for style in STYLES), "synthwave-01"]
    assert [entry.labels for entry in entries[:8]] == [{"style": [style]} for style in STYLES]
    assert not any(entry.read_tags for entry in entries)
    assert all(entry.title and entry.artist and entry.album and entry.year for entry in entries)


def test_files_are_good_audio(entries: list[Entry]) -> None:
    for entry in entries:
        samples, sample_rate = sf.read(entry.uri, dtype="float32")
        assert sf.info(entry.uri).subtype == "PCM_16"
        assert 20 <= len(samples) / sample_rate <= 30
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() < 1
        assert 10 * np.log10(np.mean(samples**2)) == pytest.approx(render.RMS_DB, abs=0.7), entry.track_id


def test_files_tell_who_made_them_and_what_is_sung(entries: list[Entry]) -> None:
    for entry in entries:
        style, index = entry.track_id.split("-")
        with sf.SoundFile(entry.uri) as file:
            assert (file.title, file.artist, file.album) == (entry.title, entry.artist, entry.album)
            assert tuple(file.comment.splitlines()) == render.sung_lines(style, int(index), 0)


def test_second_call_renders_nothing(entries: list[Entry], store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[object] = []
    monkeypatch.setattr(synthetic, "_write", written.append)
    calls: list[tuple[int, int]] = []
    again = synthetic.list_tracks(
        synthetic.Params(n_tracks=9), store=str(store), seed=0, progress=lambda done, total: calls.append((done, total))
    )
    assert again == entries
    assert written == []
    assert calls == []


def test_only_missing_files_are_rendered(entries: list[Entry], tmp_path: Path) -> None:
    params, calls = synthetic.Params(n_tracks=2), []
    first = synthetic.list_tracks(params, store=str(tmp_path), seed=0)
    before = Path(first[1].uri).read_bytes()
    Path(first[1].uri).unlink()
    kept = Path(first[0].uri).stat().st_mtime_ns
    synthetic.list_tracks(params, store=str(tmp_path), seed=0, progress=lambda *call: calls.append(call))
    assert calls == [(1, 1)]
    assert Path(first[1].uri).read_bytes() == before
    assert Path(first[0].uri).stat().st_mtime_ns == kept
    assert Path(entries[1].uri).read_bytes() == before, "a file must not depend on the process that wrote it"


def test_seeds_do_not_share_files(tmp_path: Path) -> None:
    params = synthetic.Params(n_tracks=1)
    (zero,), (one,) = (synthetic.list_tracks(params, store=str(tmp_path), seed=seed) for seed in (0, 1))
    assert zero.uri != one.uri
    assert Path(zero.uri).read_bytes() != Path(one.uri).read_bytes()


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(self: Path, target: object) -> Path:
        raise OSError(28, "No space left on device", os.fspath(self))

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        synthetic.list_tracks(synthetic.Params(n_tracks=1), store=str(tmp_path), seed=0)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_broken_pool_falls_back_to_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(jobs: object, n_workers: int, progress: object) -> None:
        raise synthetic.BrokenProcessPool("a worker ended")

    written: list[object] = []
    monkeypatch.setattr(synthetic, "_render_in_processes", broken)
    monkeypatch.setattr(synthetic, "_write", written.append)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    synthetic.list_tracks(synthetic.Params(n_tracks=12), store=str(tmp_path), seed=0)
    assert len(written) == 12


def test_remote_store_is_refused_kindly() -> None:
    with pytest.raises(SourceError, match="local folder, not 's3://bucket/x'"):
        synthetic.list_tracks(synthetic.Params(), store="s3://bucket/x", seed=0)


def test_no_tracks_is_refused() -> None:
    with pytest.raises(ValidationError):
        synthetic.Params(n_tracks=0)


@pytest.mark.parametrize("style", ["shanty", "ambient"])
def test_same_seed_same_samples(style: str) -> None:
    (first, _), (again, _), (other, _) = play(style, 3, 7), play(style, 3, 7), play(style, 3, 8)
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


@pytest.mark.parametrize("style", STYLES)
def test_vocal_styles_sing_of_their_theme(style: str) -> None:
    plans = [arrange.plan(style, index, 0) for index in range(12)]
    sung = {line.text for plan in plans for line in plan.sung}
    if style not in SUNG:
        assert sung == set()
        return
    assert sung <= set(voice.themes()[SUNG[style]].lines)
    assert len(sung) >= 8, "tracks of a style should not all sing the same lines"
    for plan in plans:
        starts = [line.start for line in plan.sung]
        assert len(starts) >= 3
        assert min(np.diff(starts)) >= 3.8, "lines must not overlap"
        assert starts[-1] + 3.8 <= plan.seconds - 0.5 * arrange.TAIL_S, "the last line must not fade away"


def test_every_line_has_its_stem_and_they_are_small() -> None:
    expected = {
        voice.stem_path(theme.name, speaker, line)
        for theme in voice.themes().values()
        for speaker in range(len(theme.speakers))
        for line in range(len(theme.lines))
    }
    assert set(voice.VOCALS.glob("*.ogg")) == expected
    assert sum(path.stat().st_size for path in voice.VOCALS.iterdir()) < 2_000_000
    assert all(sf.info(path).channels == 1 and 1.5 < sf.info(path).duration < 3.2 for path in expected)


@pytest.mark.parametrize("theme", SUNG.values())
@pytest.mark.parametrize("speaker", [0, 1])
def test_a_sung_line_is_in_the_chord(theme: str, speaker: int) -> None:
    line = voice.tuned_line(theme, speaker, 0, (60, 64, 67), 22_050)
    note = 69 + 12 * np.log2(voice.pitch_hz(line, 22_050) / 440)
    assert min(abs((note - member + 6) % 12 - 6) for member in (60, 64, 67)) < 0.15


@pytest.mark.parametrize("name", sorted(set(INSTRUMENTS) - {"bell", "clav", "wind"}))
def test_instruments_are_in_tune(name: str) -> None:
    """Within a fifth of a semitone of A3, by autocorrelation over the periods about it."""
    tone = INSTRUMENTS[name](57, 0.5, 22_050)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(tone, 4 * len(tone))) ** 2)
    lags = np.arange(22_050 // 250, 22_050 // 195)
    best = int(lags[np.argmax(correlation[lags])])
    left, peak, right = correlation[best - 1 : best + 2]
    period = best + 0.5 * (left - right) / (left - 2 * peak + right)
    assert abs(12 * np.log2(22_050 / period / 220)) < 0.2


@pytest.mark.parametrize("sample_rate", render.SAMPLE_RATES)
def test_instruments_are_about_equally_loud(sample_rate: int) -> None:
    for name, instrument in INSTRUMENTS.items():
        tone = instrument(60, 0.4, sample_rate)
        assert tone.dtype == np.float32, name
        assert np.isfinite(tone).all(), name
        assert 0.1 < np.sqrt(np.mean(tone**2)) < 1.5, name


@pytest.mark.parametrize("kit", KITS)
def test_drums_die_away(kit: str) -> None:
    for name, hit in hits(kit, tuple(VOICES), 22_050).items():
        assert 0.1 < np.abs(hit).max() <= 1.5, name
        assert np.abs(hit[-50:]).max() < 0.1 * np.abs(hit).max(), name


def test_voiced_chords_stay_about_their_centre() -> None:
    assert theory.voiced((0, 4, 7), 60) == (55, 60, 64)
    assert theory.chord(57, "minor", 0, 4) == (57, 60, 64, 67)


def test_styles_know_their_parts() -> None:
    for name, style in STYLES.items():
        assert set(style.bass + style.chords + style.leads + style.pads) <= set(INSTRUMENTS), name
        assert set(style.kits) <= set(KITS), name
        steps = 4 * style.beats_per_bar
        patterns = [*style.bass_lines, *style.comping, *(signs for beat in style.beats for signs in beat.values())]
        assert all(len(pattern) == steps for pattern in patterns), name


def test_titles_differ_within_a_style() -> None:
    titles = Counter(names.credits("dub", index, 0).title for index in range(130))
    assert max(titles.values()) == 1
