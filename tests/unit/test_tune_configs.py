"""The configs that come with the package: each is one, and those that search make the trials that they say they make."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from ray_pipeline import experiment, shelf
from ray_pipeline.audit.settings import NO_LYRICS, possible, settings
from ray_pipeline.audit.study import ROWS
from ray_pipeline.cli.main import app
from ray_pipeline.collection import Collection
from ray_pipeline.config import Config, check, load
from ray_pipeline.errors import RayPipelineError
from ray_pipeline.fusion import FUSIONS, LYRICS
from ray_pipeline.models import MODELS
from ray_pipeline.needs import views_needed
from ray_pipeline.sweep import config_of, trials
from ray_pipeline.sweep.objective import check_objectives, uses_labels

FOLDER = Path(__file__).parents[2] / "tune_configs"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))
TRIALS = {"beta.yaml": 32, "demo.yaml": 6, "fma_full.yaml": 60, "fusion.yaml": 81, "latent.yaml": 21, "paper.yaml": 17}


def made(name: str) -> tuple[Config, list[Config]]:
    """A file's config, and those of its trials."""
    config = load(FOLDER / name)
    return config, [config_of(config, trial.point) for trial in trials(config)] if config.tune else []


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_a_config_whose_views_are_there(name: str) -> None:
    config, of_trials = made(name)
    for one in (config, *of_trials):
        assert views_needed(one)
    assert len(of_trials) == TRIALS.get(name, 0)


@pytest.mark.parametrize("name", sorted(TRIALS))
def test_no_file_optimises_labels_unasked(name: str) -> None:
    config = load(FOLDER / name)
    assert config.tune is not None
    check_objectives(config.tune.objective, config.scoring)
    assert not uses_labels(config.tune.objective, config.scoring)


def test_beta_crosses_the_whole_range_with_the_latent_size() -> None:
    _, of_trials = made("beta.yaml")
    points = {(one.model.beta, one.model.latent_dim) for one in of_trials}  # type: ignore[attr-defined]
    betas, latents = ({point[at] for point in points} for at in (0, 1))
    assert len(points) == len(betas) * len(latents)
    assert (min(betas), max(betas), min(latents), max(latents)) == (0.05, 8, 2, 64)


def parts(config: Config) -> str:
    """What tells one of the study's experiments from another."""
    plain = config.plain()
    return json.dumps([plain[name] for name in ("fusion", "model", "clusterer")], sort_keys=True)


def test_paper_has_every_row_of_the_study_that_a_config_can_say() -> None:
    config, of_trials = made("paper.yaml")
    config = config.model_copy(update={"tune": None})
    rows = {parts(settings(row, config)) for row in ROWS if not row.zero_fill}
    assert {parts(one) for one in of_trials} == rows


def test_the_audit_of_fma_can_run_every_row_of_the_study_that_needs_no_lyrics() -> None:
    config, _ = made("fma.yaml")
    said = {(row.table, row.name): possible(row, config, n_with_words=0, n_with_label=1) for row in ROWS}
    assert said["Table 1", "Beta-VAE"] == "", "the headline"
    assert set(said.values()) == {"", NO_LYRICS}


def tracks(n: int = 16) -> Collection:
    """A small collection with every view that fusions read by default, words for half of the tracks, and labels."""
    rng = np.random.default_rng(0)
    shapes = {"mfcc": (20,), "mfcc_stats": (140,), "log_mel": (16, 32), LYRICS: (24,)}
    views = {name: rng.normal(size=(n, *shape)).astype(np.float32) for name, shape in shapes.items()}
    masks = {name: np.ones(n, np.bool_) for name in views}
    masks[LYRICS][::2] = False
    labels: list[str | None] = ["ab"[at % 2] for at in range(n)]
    return Collection(
        [str(at) for at in range(n)], [str(at) for at in range(n)], views, masks, labels, "collection", labels
    )


def of_rows(collection: Collection, keep: Any) -> Collection:
    rows = np.flatnonzero(keep)
    return Collection(
        [collection.track_ids[at] for at in rows],
        [collection.contents[at] for at in rows],
        {name: view[rows] for name, view in collection.views.items()},
        {name: mask[rows] for name, mask in collection.masks.items()},
        [collection.labels[at] for at in rows],
        collection.label,
        [collection.condition[at] for at in rows],
    )


def can_be_combined(base: Config, point: dict[str, Any]) -> bool:
    """Whether one epoch of it can be trained on a small collection."""
    small = base.plain() | {"tune": None, "training": {"epochs": 1, "num_workers": 0}}
    whole = tracks()
    try:
        config = config_of(check(small), point)
        views_needed(config)
        if LYRICS in experiment.views_required(config):
            whole = of_rows(whole, whole.masks[LYRICS])
        experiment.fit(whole, config, 0)
    except RayPipelineError:
        return False
    return True


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Models of a few tracks are trained many times faster by one thread than by several that wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("fusion", sorted(FUSIONS))
def test_fusion_has_every_model_that_each_fusion_can_serve_and_no_other(fusion: str) -> None:
    config = load(FOLDER / "fusion.yaml")
    assert config.tune is not None
    listed = {str(point["model.kind"]): dict(point) for point in config.tune.together if point["fusion.kind"] == fusion}
    for kind in sorted(MODELS):
        point = listed.get(kind, {"fusion.kind": fusion, "model.kind": kind} | told(kind))
        assert can_be_combined(config, point) == (kind in listed), kind


def told(kind: str) -> dict[str, Any]:
    """What a model cannot do without."""
    field = shelf.params_of("model", kind).model_fields.get("condition")
    return {"model.condition": {"label": "collection"}} if field is not None and field.is_required() else {}


def told_commands() -> list[tuple[str, str]]:
    """(file, command) of every `ray-pipeline …` line in the comments of the configs."""
    return [
        (name, line.removeprefix("#").strip())
        for name in FILES
        for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()
        if line.startswith("#") and line.removeprefix("#").strip().startswith("ray-pipeline ")
    ]


@pytest.mark.parametrize(("name", "line"), told_commands())
def test_commands_in_comments_are_commands(name: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER.parent)
    words = shlex.split(line.partition(">")[0])[1:]
    group: Any = typer.main.get_command(app)
    with group.make_context("ray-pipeline", words) as whole:
        command, _, rest = group.resolve_command(whole, words)
        with group.commands[command].make_context(command, rest, parent=whole) as told:
            config = told.params.get("config")
            if config is not None and Path(config).is_file():
                load(config, told.params["sets"])


def test_commands_stand_in_lines_of_their_own_where_they_are_checked() -> None:
    assert len(told_commands()) >= 12
    for name in FILES:
        for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
            before, mark, after = line.partition("#")
            assert not (before.strip() and mark and "ray-pipeline " in after), f"{name}: {line}"
