"""The page of a sweep: it loads nothing, says what became of every trial, and lets no value run or disguise itself."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ray_pipeline.errors import StoreError
from ray_pipeline.report.sweep_data import Results, SweepData, labels_used, of_sweep
from ray_pipeline.report.sweep_marks import scale
from ray_pipeline.report.sweep_page import render, write
from ray_pipeline.report.sweep_parallel import MAX_KNOBS, parallel
from ray_pipeline.report.sweep_scatter import against, fronts, numeric_knobs
from ray_pipeline.sweep import WORST, Sweep
from ray_pipeline.sweep.importance import Importance, importance

SECTIONS = ["Winner", "All trials", "Knobs", "Importance", "Outcomes", "How it was made"]
HOSTILE = [
    "</style></title><script>alert(1)</script>",
    '"><svg onload=alert(2)>',
    "' onmouseover='alert(3)",
    "{{ 7 * 7 }}{% raw %}",
    "<!--<script>",
    "knob\u202egpj.exe",
    "line\nbreak\r\n",
    "\x1b[31mred\x07\x00",
    "\udcff\udcfe",
    "\u2028\u2029",
]
SHARES = {"model.beta": 0.8, "model.latent_dim": 0.05}


class Page(HTMLParser):
    """Tags, attributes and text of a page, as a browser would come upon them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open, []).append(data)

    def with_class(self, *names: str) -> int:
        """How many tags have all of these classes."""
        return sum(set(names) <= set((attrs.get("class") or "").split()) for _, attrs in self.tags)

    @property
    def words(self) -> str:
        seen = (text for tag, texts in self.texts.items() if tag not in ("script", "style") for text in texts)
        return " ".join(" ".join(seen).split())


def trial(number: int, point: dict[str, Any], value: float | None = None, **changed: Any) -> dict[str, Any]:
    """A row as the table has it; without a value it is gated."""
    gated = {"status": "gated", "reason": f"rebuilds worse than PCA with two components (1{number}.5 against 10)"}
    scores = {"silhouette": 0.3, "silhouette.lift": 0.1, "silhouette.z": 5.0, "silhouette_input": 0.1, "ami": 0.2}
    known: dict[str, Any] = {
        "sweep_id": "s1",
        "trial_id": f"t{number}",
        "config": json.dumps({"model": {"kind": "beta"}, "seed": number}),
        "point": json.dumps(point),
        "seed": 0,
        "status": "ok",
        "reason": "",
        "objective": [WORST if value is None else value],
        "scores": list(scores.items()),
        "seconds": 1.5,
    }
    return {**known, **(gated if value is None else {}), **changed}


def tried(n: int = 24) -> list[dict[str, Any]]:
    """β by latent size; the largest β are gated, and the objective falls with β."""
    betas, latents = (0.05, 0.25, 1.0, 4.0, 8.0), (2, 8, 32)
    out = []
    for number in range(n):
        beta, latent = betas[number % 5], latents[number // 5 % 3]
        value = None if beta > 4 else 0.1 - 0.01 * beta + 1e-4 * latent + 1e-6 * number
        out.append(trial(number, {"model.beta": beta, "model.latent_dim": latent}, value))
    return out


def swept(**changed: Any) -> SweepData:
    known: dict[str, Any] = {
        "sweep_id": "s1",
        "made_at": "2025-01-01T00:00:00Z",
        "store": "./store",
        "objective": ["silhouette_input"],
        "trials": tried(),
        "config": {"tune": {"model.beta": {"grid": [1, 4]}}},
        "versions": {"ray": "2.60.0"},
        "seconds": 61.0,
        "notes": ["2 of 24 trials were done before"],
        "importance": [Importance("silhouette_input", 19, SHARES, dict.fromkeys(SHARES, 0.1))],
    }
    return SweepData(**{**known, **changed})


def two_objectives() -> SweepData:
    values = [(0.1, 0.9), (0.5, 0.5), (0.9, 0.1), (0.2, 0.2), (0.5, 0.4)]
    rows = [trial(at, {"model.beta": at + 1.0}, 0.0, objective=list(pair)) for at, pair in enumerate(values)]
    return swept(objective=["silhouette_input", "stability"], trials=rows)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(swept()))


def headings(page: Page) -> list[str]:
    return [text for text in page.texts["h2"] if text.strip()]


def test_every_section_is_there(page: Page) -> None:
    assert headings(page) == SECTIONS


