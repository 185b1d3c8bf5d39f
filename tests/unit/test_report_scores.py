"""How the report reads scores whose table has no column for chance, rows with a mark, and a null that never varies."""

from __future__ import annotations

from typing import Any

import pytest

from ray_pipeline.metrics import METRICS as SHELF
from ray_pipeline.metrics import shelf_name
from ray_pipeline.report.data import ReportData
from ray_pipeline.report.html import render
from ray_pipeline.report.scores import scores
from ray_pipeline.report.words import MARKS, METRICS
from ray_pipeline.schemas import SCORES


def row(metric: str, value: float, seed: int = 0, **known: Any) -> dict[str, Any]:
    return {**dict.fromkeys(SCORES.names), "metric": metric, "value": value, "seed": seed, "note": "", **known}


@pytest.mark.parametrize(
    ("value", "null", "sd", "lift", "verdict"),
    [
        (1.0, 1.0, 0.0, 0.0, "what structureless data scores"),
        (1.0, 0.4, 0.0, 0.6, "above structureless data"),
        (0.1, 0.4, 0.0, -0.3, "worse than structureless data"),
        (1.0, 0.4, None, 0.6, "no null to compare with"),
    ],
)
def test_a_null_that_never_varies_still_judges(
    value: float, null: float, sd: float | None, lift: float, verdict: str
) -> None:
    (found,) = scores([row("stability", value, null_mean=null, null_sd=sd, lift=lift, p=0.05)])
    assert found.verdict == verdict


def test_a_row_without_a_column_for_chance_tells_it_in_a_note() -> None:
    found = scores(
        [
            row("mig", 0.31, chance=0.012, p=0.001, note="chance: factors shuffled; tempo 0.31"),
            row("artist_share", 0.2, chance=0.21, p=0.6),
            row("active_units", 3.0),
        ]
    )
    notes = {score.name: score.notes for score in found}
    assert notes["mig"][0] == "above chance, which scores 0.012 (p = 0.001)" and "tempo 0.31" in notes["mig"]
    assert notes["artist_share"] == ["at chance, which scores 0.210 (p = 0.600)"]
    assert notes["active_units"] == []


def test_marked_rows_stand_after_their_own_and_say_what_is_other() -> None:
    found = scores(
        [row("purity", 0.5), row("ami@artists", 0.1, p=0.3), row("ami", 0.4, p=0.001), row("mig@rotated", 0.1)]
    )
    assert [score.name for score in found] == ["ami", "ami@artists", "purity", "mig@rotated"]
    assert found[1].metric.sentence == MARKS["artists"] and found[3].metric.sentence == MARKS["rotated"]
    assert found[1].verdict == "at chance" and found[0].metric.sentence == METRICS["ami"].sentence


def test_the_page_shows_every_metric_of_the_shelf() -> None:
    rows = [row(name, 0.1, chance=0.0, null_mean=0.0, null_sd=0.1, z=1.0, lift=0.1, p=0.5) for name in SHELF]
    page = render(ReportData(title="t", made_at="now", store="s", experiment_id="e", scores=rows, label_name="genre"))
    assert [name for name in SHELF if METRICS[shelf_name(name)].label.split(" (")[0] not in page] == []


def test_seeds_with_nothing_to_score_are_no_better_for_the_others() -> None:
    good = {"null_mean": 0.2, "null_sd": 0.01, "lift": 0.1, "z": 6.0, "p": 0.05, "n_null": 20}
    (found,) = scores([row("silhouette", 0.3, 0, **good), row("silhouette", -1.0, 1), row("silhouette", -1.0, 2)])
    assert found.verdict == "with 2 of 3 seeds no clusters to score" and found.tone == "bad"
    assert (found.lift, found.z, found.p) == (None, None, None)


def test_the_verdict_is_that_of_the_worst_seed() -> None:
    of = {"null_mean": 0.2, "null_sd": 0.01, "lift": 0.1, "p": 0.05, "n_null": 20}
    rows = [row("silhouette", 0.3, seed, z=z, **of) for seed, z in enumerate((6.0, 6.0, 0.1))]
    assert scores(rows)[0].verdict == "what structureless data scores"
    assert scores(rows[:2])[0].verdict == "above structureless data"


def test_few_draws_tell_nothing() -> None:
    of = {"chance": 0.0, "lift": 0.2, "z": 9.0}
    (found,) = scores([row("silhouette_input", 0.2, p=1 / 6, n_null=5, **of)])
    assert found.verdict == "5 draws are too few to tell from chance" and found.tone == "plain"
    assert scores([row("silhouette_input", 0.2, p=1 / 20, n_null=19, **of)])[0].verdict == "better than chance"
