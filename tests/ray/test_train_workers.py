"""Several Ray Train workers: the model they make, what of it lies in the store, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outcome import done, rows
from ready_to_train import N_GROUPS, epochs_run, make_store, models
from small_job import runs_in

from ray_pipeline.errors import ResourceError, TrainingError

pytestmark = [pytest.mark.ray, pytest.mark.slow]

N = 300
TRAINING = {"epochs": 40, "batch_size": 64}
VAE = {"model": {"kind": "vae", "latent_dim": 3, "hidden": [16]}}
SEEDS = 5


def last_losses(folder: Path) -> list[float]:
    return [history[-1]["loss"] for _, history in models(folder).values()]


def clusters(ctx: Any) -> list[np.ndarray]:
    """The groups that k-means sees in the latents of each model, of the tracks in order of their ids."""
    from sklearn.cluster import KMeans

    tables = [ctx.store.at(address).read().sort_by("track_id") for address in ctx.run.tables["latents"]]
    mus = [np.array(table["mu"].to_pylist()) for table in tables]
    return [KMeans(N_GROUPS, n_init=10, random_state=0).fit_predict(mu) for mu in mus]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """One worker, `SEEDS` seeds, trained in this process."""
    folder = tmp_path_factory.mktemp("alone")
    make_store(folder, N)
    ctx = runs_in(folder)("train", **VAE, training=TRAINING | {"num_workers": 0}, scoring={"seeds": SEEDS})
    return folder, ctx


@pytest.fixture(scope="module")
def together(ray_session: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Two workers under Ray Train, with the first of those seeds."""
    folder = tmp_path_factory.mktemp("together")
    make_store(folder, N)
    return folder, runs_in(folder)("train", **VAE, training=TRAINING | {"num_workers": 2})


def test_loss_of_two_lies_within_the_spread_of_seeds(alone: tuple[Path, Any], together: tuple[Path, Any]) -> None:
    of_seeds = last_losses(alone[0])
    (of_two,) = last_losses(together[0])
    assert len(of_seeds) == SEEDS
    spread = np.std(of_seeds, ddof=1)
    assert abs(of_two - np.mean(of_seeds)) <= 3 * spread
    first = [history[0]["loss"] for _, history in models(alone[0]).values()]
    assert np.mean(first) - np.mean(of_seeds) > 6 * spread, "the spread is small beside what training does"


def test_clusters_of_two_agree_as_well_as_those_of_seeds_do(
    alone: tuple[Path, Any], together: tuple[Path, Any]
) -> None:
    from sklearn.metrics import adjusted_rand_score

    of_seeds, (of_two,) = clusters(alone[1]), clusters(together[1])

    def with_others(mine: np.ndarray) -> float:
        return float(np.mean([adjusted_rand_score(mine, other) for other in of_seeds if other is not mine]))

    assert with_others(of_two) >= min(map(with_others, of_seeds))
    assert with_others(of_two) > with_others(np.random.default_rng(0).permutation(of_two)) + 0.3


def test_two_leave_the_rows_and_files_of_one(alone: tuple[Path, Any], together: tuple[Path, Any]) -> None:
    (name, (weights, history)), *_ = models(together[0]).items()
    assert name in models(alone[0]), "how many trained it is no part of a model's name"
    assert [epoch["epoch"] for epoch in history] == list(range(1, TRAINING["epochs"] + 1))
    assert set(weights) == {"model.safetensors", "fusion.safetensors"}
    assert weights["fusion.safetensors"] == models(alone[0])[name][0]["fusion.safetensors"]
    assert [row["track_id"] for row in rows(together[1], "latents")] == [f"t{i:04d}" for i in range(N)]
    assert done(together[1]) == {"train": 1}
    assert [len(epochs) for epochs in epochs_run(together[0]).values()] == [TRAINING["epochs"]], "one rank tells"


def test_more_workers_than_there_is_room_for_are_refused_at_once(ray_session: Any, together: tuple[Path, Any]) -> None:
    with pytest.raises(ResourceError, match=r"training\.num_workers is 3, and this Ray has CPUs for 2") as told:
        runs_in(together[0])("train", **VAE, training={"epochs": 3, "num_workers": 3})
    assert told.value.hint.startswith("set training.num_workers to 2 or less")


def test_what_cannot_be_trained_is_told_and_not_tried_again(ray_session: Any, tmp_path: Path) -> None:
    make_store(tmp_path, 1)
    with pytest.raises(TrainingError, match="1 tracks with features are too few to cluster") as told:
        runs_in(tmp_path)("train", **VAE, training={"epochs": 3, "num_workers": 1})
    assert "ray-pipeline status" in told.value.hint
    assert models(tmp_path) == {}