def test_nothing_is_loaded_and_nothing_runs() -> None:
    html = render(swept())
    for tag, attributes in Page(html).tags:
        assert tag not in {"script", "iframe", "object", "embed", "base", "img", "form"}
        assert not {"src", "srcset", "action", "data", "xlink:href", "style"} & attributes.keys(), tag
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#") or attributes["href"] == "data:,"
    assert not re.search(r"@import|url\(|https?://", html)


def test_the_policy_admits_only_the_pages_own_style() -> None:
    html = render(swept())
    policies = [a["content"] for t, a in Page(html).tags if t == "meta" and a.get("http-equiv")]
    (inside,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
    wanted = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    assert policies == [wanted]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_values_are_inert_everywhere(text: str) -> None:
    rows = [
        trial(0, {text: 1, "kind": text}, 0.5, trial_id=text, config={text: text}, scores={text: 0.5, f"{text}.lift": 0.1}),
        trial(1, {text: 2, "kind": [text, {text: text}]}, 0.4, objective=[0.4]),
        trial(2, {text: 3}, trial_id=text, status=text, reason=text),
    ]  # fmt: skip
    html = render(
        swept(
            sweep_id=text, made_at=text, store=text, objective=[text], trials=rows, config={text: [text]}, notes=[text],
            versions={text: text},
            importance=[Importance(text, 3, {text: 0.5}, {text: 0.1}), Importance(text, 3, note=text)],
        )
    )  # fmt: skip
    html.encode("utf-8")
    seen = Page(html)
    assert {tag for tag, _ in seen.tags} <= {tag for tag, _ in Page(render(swept())).tags}
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\u2028\u2029]", html)


def test_no_trials_are_said_to_be_none() -> None:
    page = Page(render(swept(trials=[], importance=importance([], [], ["silhouette_input"], 0))))
    assert headings(page) == SECTIONS
    assert "No trial has ended yet." in page.words and "There are no trials." in page.words
    assert page.with_class("trial") == 0


def test_one_trial_wins_and_is_compared_with_nothing() -> None:
    rows = [trial(0, {"model.beta": 4}, 0.25)]
    page = Page(
        render(swept(trials=rows, importance=importance([{"model.beta": 4}], [[0.25]], ["silhouette_input"], 0)))
    )
    assert "1 trial over 0 knobs: 1 ok." in page.words and "has 0.250, at model.beta 4." in page.words
    assert "nothing to compare" in page.words and "1 trials passed; telling needs 10" in page.words


def test_all_gated_has_no_winner_and_says_why() -> None:
    rows = [trial(number, {"model.beta": number}) for number in range(6)]
    page = Page(render(swept(trials=rows)))
    assert "not one of 6 trials has a score (6 gated)" in page.words
    assert "nothing won" in page.words
    assert page.with_class("trial", "off") == 6 + 1  # and the key's


def test_every_trial_is_a_line_and_the_winner_lies_on_top() -> None:
    drawn = parallel(Results(swept()))
    assert drawn is not None
    looks = [line.look for line in drawn.lines]
    assert len(looks) == 24 + 1 and looks[-1] == "best" and looks[-2] == "q6"
    assert looks[:4] == ["off"] * 4 and looks[4] == "q0"
    assert [axis.name for axis in drawn.axes] == ["beta", "latent_dim", "silhouette_input"]


def test_trials_that_share_a_value_do_not_hide_each_other() -> None:
    drawn = parallel(Results(swept()))
    assert drawn is not None
    starts = [line.path.split("C")[0] for line in drawn.lines[:-1]]
    assert len(set(starts)) == len(starts)


@pytest.mark.parametrize("n", [5, 60, 500])
def test_the_page_stays_small_enough_to_send(n: int) -> None:
    assert len(render(swept(trials=tried(n)))) < 60_000 + 2_000 * n


def test_missing_knobs_pass_below_the_axis() -> None:
    points = [
        {"model.kind": "vae"},
        {"model.kind": "beta", "model.beta": 1.0},
        {"model.kind": "beta", "model.beta": 4.0},
    ]
    drawn = parallel(Results(swept(trials=[trial(at, point, 0.1 * at) for at, point in enumerate(points)])))
    assert drawn is not None
    absent = {axis.name: axis.absent.text if axis.absent else None for axis in drawn.axes}
    assert absent == {"kind": None, "beta": "not set", "silhouette_input": None}


