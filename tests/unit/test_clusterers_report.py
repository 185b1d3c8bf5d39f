"""The report tells how the number of clusters was chosen."""

from __future__ import annotations

from typing import Any

from ray_pipeline.report import plots
from ray_pipeline.report.data import ReportData
from ray_pipeline.report.html import render


def curve(chosen: int | None) -> list[dict[str, Any]]:
    known = {"null_mean": 0.2, "null_sd": 0.01, "lift": 0.1, "p": 1 / 21}
    return [{"k": k, "silhouette": k / 10, "stability": 0.9, "chosen": k == chosen, **known} for k in range(2, 9)]


def page(*curves: list[dict[str, Any]]) -> str:
    html = render(ReportData(title="T", made_at="now", store="s", experiment_id="e", curves=curves))
    return " ".join(html.split())


def test_chosen_number_is_said_with_those_of_other_seeds_and_every_number_tried() -> None:
    html = page(curve(4), curve(5), curve(None))
    assert "4 clusters were chosen." in html and "With the other seeds: 5, none." in html
    assert html.count('<th scope="row">') >= 6 and "4, chosen" in html and html.count('class="null-band"') == 1


def test_no_structure_is_said() -> None:
    assert "No number of clusters was chosen: no structure was found" in page(curve(None))


def test_without_a_choice_there_is_no_section() -> None:
    assert "How many" not in page() and "How many" not in page([])


def test_curves_lie_in_their_box_and_mark_the_choice() -> None:
    silhouette, stability = plots.k_curves(curve(4), width=300, height=180)
    assert [chosen for *_, chosen in silhouette.dots].index(True) == 2
    assert all(0 <= x <= 300 and 0 <= y <= 180 for it in (silhouette, stability) for x, y, _ in it.dots)
    assert silhouette.band.endswith("Z") and not stability.band
    assert plots.k_curves(curve(4)[:1]) == []
