"""The report: one file that loads nothing, says the result in words, and lets no title run or disguise itself."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import random
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from ray_pipeline.metrics import METRICS as METRIC_SHELF
from ray_pipeline.metrics.artists import shares
from ray_pipeline.report import atlas, plots
from ray_pipeline.report.data import Artist, ReportData, Verdict, clusters
from ray_pipeline.report.html import displayed, render, write
from ray_pipeline.report.scores import scores
from ray_pipeline.report.story import lead, number, p_value
from ray_pipeline.report.words import METRICS, STATUSES
from ray_pipeline.schemas import BAD, SCORES

SECTIONS = ["Map", "Scores", "Clusters", "Training", "Tracks", "How it was made"]
LOADING = {
    "src",
    "srcset",
    "action",
    "formaction",
    "poster",
    "data",
    "background",
    "cite",
    "ping",
    "manifest",
    "xlink:href",
}
HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    '"><svg onload=alert(2)>',
    "' onmouseover='alert(3)",
    "{{ 7 * 7 }}{% raw %}",
    "<!--<script>",
    "song\u202egpj.exe",
    "line\nbreak\r\n#EXTINF:1",
    "\x1b[31mred\x07\x00",
    "\udcff\udcfe.mp3",
    '=HYPERLINK("http://evil.example")',
    "\u2028\u2029",
]


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

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def words(self) -> str:
        seen = (text for tag, texts in self.texts.items() if tag not in ("script", "style") for text in texts)
        return " ".join(" ".join(seen).split())


def row(metric: str, value: float | None, seed: int = 0, **known: Any) -> dict[str, Any]:
    return {**dict.fromkeys(SCORES.names), "metric": metric, "value": value, "seed": seed, "note": "", **known}


def tracks(n: int = 60, k: int = 4) -> list[dict[str, Any]]:
    rng = random.Random(0)
    return [
        {
            "track_id": f"t{i}",
            "title": f"Title {i}",
            "artist": f"Artist {i % 7}",
            "label": ["jazz", "folk", None][i % 3],
            "cluster": -1 if i % 20 == 19 else i % k,
            "x2d": i % k + rng.gauss(0, 0.2),
            "y2d": rng.gauss(0, 1),
            "distance": float(n - i),
            "has_lyrics": i % 2 == 0,
            "text": "the tide comes in" if i % 2 == 0 else "",
        }
        for i in range(n)
    ]


def full(**changed: Any) -> ReportData:
    known: dict[str, Any] = {
        "title": "Demo",
        "made_at": "2025-01-01T00:00:00Z",
        "store": "./store",
        "experiment_id": "e1",
        "config": {"model": {"kind": "beta", "beta": 4}, "root": "~/music"},
        "versions": {"ray": "2.60.0"},
        "seconds": {"featurize": 548.0, "train": 35.1},
        "statuses": {"features": {"ok": 60, "silent": 2}},
        "bad_tracks": [
            {"track_id": "b", "title": "Quiet", "uri": "/m/q.mp3", "status": "silent", "error": "peak −96 dB"}
        ],
        "bad_total": 2,
        "scores": [
            row("silhouette", 0.21, null_mean=0.06, null_sd=0.01, lift=0.15, z=15.0),
            row("ami", 0.62, chance=0.0, p=0.001, ci_low=0.55, ci_high=0.68, z=40.0),
        ],
        "label_name": "style",
        "coverage": 0.67,
        "tracks": tracks(),
        "losses": [{"epoch": e, "loss": 40 / e, "reconstruction": 30 / e, "kl": 0.1 * e} for e in range(1, 11)],
        "kl_per_dim": [2.0, 0.5, 0.002, 0.0],
        "notes": ["no lyrics: lyrics.backend is none"],
    }
    return ReportData(**{**known, **changed})


@pytest.fixture(scope="module")
def page() -> str:
    return render(full())


def test_every_section_is_there(page: str) -> None:
    assert [text for text in Page(page).texts["h2"] if text.strip()] == SECTIONS


def test_nothing_is_loaded(page: str) -> None:
    for tag, attributes in Page(page).tags:
        assert not LOADING & attributes.keys(), tag
        assert (attributes.get("href") or "#").startswith("#") or attributes["href"] == "data:,", tag
        assert tag not in {"iframe", "object", "embed", "base", "img", "form"}
    assert not re.search(r"@import|url\(|https?://|import\(|fetch\(|XMLHttpRequest|innerHTML", page)


def test_policy_admits_only_the_pages_own_style_and_script(page: str) -> None:
    policy = next(m["content"] for m in Page(page).named("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode() in policy


def test_no_inline_style_or_handler(page: str) -> None:
    """The policy would refuse them, and so they would silently do nothing."""
    assert not [
        name for _, attributes in Page(page).tags for name in attributes if name == "style" or name.startswith("on")
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_inert_everywhere(text: str) -> None:
    mean = {
        "track_id": text,
        "title": text,
        "artist": text,
        "label": text,
        "text": text,
        "cluster": 0,
        "x2d": 0.0,
        "y2d": 0.0,
    }
    html = render(
        full(
            title=text,
            store=text,
            experiment_id=text,
            made_at=text,
            config={text: [text]},
            versions={text: text},
            seconds={text: 1.0},
            statuses={text: {text: 1}},
            bad_tracks=[{"track_id": text, "title": text, "uri": text, "status": text, "error": text}],
            scores=[row(text, 0.5, note=text), row("ami:" + text, 0.1, p=0.5, note=text)],
            label_name=text,
            notes=[text],
            verdicts=[Verdict(text, True, text), Verdict(text, False, text)],
            tracks=[mean],
        )
    )
    html.encode("utf-8")
    seen = Page(html)
    assert {tag for tag, _ in seen.tags} <= {
        tag for tag, _ in Page(render(full(verdicts=[Verdict("a", True, "b")]))).tags
    }
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\u2028\u2029]", html)


def test_hostile_title_is_still_legible() -> None:
    words = Page(render(full(title="</script><img onerror=x>"))).words
    assert "</script><img onerror=x>" in words


def test_points_cannot_close_their_script_and_keep_their_titles() -> None:
    chosen = [{**tracks(1)[0], "title": "</script>&\u2028<b>"}]
    html = render(full(tracks=chosen))
    (inside,) = re.findall(r'<script type="application/json" id="points">(.*?)</script>', html, re.DOTALL)
    assert not set("<>&\u2028") & set(inside)
    assert json.loads(inside)[0][0] == "</script>& <b>"


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ("a\u202eb", "a\ufffdb"),
        ("a\nb\tc", "a b c"),
        ("\x1b[31m", "\ufffd[31m"),
        ("\udcffx", "\ufffdx"),
        ("nai\u0308ve فيروز 👩\u200d🎤", "nai\u0308ve فيروز 👩\u200d🎤"),
        ("\ufeffBOM", "BOM"),
        (None, "–"),
        ("x" * 700, "x" * 600 + "…"),
    ],
)
def test_displayed(raw: str | None, seen: str) -> None:
    assert displayed(raw) == seen


def test_lead_states_the_result() -> None:
    said = " ".join(lead(full(), scores(full().scores)))
    assert "4 clusters of 57 tracks, and 3 left out as noise." in said
    assert "“style” is above chance (AMI 0.62, p = 0.001, 95% interval 0.55 to 0.68)" in said
    assert "67% of the tracks carry that label" in said
    assert "Silhouette 0.21, against 0.06 of structureless data" in said


def test_lead_does_not_flatter() -> None:
    found = [
        row("silhouette", 0.5264, null_mean=0.524, null_sd=0.004, lift=0.002, z=0.6),
        row("ami", -0.0003, chance=0.0, p=0.41, z=-0.1),
    ]
    said = " ".join(lead(full(scores=found), scores(found)))
    assert "is at chance (AMI 0.00, p = 0.410)" in said
    assert "Silhouette 0.53 is what structureless data scores (0.52)" in said


def test_lead_prefers_the_label_of_the_report() -> None:
    found = [row("ami:mood", 0.9, p=0.001), row("ami:style", 0.1, p=0.001)]
    assert "AMI 0.10" in " ".join(lead(full(scores=found), scores(found)))


def test_collapse_is_a_banner_also_when_only_the_scores_tell() -> None:
    given = Page(render(full(verdicts=[Verdict("collapsed", True, "one active unit")])))
    scored = Page(render(full(scores=[row("collapsed", 1.0, note="collapsed: rank 1.2, fewer than 2")])))
    assert "COLLAPSED one active unit" in given.words
    assert "COLLAPSED rank 1.2, fewer than 2" in scored.words
    assert "COLLAPSED" not in Page(render(full())).words


def test_seeds_are_averaged_and_the_worst_certainty_kept() -> None:
    seeds = [(0.2, 0.001, 0.1, 0.3), (0.4, 0.04, 0.3, 0.6)]
    rows = [row("ami", v, seed, p=p, ci_low=low, ci_high=high) for seed, (v, p, low, high) in enumerate(seeds)]
    (score,) = scores(rows)
    assert score.value == pytest.approx(0.3)
    assert score.spread == pytest.approx(math.sqrt(0.02))
    assert (score.p, score.ci_low, score.ci_high, score.n_seeds) == (0.04, 0.1, 0.6, 2)


@pytest.mark.parametrize(
    ("scored", "verdict"),
    [
        (row("ami", 0.3, p=0.001), "above chance"),
        (row("ami", 0.0, p=0.4), "at chance"),
        (row("purity", 0.1, chance=0.15, p=1.0, z=-9.0), "below chance"),
        (row("ami", 0.3), "not tested against chance"),
        (row("silhouette", 0.3, null_mean=0.1, z=5.0), "above structureless data"),
        (row("silhouette", 0.3, null_mean=0.3, z=0.1), "what structureless data scores"),
        (row("silhouette", 0.1, null_mean=0.3, z=-5.0), "worse than structureless data"),
        (row("silhouette", math.nan), "not computed"),
        (row("davies_bouldin_input", 2.0, chance=8.0, lift=6.0, p=0.01), "better than chance"),
        (row("coverage", 0.9), ""),
    ],
)
def test_verdict(scored: dict[str, Any], verdict: str) -> None:
    assert scores([scored])[0].verdict == verdict


def test_clusters_that_follow_missing_lyrics_are_bad() -> None:
    found = scores([row("ami_missing", 0.6, p=0.001)])
    assert found[0].tone == "bad"
    assert "follow which tracks lack a view (AMI 0.60, p = 0.001)" in " ".join(lead(full(), found))


def test_every_metric_and_status_has_its_sentence() -> None:
    assert set(METRIC_SHELF) <= set(METRICS)
    assert {str(status) for status in BAD} == set(STATUSES)


DEGENERATE = {
    "nothing": {
        "tracks": [],
        "scores": [],
        "losses": [],
        "kl_per_dim": None,
        "label_name": None,
        "coverage": None,
        "statuses": {},
        "bad_tracks": [],
        "config": {},
    },
    "no labels": {"label_name": None, "coverage": None, "scores": [row("silhouette", 0.2)]},
    "no losses": {"losses": [], "kl_per_dim": None},
    "one track": {"tracks": tracks(1)},
    "all noise": {"tracks": [{**t, "cluster": -1} for t in tracks(9)]},
    "no clusters": {"tracks": [{**t, "cluster": None} for t in tracks(9)]},
    "bare rows": {"tracks": [{"track_id": "t"}], "bad_tracks": [{"track_id": "b"}], "scores": [{"metric": "ami"}]},
    "nan": {
        "tracks": [
            {**t, "x2d": math.nan, "distance": math.nan, "label": math.nan, "cluster": math.nan} for t in tracks(9)
        ],
        "scores": [dict.fromkeys(SCORES.names, math.nan) | {"metric": "silhouette", "note": None, "n": 0, "seed": 0}],
        "losses": [{"epoch": e, "loss": math.nan, "reconstruction": None, "kl": math.inf} for e in range(3)],
        "kl_per_dim": [math.nan, 0.0],
        "seconds": {"train": math.nan},
        "coverage": math.nan,
    },
    "one epoch": {"losses": [{"epoch": 1, "loss": 3.0, "reconstruction": 3.0, "kl": 0.0}]},
    "all on one spot": {"tracks": [{**t, "x2d": 1.0, "y2d": 1.0} for t in tracks(9)]},
    "no kl": {"kl_per_dim": []},
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_data_renders(case: str) -> None:
    seen = Page(render(full(**DEGENERATE[case])))
    assert [text for text in seen.texts["h2"] if text.strip()] == SECTIONS
    assert not re.search(r"\b(nan|None|inf|undefined)\b", seen.words)


def test_absent_labels_are_said_to_be_absent() -> None:
    words = Page(render(full(**DEGENERATE["no labels"]))).words
    assert "They are absent, not 0." in words
    assert "There were no labels" in words


def test_large_map_is_a_seeded_sample_and_says_so() -> None:
    many = tracks(5_500)
    one, again = atlas.scatter(many, seed=3), atlas.scatter(many, seed=3)
    other = atlas.scatter(many, seed=4)
    assert one is not None
    assert again is not None
    assert other is not None
    assert len(one.dots) == atlas.MAX_POINTS
    assert [d.row["track_id"] for d in one.dots] == [d.row["track_id"] for d in again.dots]
    assert [d.row["track_id"] for d in one.dots] != [d.row["track_id"] for d in other.dots]
    assert "It shows 5,000 of 5,500 tracks" in Page(render(full(tracks=many))).words


def test_map_keeps_inside_its_frame_and_both_axes_to_one_scale() -> None:
    corners = [
        {"track_id": str(i), "x2d": x, "y2d": y, "cluster": 0} for i, (x, y) in enumerate([(0, 0), (40, 0), (0, 1)])
    ]
    chart = atlas.scatter(corners, seed=0)
    assert chart is not None
    at = {d.row["track_id"]: (d.x, d.y) for d in chart.dots}
    assert all(0 <= x <= chart.width and 0 <= y <= chart.height for x, y in at.values())
    assert at["1"][0] - at["0"][0] == pytest.approx(40 * (at["0"][1] - at["2"][1]), rel=0.02)


def test_many_labels_share_the_last_look() -> None:
    chart = atlas.scatter([{**t, "label": f"label {i}"} for i, t in enumerate(tracks(30))], seed=0)
    assert chart is not None
    assert [key.look for key in chart.label_keys] == [*map(str, range(19)), "other"]
    assert sum(key.size for key in chart.label_keys) == 30


def test_nearest_are_the_least_distant_and_missing_distances_come_never_first() -> None:
    rows = [{"track_id": str(d), "cluster": 0, "distance": d} for d in (3.0, None, 1.0, math.nan, 2.0)]
    (found,) = clusters(rows, nearest=2)
    assert [r["track_id"] for r in found.nearest] == ["1.0", "2.0"]
    assert found.size == 5


def by(artists: list[Any], cluster: int = 0) -> list[dict[str, Any]]:
    return [{"track_id": f"{cluster}-{i}", "cluster": cluster, "artist": name} for i, name in enumerate(artists)]


def test_a_cluster_names_its_most_frequent_artist_with_the_share_that_is_scored() -> None:
    rows = [
        *by(["Nina  Simone", "nina simone", "Miles", None, "Various Artists"]),
        *by(["Miles", "Miles", "Ella"], 1),
        *by([None, "", math.nan], 2),
    ]
    artists = [name if isinstance(name := row["artist"], str) else None for row in rows]
    expected = shares(np.array([row["cluster"] for row in rows]), artists)
    found = {cluster.number: cluster.artist for cluster in clusters(rows)}
    assert {number: one.share for number, one in found.items() if one} == pytest.approx(expected)
    assert found[0] == Artist("Nina  Simone", 2, 3) and found[1] == Artist("Miles", 2, 3) and found[2] is None
    page = render(full(tracks=rows))
    assert re.findall(r'most often by <bdi class="artist">(.*?)</bdi>, (.*?)</p>', page) == [
        ("Nina  Simone", "67% of the 3 whose artist is known"),
        ("Miles", "67%"),
    ]


def test_kl_threshold_lies_between_active_and_inactive() -> None:
    chart = plots.kl_bars([0.009, 3.0, 0.011])
    assert chart is not None
    active, barely, inactive = chart.stems
    assert (active[3], barely[3], inactive[3]) == (1, 2, 0)
    assert active[1] < barely[1] < chart.threshold_y < inactive[1]
    assert chart.active == 2


def test_curve_breaks_where_a_loss_is_missing() -> None:
    curve = plots.line([{"epoch": e, "loss": v} for e, v in enumerate([3.0, math.nan, 2.0, 1.0])], "loss", "Loss")
    assert curve is not None
    assert re.findall("[ML]", curve.path) == ["M", "M", "L"]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 17), (5, 5), (0, 0), (1e-7, 3e-7), (1e6, 9e9)])
def test_ticks_enclose(low: float, high: float) -> None:
    ticks = plots.nice_ticks(low, high)
    assert ticks[0] <= low <= high <= ticks[-1]
    assert 2 <= len(ticks) <= 7


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (12275.12, "12,275"),
        (0.5264, "0.526"),
        (-0.0003, "−0.0003"),
        (8.0, "8"),
        (39.8, "39.8"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    assert number(value) == text


def test_p_value() -> None:
    assert [p_value(p) for p in (0.0004, 0.0132, None)] == ["< 0.001", "= 0.013", "–"]


def test_write_makes_the_folder_and_leaves_only_the_page(tmp_path: Any) -> None:
    path = write(full(), tmp_path / "new" / "report.html")
    assert path.read_text(encoding="utf-8") == render(full())
    assert list(path.parent.iterdir()) == [path]


def test_failed_write_keeps_the_old_page(tmp_path: Any) -> None:
    path = write(full(), tmp_path / "report.html")
    before = path.read_bytes()
    with pytest.raises(KeyError):
        write(full(scores=[{"value": 1.0}]), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