def test_more_knobs_than_axes_are_named() -> None:
    rows = [trial(at, {f"training.k{knob}": at for knob in range(MAX_KNOBS + 2)}, 0.1 * at) for at in range(3)]
    drawn = parallel(Results(swept(trials=rows, importance=[])))
    assert drawn is not None
    assert drawn.left_out == ["training.k8", "training.k9"] and len(drawn.axes) == MAX_KNOBS + 1
    assert "Without an axis: training.k8, training.k9." in Page(render(swept(trials=rows, importance=[]))).words


def test_the_null_of_each_trial_is_its_value_less_its_lift() -> None:
    sweep = Results(swept())
    assert sweep.null(sweep.trials[0], "silhouette") == pytest.approx(0.2)
    assert sweep.null(sweep.trials[0], "ami") is None
    lower = trial(0, {"a": 1}, 0.1, scores={"davies_bouldin": 1.0, "davies_bouldin.lift": 0.5})
    sweep = Results(swept(trials=[lower]))
    assert sweep.null(sweep.trials[0], "davies_bouldin") == pytest.approx(1.5)


def test_a_panel_has_a_dot_and_a_null_for_each_trial_with_a_score() -> None:
    chart = against(Results(swept()), "model.beta", "silhouette")
    assert chart is not None and chart.with_nulls
    assert len(chart.dots) == 24 and all(dot.null_y is not None and dot.null_y > dot.at[1] for dot in chart.dots)
    assert all(0 <= x <= 300 and 0 <= y <= 180 for x, y in (dot.at for dot in chart.dots))
    without = [trial(at, {"model.beta": at}, 0.1, scores={}) for at in range(3)]
    assert against(Results(swept(trials=without)), "model.beta", "silhouette") is None


def test_only_numbers_are_drawn_over() -> None:
    rows = [trial(at, {"a": at, "b": "x" if at else 1, "c": bool(at), "d": 7}, 0.1) for at in range(3)]
    assert numeric_knobs(Results(swept(trials=rows, importance=[]))) == ["a"]


def test_one_knob_of_magnitudes_is_drawn_by_its_logarithm() -> None:
    axis = scale([0.05, 0.5, 5.0], 260)
    assert axis.log and axis.share(0.5) == pytest.approx(0.5)
    assert not scale([1.0, 2.0, 8.0], 260).log and scale([3.0], 260).share(3.0) == 0.5


@pytest.mark.parametrize("values", [[-1e9, 0.0, 1e9], [1e-9, 1e9], list(range(400)), [0.1] * 5, [-5.0, -4.999]])
def test_an_axis_holds_its_ticks_apart(values: list[float]) -> None:
    ticks = [share for share, _ in scale(values, 260).ticks]
    assert ticks and all(-1e-9 <= share <= 1 + 1e-9 for share in ticks)
    assert all((b - a) * 260 >= 15 for a, b in pairwise(ticks))


def test_the_front_holds_what_nothing_beats() -> None:
    (chart,) = fronts(Results(two_objectives()))
    assert sum(dot.look == "best" for dot in chart.dots) == 3 and chart.path.count("H") == 2
    page = Page(render(two_objectives()))
    assert headings(page)[0] == "Front"
    assert "3 trials are beaten by none" in page.words and "Best in Silhouette of the features" in page.words


def test_reasons_that_differ_in_numbers_only_are_counted_together() -> None:
    broken = trial(99, {"model.beta": 1}, status="failed", reason="ValueError: no")
    reasons = Results(swept(trials=[*tried(), broken])).reasons
    assert [(one.status, one.count) for one in reasons] == [("gated", 4), ("failed", 1)]
    assert reasons[0].example.startswith("rebuilds worse than PCA")


def test_only_a_trial_that_is_ok_can_win() -> None:
    rows = [
        trial(0, {"a": 1}, 0.9, status="stopped"),
        trial(1, {"a": 2}, math.nan),
        trial(2, {"a": 3}, WORST),
        trial(3, {"a": 4}, 0.1),
        trial(4, {"a": 5}, 0.9, objective=[0.9, 0.8]),
        trial(5, {"a": 6}, 0.9, objective=None),
    ]
    assert [one.trial_id for one in Results(swept(trials=rows)).passed] == ["t3"]


