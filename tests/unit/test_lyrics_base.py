"""Settings, window positions, and the transcriber that hears nothing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from pydantic import ValidationError

from ray_pipeline.lyrics import TRANSCRIBERS
from ray_pipeline.lyrics.base import LyricsParams, compression_ratio, windows_of
from ray_pipeline.lyrics.none import NoLyrics, Params
from ray_pipeline.shelf import params_of, part


@pytest.mark.parametrize(
    ("duration_s", "n_windows", "starts"),
    [
        (5.0, 3, [0.0]),
        (30.0, 3, [0.0]),
        (40.0, 3, [0.0, 10.0]),
        (40.0, 1, [5.0]),
        (60.0, 2, [0.0, 30.0]),
        (90.0, 3, [0.0, 30.0, 60.0]),
        (180.0, 3, [15.0, 75.0, 135.0]),
        (200.0, 1, [85.0]),
    ],
)
def test_windows_lie_in_the_middle_of_equal_parts(duration_s: float, n_windows: int, starts: list[float]) -> None:
    assert windows_of(duration_s, n_windows) == pytest.approx(starts)


@pytest.mark.parametrize("n_windows", [1, 2, 3, 7])
def test_windows_stay_inside_the_track_and_apart(n_windows: int) -> None:
    for duration_s in np.linspace(31.0, 700.0, 50):
        starts = windows_of(float(duration_s), n_windows)
        assert len(starts) <= n_windows
        assert starts[0] >= 0.0
        assert starts[-1] + 30.0 <= duration_s + 1e-9
        if duration_s >= n_windows * 30.0:
            assert all(late - early >= 30.0 - 1e-9 for early, late in pairwise(starts))


def test_kind_is_read_from_backend_and_written_as_backend() -> None:
    params = LyricsParams.model_validate({"backend": "none", "model": "tiny"})
    assert params.kind == "none"
    assert params.model_dump(by_alias=True) == {"backend": "none", "model": "tiny", "language": "auto", "windows": 3}


@pytest.mark.parametrize("model", ["tiny.en", "/weights/base.en"])
def test_an_english_model_refuses_another_language(model: str) -> None:
    with pytest.raises(ValidationError, match="knows English only"):
        LyricsParams(model=model, language="de")


@pytest.mark.parametrize("language", ["auto", "en"])
def test_an_english_model_takes_english(language: str) -> None:
    assert LyricsParams(model="tiny.en", language=language).language == language


@pytest.mark.parametrize("bad", [{"windows": 0}, {"language": "German"}, {"model": ""}, {"temperature": 0.2}])
def test_settings_out_of_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LyricsParams.model_validate(bad)


@pytest.mark.parametrize("kind", sorted(TRANSCRIBERS))
def test_every_name_on_the_shelf_is_a_transcriber(kind: str) -> None:
    found = part("lyrics", kind)
    assert issubclass(params_of("lyrics", kind), LyricsParams)
    assert callable(found.check)
    assert callable(found.transcribe)


def test_none_hears_nothing_in_each_window() -> None:
    heard = NoLyrics(Params()).transcribe([np.zeros(16_000, dtype=np.float32)] * 2)
    assert [window.text for window in heard] == ["", ""]


def test_a_loop_compresses_and_nothing_is_zero() -> None:
    assert compression_ratio("I'm going to go. " * 20) > 5
    assert compression_ratio("Merry Christmas from Chiron Beta Prime") < 1.5
    assert compression_ratio("") == 0
