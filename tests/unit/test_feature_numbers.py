"""Further features against librosa on real clips, and against sounds whose tempo, key and loudness are known."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from configs import make_config
from numpy.typing import NDArray

from ray_pipeline import audio, experiment
from ray_pipeline.audio import Clip
from ray_pipeline.config import Audio
from ray_pipeline.errors import ConfigError
from ray_pipeline.features import FEATURES, chroma, loudness
from ray_pipeline.features.fma_mfcc import FmaMfcc
from ray_pipeline.features.key import KEYS, MAJOR, MINOR, key, pitch_classes
from ray_pipeline.features.log_mel import LogMel, spans
from ray_pipeline.features.mel_chroma import MelChroma
from ray_pipeline.features.mfcc_stats import STATISTICS, MfccStats
from ray_pipeline.features.rhythm import UNKNOWN, onset_strength, tempo
from ray_pipeline.features.spectra import HOP_LENGTH, Spectra
from ray_pipeline.features.tempo_key_loudness import TempoKeyLoudness
from ray_pipeline.sources.synth import arrange
from ray_pipeline.sources.synth.render import render

RATE = 22_050  # Hz
SINE = np.sin(2 * np.pi * 997 * np.arange(5 * RATE) / RATE).astype(np.float32)


def assert_near(found: NDArray, expected: NDArray) -> None:
    off = np.abs(found - expected) / np.maximum(np.abs(expected), 0.1)
    assert off.max() <= 1e-3


@pytest.mark.parametrize("number", range(10))
def test_mel_chroma_is_librosas(fma_clips: list[Path], number: int) -> None:
    """`chroma_stft` as it comes, its tuning estimated by itself."""
    import librosa

    clip = audio.decode(str(fma_clips[number]), Audio())
    assert isinstance(clip, Clip)
    y, _ = librosa.load(fma_clips[number], sr=RATE, duration=30)
    mel = librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=RATE))
    pitches = librosa.feature.chroma_stft(y=y, sr=RATE)
    expected = np.concatenate([mel.mean(axis=1), pitches.mean(axis=1)])
    assert_near(MelChroma()(Spectra(clip.at(RATE), RATE)), expected)


def test_fma_mfcc_is_librosas_at_the_files_own_rate(fma_clips: list[Path]) -> None:
    """And so far from the same statistics at 22,050 Hz that no rescaling would hide it."""
    import librosa
    from scipy import stats

    clip = audio.decode(str(fma_clips[0]), Audio())
    assert isinstance(clip, Clip) and clip.sample_rate == 44_100
    y, rate = librosa.load(fma_clips[0], sr=None, duration=30)
    x = librosa.feature.mfcc(y=y, sr=rate).astype(np.float64)
    how = [np.mean, np.std, stats.skew, stats.kurtosis, np.median, np.min, np.max]
    assert len(how) == len(STATISTICS)
    found = FmaMfcc()(Spectra(clip.samples, clip.sample_rate))
    assert_near(found, np.concatenate([one(x, axis=1) for one in how]))
    assert np.abs(found - MfccStats()(Spectra(clip.at(RATE), RATE))).max() > 10


@pytest.mark.parametrize(("rate", "tuning"), [(22_050, 0.0), (22_050, -0.37), (44_100, 0.21), (8000, 0.5)])
def test_chroma_filters_are_librosas(rate: int, tuning: float) -> None:
    import librosa

    expected = librosa.filters.chroma(sr=rate, n_fft=2048, tuning=tuning)
    np.testing.assert_allclose(chroma.filters(rate, 2048, tuning), expected.T, atol=1e-6)


@pytest.mark.parametrize("rate", [2000, 8000, 22_050, 96_000])
def test_tuning_is_librosas_at_any_rate(rate: int) -> None:
    import librosa

    t = np.arange(2 * rate) / rate
    notes = np.array([220.0 * 2 ** ((semitones + 0.23) / 12) for semitones in (0, 4, 7, 12)])
    spectra = Spectra(np.sin(2 * np.pi * notes[:, None] * t).sum(axis=0).astype(np.float32), rate)
    assert spectra.tuning == librosa.estimate_tuning(S=spectra.power.T, sr=rate)


def test_spans_are_means_of_equal_spans() -> None:
    frames = np.random.default_rng(0).normal(size=(640, 3)).astype(np.float32)
    np.testing.assert_allclose(spans(frames, 64), frames.reshape(64, 10, 3).mean(axis=1), atol=1e-5)


@pytest.mark.parametrize("n_frames", [1, 7, 63, 65, 1292])
def test_spans_keep_the_mean_and_the_order(n_frames: int) -> None:
    frames = np.linspace(0, 1, n_frames, dtype=np.float32)[:, None]
    found = spans(frames, 64)
    assert found.mean() == pytest.approx(frames.mean(), abs=1e-6)
    assert (np.diff(found[:, 0]) >= -1e-9).all()


def test_log_mel_has_time_first_and_low_bands_first() -> None:
    """A low tone, then a high one; frequencies under 1 kHz fill the first 42 of 128 bands."""
    t = np.arange(10 * RATE) / RATE
    picture = LogMel()(Spectra(np.sin(2 * np.pi * np.where(t < 5, 200, 4000) * t).astype(np.float32), RATE))
    loudest = picture.argmax(axis=1)
    assert set(loudest[1:31]) < set(range(20))
    assert set(loudest[33:63]) < set(range(60, 128))


def clicks(bpm: float, seconds: float = 20.0) -> NDArray[np.float32]:
    """A short burst of noise on every beat."""
    rng = np.random.default_rng(0)
    y = rng.normal(0, 1e-3, int(seconds * RATE))
    for start in np.arange(0.2, seconds - 0.1, 60 / bpm):
        at = int(start * RATE)
        y[at : at + 1000] += rng.normal(0, 0.3, 1000) * np.linspace(1, 0, 1000)
    return y.astype(np.float32)


def tempo_of(samples: NDArray[np.float32]) -> float:
    return tempo(onset_strength(Spectra(samples, RATE).mel_db), RATE / HOP_LENGTH)


@pytest.mark.parametrize("bpm", [72, 90, 101.5, 120, 133, 160])
def test_tempo_of_clicks(bpm: float) -> None:
    assert tempo_of(clicks(bpm)) == pytest.approx(bpm, rel=0.01)


def test_tempo_of_what_has_none() -> None:
    assert tempo_of(np.zeros(RATE, np.float32)) == UNKNOWN


@pytest.mark.parametrize(
    ("chords", "tonic", "mode"),
    [
        (((0, 4, 7), (5, 9, 0), (7, 11, 2), (0, 4, 7)), "C", MAJOR),
        (((9, 0, 4), (2, 5, 9), (4, 8, 11), (9, 0, 4)), "A", MINOR),
        (((6, 10, 1), (11, 3, 6), (1, 5, 8), (6, 10, 1)), "F#", MAJOR),
    ],
)
@pytest.mark.parametrize("sharp", [0.0, 0.3])
def test_key_of_a_cadence(chords: tuple[tuple[int, ...], ...], tonic: str, mode: int, sharp: float) -> None:
    """Notes with six overtones, in tune or 30 cents sharp."""
    t = np.arange(RATE) / RATE
    harmonics = np.arange(1, 7)[:, None]
    sound = []
    for chord in chords:
        notes = [261.63 * 2 ** ((note + sharp) / 12) for note in chord]
        sound += [sum((np.sin(2 * np.pi * harmonics * hz * t) / harmonics).sum(axis=0) for hz in notes)]
    spectra = Spectra(np.concatenate(sound).astype(np.float32) / 10, RATE)
    found = key(pitch_classes(spectra.power, RATE, spectra.tuning))
    assert (KEYS[found[0]], found[1]) == (tonic, mode)


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_loudness_of_the_standards_own_tone(rate: int) -> None:
    """BS.1770: 997 Hz at full scale in one channel reads -3.01 LUFS; 20 dB less, 20 LU less."""
    sine = np.sin(2 * np.pi * 997 * np.arange(5 * rate) / rate).astype(np.float32)
    assert loudness.integrated(sine, rate) == pytest.approx(-3.01, abs=0.05)
    assert loudness.integrated(sine / 10, rate) == pytest.approx(-23.01, abs=0.05)


def test_pauses_do_not_make_music_softer() -> None:
    with_pause = np.concatenate([SINE, np.zeros(10 * RATE, np.float32)])
    assert loudness.integrated(with_pause, RATE) == pytest.approx(-3.01, abs=0.4)
    assert loudness.integrated(np.zeros(RATE, np.float32), RATE) == loudness.ABSOLUTE_GATE


def test_k_weighting_is_the_standards_table() -> None:
    first, second = loudness.k_weighting(48_000)
    np.testing.assert_allclose(first[:3], [1.53512485958697, -2.69169618940638, 1.19839281085285], atol=1e-9)
    np.testing.assert_allclose(first[3:], [1, -1.69065929318241, 0.73248077421585], atol=1e-9)
    np.testing.assert_allclose(second[3:], [1, -1.99004745483398, 0.99007225036621], atol=1e-9)


def test_tempo_and_key_of_made_up_music() -> None:
    """Of twelve tracks two thirds: the tempo to 3 % but for octaves, the tonic exactly. By chance one tonic were right."""
    tempos = tonics = 0
    for style in ("synthwave", "electro", "dub", "jazz", "shanty", "chiptune"):
        for index in range(2):
            samples, rate = render(style, index, 0, 0)
            plan = arrange.plan(style, index, 0)
            mono = samples if samples.ndim == 1 else samples.mean(axis=1)
            beats, tonic, _, lufs = TempoKeyLoudness()(Spectra(mono.astype(np.float32), rate))
            tempos += min(abs(beats / plan.tempo / octave - 1) for octave in (0.5, 1, 2)) < 0.03
            tonics += tonic == plan.tonic % 12
            assert -23 < lufs < -15  # rendered to -18 dBFS
    assert tempos >= 8 and tonics >= 8


def test_no_feature_has_numba_compile(tmp_path: Path) -> None:
    """librosa's own functions would, for half a minute in every new worker; what is compiled is cached here."""
    code = f"""
import numpy as np
from ray_pipeline import shelf
from ray_pipeline.features.spectra import Spectra
spectra = Spectra(np.random.default_rng(0).normal(size=22050).astype(np.float32), 22050)
for name in {list(FEATURES)!r}:
    shelf.part("feature", name)()(spectra)
"""
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)})
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("views", [[], ["mfcc_stats", "fma_mfcc"]])
def test_the_two_sets_of_statistics_are_never_joined(views: list[str], tmp_path: Path) -> None:
    """No views named means all features there are."""

    def needed(*views: str) -> tuple[str, ...]:
        sections = {"features": ["mfcc", "mfcc_stats", "fma_mfcc"], "fusion": {"kind": "none", "views": views}}
        return experiment.views_needed(make_config(tmp_path, source={"kind": "folder", "root": "/"}, **sections))

    with pytest.raises(ConfigError, match=r"fma_mfcc and mfcc_stats .* name one of them"):
        needed(*views)
    assert needed("mfcc", "fma_mfcc") == ("mfcc", "fma_mfcc")