def test_labels_in_the_objective_are_a_banner() -> None:
    assert "LABELS WERE USED" in Page(render(swept(objective=["ami"]))).words
    assert "LABELS WERE USED" in Page(render(swept(objective=["ami.lift"]))).words
    assert "LABELS WERE USED" not in Page(render(swept())).words
    assert labels_used(swept(objective=["silhouette_input", "ari:genre"]))
    assert not labels_used(swept(objective=["unheard_of"])) and labels_used(swept(objective=["mig"], labels_used=True))


def test_a_winner_that_collapsed_is_a_banner() -> None:
    rows = [trial(0, {"a": 1}, 0.5, scores={"collapsed": 1.0}), trial(1, {"a": 2}, 0.4)]
    assert "the winner collapsed" in Page(render(swept(trials=rows))).words


def test_the_winner_is_shown_with_its_config_and_the_way_to_train_it_again() -> None:
    page = Page(render(swept(store="my store")))
    assert "kind: beta" in page.words and "ray-pipeline train 'my store' --from-trial t10" in page.words


def test_a_sweep_as_it_was_read_is_shown() -> None:
    about = {"objective": ["silhouette_input"], "uses_labels": False, "space": {"model.beta": {"grid": [1, 4]}}}
    read = [row | {name: json.loads(row[name]) for name in ("point", "config")} | {"versions": {}} for row in tried()]
    data = of_sweep(Sweep("s1", about, read), store="./store", made_at="2025-01-01T00:00:00Z")
    assert next(iter(data.importance[0].shares)) == "model.beta"
    assert "24 trials over 2 knobs: 20 ok, 4 gated." in Page(render(data)).words


def test_write_makes_the_folder_and_refuses_names_that_lead_elsewhere(tmp_path: Path) -> None:
    written = write(swept(), tmp_path / "report")
    assert written == tmp_path / "report" / "sweep-s1.html" and written.read_text().startswith("<!doctype html>")
    for name in ("../s1", "a/b", "", ".", "a\0"):
        with pytest.raises(StoreError, match="letters, digits"):
            write(swept(sweep_id=name), tmp_path)


def spread(n: int) -> tuple[list[dict[str, Any]], list[list[float]]]:
    """The objective is all β's; the other two knobs have no say."""
    points = [{"beta": 0.05 * 1.2 ** (7 * at % n), "kind": "ab"[at % 2], "dim": at * 5 % 7} for at in range(n)]
    return points, [[-math.log(point["beta"])] for point in points]


def test_the_knob_that_decides_is_found_and_the_others_are_at_chance() -> None:
    points, values = spread(40)
    (found,) = importance(points, values, ["silhouette_input"], seed=0)
    assert next(iter(found.shares)) == "beta" and found.shares["beta"] > 0.8 > 1.5 * found.chance["beta"]
    assert max(found.shares["kind"], found.shares["dim"]) < 0.1 and found.n == 40
    assert importance(points, values, ["silhouette_input"], seed=0) == [found]


def test_trials_without_a_value_have_no_say_in_importance() -> None:
    points, values = spread(40)
    more = [{"beta": 1.0, "kind": "a", "dim": 1}] * 3
    found = importance(points + more, [*values, [WORST], [math.nan], []], ["silhouette_input"], seed=0)
    assert found == importance(points, values, ["silhouette_input"], seed=0)


def test_a_knob_that_only_some_trials_set_counts_as_a_kind() -> None:
    points = [{"kind": "vae"} if at % 2 else {"kind": "beta", "beta": float(at % 3)} for at in range(20)]
    (found,) = importance(points, [[float("beta" in point)] for point in points], ["silhouette_input"], seed=0)
    assert set(found.shares) == {"kind", "beta"} and sum(found.shares.values()) > 0.5


@pytest.mark.parametrize(
    ("points", "value", "why"),
    [
        ([{"a": at} for at in range(9)], None, "9 trials passed; telling needs 10"),
        ([{"a": at, "b": -at, "c": at, "d": at} for at in range(11)], None, "11 trials passed; telling needs 12"),
        ([{"a": 1}] * 12, None, "no knob varies"),
        ([{"a": at} for at in range(12)], 0.5, "the objective is the same in all trials"),
        ([], None, "0 trials passed"),
    ],
)
def test_importance_says_why_it_cannot_be_told(points: list[dict[str, Any]], value: float | None, why: str) -> None:
    values = [[float(at) if value is None else value] for at in range(len(points))]
    (found,) = importance(points, values, ["silhouette_input"], seed=0)
    assert found.note.startswith(why) and not found.shares
