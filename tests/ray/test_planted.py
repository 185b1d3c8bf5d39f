"""A pickle that somebody put into a store is never loaded, wherever it lies and whatever it is called."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from small_job import Run, config_file
from sweeps import OPEN, run_sweep, write_store
from typer.testing import CliRunner

from ray_pipeline import open_store
from ray_pipeline.cli.main import app
from ray_pipeline.errors import RayPipelineError
from ray_pipeline.stages import sweep_again

sys.path.append(str(Path(__file__).parents[1] / "badinput"))

from bomb import Bomb

pytestmark = pytest.mark.ray

# As joblib, torch, Ray Tune, Ray Train and others call theirs.
NAMES = ["model.pkl", "model.pt", "pytorch_model.bin", "checkpoint", ".is_checkpoint", "tuner.pkl", "params.pkl", "card.pickle",
         "searcher-state-0.pkl", "search_gen_state-0.json", "scheduler-state-0.pkl", "experiment_state-0.json",
         "checkpoint_manager_snapshot.json", "trainer.pkl", "model.joblib", "0.npy", "0.npz"]  # fmt: skip
KEPT = (".lance", ".wav")  # Lance's own files hold no pickle, and damage in them is another test's


@pytest.fixture
def bomb(tmp_path: Path) -> Iterator[Bomb]:
    bomb = Bomb(tmp_path / "went off")
    yield bomb
    bomb.assert_it_did_not_go_off()


def read_all(folder: Path) -> None:
    """Every command that reads a store; what it says of it is nothing to this test."""
    store = str(folder / "store")
    for words in (
        ["status"],
        ["verify"],
        ["report"],
        ["best"],
        ["export", "--to", str(folder / "out")],
        ["prune", "--yes"],
    ):
        CliRunner().invoke(app, [words[0], store, *words[1:]])
    CliRunner().invoke(app, ["run", str(config_file(folder)), "--dry-run"])


def folders(store: Path) -> list[Path]:
    return [path for path in store.rglob("*") if path.is_dir() and not any(".lance" in part for part in path.parts)]


def test_pickles_beside_everything(first: Any, folder: Path, run: Run, bomb: Bomb) -> None:
    store = folder / "store"
    for name in ("tune/sweep/trial", "cache/fused", "scratch/train-0/fit", "models/none", "leases"):
        (store / name).mkdir(parents=True, exist_ok=True)
    planted = [place / name for place in (store, *folders(store)) for name in NAMES]
    for path in planted:
        path.write_bytes(pickle.dumps(bomb))
    assert len(planted) > 100
    run()
    run(model={"kind": "raw"})
    run(features=["mfcc", "mfcc_stats"], training={"epochs": 2, "num_workers": 0}, model={"kind": "vae", "hidden": [8]})
    read_all(folder)


def test_pickles_in_place_of_everything(first: Any, folder: Path, run: Run, bomb: Bomb) -> None:
    """All that is not a table: cards, weights, records of runs, what a clusterer said."""
    files = [
        path
        for path in (folder / "store").rglob("*")
        if path.is_file() and not any(part.endswith(KEPT) for part in path.parts)
    ]
    assert {"card.json", "clustering.json"} <= {path.name for path in files}
    for path in files:
        path.write_bytes(pickle.dumps(bomb))
    read_all(folder)
    with suppress(RayPipelineError):
        run()
    with suppress(RayPipelineError):
        run(model={"kind": "raw"})


def test_pickles_beside_a_sweep_that_goes_on(ray_session: Any, tmp_path: Path, bomb: Bomb) -> None:
    """Ray Tune restores what it finds in its folder; a sweep goes on by its table alone."""
    write_store(tmp_path)
    drawn = {"model.beta": {"uniform": [0.1, 4]}, **OPEN}
    _, found = run_sweep(tmp_path, drawn | {"num_samples": 2})
    store = tmp_path / "store"
    tune = [
        store / "scratch" / f"sweep-{found.name}" / place for place in ("sweep", f"sweep/{found.rows[0]['trial_id']}")
    ]
    # A file under runs/ that is no record is refused, with its name: the sweep would not go on.
    for place in (*tune, *(one for one in folders(store) if one.name != "runs")):
        place.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            (place / name).write_bytes(pickle.dumps(bomb))
    _, longer = run_sweep(tmp_path, drawn | {"num_samples": 3})
    assert longer.name == found.name and len(longer.rows) == 3 and {row["status"] for row in longer.rows} == {"ok"}
    ctx, row = sweep_again.context_of(open_store(store), found.rows[0]["trial_id"])
    sweep_again.train_again(ctx, row)
    read_all(tmp_path)
