"""Experiments of a bench: each runs once, is kept as it comes, and is read where it is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configs import make_config

from ray_pipeline.collection import Collection


def run(collection: Collection, config: Any, seed: int) -> dict[str, Any]:
    """Stands for an experiment; one of seed 13 fails."""
    if seed == 13:
        raise ValueError("this one fails")
    return {"n": len(collection), "seed": seed, "model": config.model.kind}


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
    import kept

    return kept


@pytest.fixture
def job(kept: Any, tmp_path: Path) -> Any:
    """`job(seed)`: k-means on ten tracks; nothing of it is trained."""
    ids = [str(i) for i in range(10)]
    x = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    collection = Collection(ids, ids, {"a": x}, {"a": np.ones(10, np.bool_)}, [], None)
    source, fusion = {"kind": "folder", "root": "/"}, {"kind": "audio", "view": "a"}

    def make(seed: int, kind: str = "raw") -> Any:
        config = make_config(tmp_path, source=source, fusion=fusion, model={"kind": kind}).plain()
        return kept.Job(kind, collection, config, seed)

    return make


def test_outcomes_come_in_the_order_of_jobs_and_alike_run_once(kept: Any, job: Any, tmp_path: Path, capfd: Any) -> None:
    found = kept.outcomes([job(2), job(1), job(2), job(1, "pca")], run, tmp_path / "kept", 1)
    assert [(one["seed"], one["model"]) for one in found] == [(2, "raw"), (1, "raw"), (2, "raw"), (1, "pca")]
    assert "3 of 4 experiments to run" in capfd.readouterr().out
    assert len(list((tmp_path / "kept").glob("*.json"))) == 3


def test_what_is_kept_is_read_and_not_run(kept: Any, job: Any, tmp_path: Path, capfd: Any) -> None:
    one = job(13)
    (tmp_path / f"{one.key}.json").write_text(json.dumps({"seed": "kept"}), encoding="utf-8")
    assert kept.outcomes([one], run, tmp_path, 1) == [{"seed": "kept"}]
    assert capfd.readouterr().out == ""


def test_what_finished_before_a_failure_is_kept(kept: Any, job: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="this one fails"):
        kept.outcomes([job(1), job(13)], run, tmp_path, 1)
    assert (tmp_path / f"{job(1).key}.json").exists() and not (tmp_path / f"{job(13).key}.json").exists()
    assert not list(tmp_path.glob("*.tmp"))
