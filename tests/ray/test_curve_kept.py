"""How the number of clusters was chosen is kept: a later run that does nothing still tells it."""

from __future__ import annotations

from typing import Any

import pytest
from outcome import done

from ray_pipeline.stages.evaluate import read_clustering

pytestmark = [pytest.mark.ray, pytest.mark.slow]

AUTO = {"clusterer": {"kind": "agglomerative", "n_clusters": "auto", "k_range": [2, 3]}}


def test_curve_and_notes_outlive_a_run_that_does_nothing(run: Any, folder: Any) -> None:
    ctx = run(**AUTO)
    told = read_clustering(ctx.store, ctx.run.experiments[0])
    assert [row["k"] for row in told["curve"]] == [2, 3] and set(told["notes"]) <= set(ctx.run.notes)
    again = run(**AUTO)
    assert done(again) == {} and again.run.experiments == ctx.run.experiments
    assert again.run.notes == ctx.run.notes and any("clusters" in note for note in again.run.notes)
    assert "<h3>How many</h3>" in (folder / "store" / "report" / "index.html").read_text(encoding="utf-8")


def test_lost_record_is_made_again(run: Any, folder: Any) -> None:
    ctx = run(**AUTO)
    (folder / "store" / "experiments" / ctx.run.experiments[0] / "clustering.json").unlink()
    assert done(run(**AUTO)) == {"evaluate": 1}
    assert read_clustering(ctx.store, ctx.run.experiments[0])["curve"]
