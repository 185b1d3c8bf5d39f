"""A config that is right: what is read as what, what is left out, what --set changes. What is wrong is row 25 of bad inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ray_pipeline.config import Config, check, load

GOOD = "source: {kind: folder, root: /music}\n"
CONFIGS = sorted((Path(__file__).parents[2] / "tune_configs").glob("*.yaml"))


def read(tmp_path: Path, text: str, *overrides: str) -> Config:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, overrides)


def test_defaults_are_the_studys(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD)
    assert (config.audio.sample_rate, config.audio.max_seconds) == (22050, 30.0)
    assert (config.training.epochs, config.training.batch_size, config.training.learning_rate) == (100, 256, 1e-3)
    assert config.max_bad_fraction == 0.2


@pytest.mark.parametrize(
    ("text", "section", "key", "value"),
    [
        ("training: {learning_rate: 1e-3}", "training", "learning_rate", 0.001),
        ("training: {epochs: 1e2}", "training", "epochs", 100),
        ("training: {use_gpu: true}", "training", "use_gpu", True),
        ("audio: {position: 12.5}", "audio", "position", 12.5),
        ("audio: {position: middle}", "audio", "position", "middle"),
        ("scoring: {label: no}", "scoring", "label", "no"),
        ("scoring: {label: '5'}", "scoring", "label", "5"),
        ("scoring: {label: null}", "scoring", "label", None),
        ("audio:", "audio", "max_seconds", 30.0),
        ("resources: {workers: 1_0}", "resources", "workers", 10),
    ],
)
def test_values_are_read_as_people_write_them(tmp_path: Path, text: str, section: str, key: str, value: Any) -> None:
    found = getattr(getattr(read(tmp_path, GOOD + text + "\n"), section), key)
    assert (found, type(found)) == (value, type(value))


def test_byte_order_mark_and_line_ends_of_windows(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeff" + GOOD.replace("\n", "\r\n") + "seed: 5\r\n").seed == 5


def test_weights_that_are_there_are_named_by_their_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers start in other folders."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("base", "models/minilm"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "own.pt").write_bytes(b"")
    found = [read(tmp_path, GOOD, f"lyrics.model={name}").lyrics.model for name in ("own.pt", "~/own.pt", "base")]
    assert found == [str(tmp_path / "own.pt"), str(tmp_path / "own.pt"), "base"]
    texts = ("models/minilm", "sentence-transformers/all-MiniLM-L6-v2", "s3://bucket/minilm")
    assert [read(tmp_path, GOOD, f"text.model={name}").text.model for name in texts] == [
        str(tmp_path / "models/minilm"), *texts[1:]
    ]  # fmt: skip


def test_store_is_absolute_and_home_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir(tmp_path)
    assert read(tmp_path, GOOD + "store: ~/out").store == "/home/me/out"
    assert read(tmp_path, GOOD + "store: out").store == str(tmp_path / "out")


def test_set_changes_and_adds(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD + "seed: 1\n", "seed=2", "audio.position=start", "features=[mfcc]", "seed=3")
    assert (config.seed, config.audio.position, config.features) == (3, "start", ("mfcc",))


def test_set_of_another_kind_drops_the_former_kinds_own_keys(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD + "model: {kind: beta, beta: 4, latent_dim: 8}\n", "model.kind=vae")
    assert (config.model.kind, config.model.latent_dim) == ("vae", 8)  # type: ignore[attr-defined]


def test_config_cannot_be_changed(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD)
    with pytest.raises(ValidationError):
        config.seed = 5  # type: ignore[misc]
    with pytest.raises(ValidationError):
        config.audio.sample_rate = 5  # type: ignore[misc]


def test_plain_reads_back_as_the_same_config(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD + "model: {kind: beta, beta: 2}\naudio: {position: 3}\n")
    assert check(config.plain()) == config


@pytest.mark.parametrize("path", CONFIGS, ids=[path.name for path in CONFIGS])
def test_configs_that_come_with_it_are_right(path: Path) -> None:
    assert isinstance(load(path), Config)
