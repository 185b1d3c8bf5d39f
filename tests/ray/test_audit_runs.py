"""The audit as a command runs it, on FMA's tables in small: what is kept, what is said, and what a wrong join shows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fma_tables import MFCC, write_features, write_tracks

from ray_pipeline.audit import ROWS, lines, run_row
from ray_pipeline.audit.joins import JOIN
from ray_pipeline.errors import ImpossibleScore
from ray_pipeline.stages import audit as stage
from ray_pipeline.stages.import_features import import_features
from ray_pipeline.stages.ingest import ingest

pytestmark = pytest.mark.ray

N = 64
RUN = {("Task 2", "PCA + k-means"), ("Table 1", "Beta-VAE"), ("Table 2", "Beta-VAE"), ("Table 2", "weighted average")}
EXTERNAL = ["ami", "ari", "nmi", "purity"]


@pytest.fixture(autouse=True)
def _few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "ROWS", tuple(row for row in ROWS if (row.table, row.name) in RUN))
    for user in ("table", "cost"):
        monkeypatch.setattr(f"ray_pipeline.audit.{user}.DIMS", (1,))


@pytest.fixture
def prepared(ray_session: Any, context: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """`prepared(genres)`: the context of an audit of `N` tracks in two groups, whose genres in the labels file are given."""

    def make(genres: list[str]) -> Any:
        rng, fma = np.random.default_rng(0), tmp_path / "fma"
        write_tracks(fma, {track: {"title": f"t{track}"} for track in range(1, N + 1)})
        heard = rng.normal(size=(N, len(MFCC))) + 4 * (np.arange(N) % 2)[:, None]
        write_features(fma, dict(enumerate(heard.tolist(), start=1)))
        labels = tmp_path / "labels.csv"
        rows = [f"{track},{genre}\n" for track, genre in enumerate(genres, start=1)]
        labels.write_text("".join(["track_id,label\n", *rows]), encoding="utf-8")
        ctx = context(
            "audit",
            source={"kind": "fma", "root": str(fma), "labels_file": str(labels)},
            features=["mfcc_native", "fma_mfcc"],
            scoring={"label": "label", "seeds": 1, "null_draws": 2, "permutations": 99},
        )
        ingest(ctx)
        import_features(ctx)
        return ctx

    return make


def table_of(ctx: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((ctx.store.root / "report/audit.json").read_text(encoding="utf-8"))
    return found


def joins_of(ctx: Any) -> dict[str, list[dict[str, Any]]]:
    """Lines of the label join by row."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in table_of(ctx):
        if line["table"] == JOIN:
            found.setdefault(line["row"], []).append(line)
    return found


def test_a_dry_run_tells_what_an_audit_would_take(prepared: Callable[..., Any]) -> None:
    ctx = prepared(["Rock", "Pop"] * (N // 2))
    said, *left_out = stage.plan(ctx)
    found = re.fullmatch(r"audit: 2 of 2 experiments to run on 64 tracks, about ([\d,]+) s with one CPU", said)
    assert found and 0 < int(found[1].replace(",", "")) < 3_600
    assert left_out == ["  Table 2, weighted average: not possible here: no lyrics for these tracks"]
    assert not (ctx.store.root / "report").exists() and not (ctx.store.root / "audit").exists(), (
        "a dry run left something"
    )


def test_the_headline_collapses_on_real_rows(ray_session: Any, context: Callable[..., Any], data_dir: Path) -> None:
    """The study's Beta-VAE on the 20 means of 1,990 real tracks: a few of 32 dimensions are left, and score as noise does."""
    fma = {"kind": "fma", "root": str(data_dir / "fma"), "labels_file": str(data_dir / "fma/labels.csv")}
    told = {"label": "label", "seeds": 1, "null_draws": 9, "permutations": 99}
    ctx = context("audit", source=fma, features=["mfcc_native"], training={"epochs": 100}, scoring=told)
    ingest(ctx)
    import_features(ctx)
    (row,) = [row for row in ROWS if (row.table, row.name) == ("Table 1", "Beta-VAE")]
    outcome = run_row(row, stage.read_all_views(ctx), ctx.config, seed=0)
    assert 16 < outcome.fit["loss_reconstruction"] < 18
    assert 0.5 < outcome.fit["loss_kl"] < 0.7
    (silhouette,) = [line for line in lines([(row, [outcome])]) if line.metric == "silhouette"]
    assert abs(silhouette.reproduced_mean - silhouette.null_mean) < 0.05
    assert "here: collapsed" in silhouette.verdict
    (active,) = [score["value"] for score in outcome.scores if score["metric"] == "active_units"]
    assert active <= 5, "of 32"


@pytest.mark.slow
def test_second_audit_has_nothing_to_do(prepared: Callable[..., Any]) -> None:
    ctx = prepared(["Rock", "Pop"] * (N // 2))
    assert stage.audit(ctx) == 2, "of three rows that can be run two are one experiment"
    first = table_of(ctx)
    assert stage.plan(ctx)[0].startswith("audit: 0 of 2 experiments to run")
    assert stage.audit(ctx) == 0
    assert table_of(ctx) == first
    by_row = {(line["table"], line["row"], line["metric"]): line for line in first}
    assert by_row["Task 2", "PCA + k-means", "ami"]["verdict"].startswith("above chance")
    assert by_row["Table 1", "Beta-VAE", "loss_kl"]["reproduced_mean"] is not None
    assert "no lyrics" in by_row["Table 2", "weighted average", "silhouette"]["verdict"]


def test_labels_on_their_own_tracks_fall_to_chance_once_dealt_to_others(prepared: Callable[..., Any]) -> None:
    ctx = prepared(["Rock", "Pop"] * (N // 2))
    stage.audit(ctx)
    found = joins_of(ctx)
    assert list(found) == ["Task 2, PCA + k-means", "Table 1, Beta-VAE", "Table 2, Beta-VAE"]
    held = found["Task 2, PCA + k-means"]
    assert [line["metric"] for line in held] == EXTERNAL
    for line in held:
        assert line["verdict"].startswith("the join holds") and line["p"] < 0.05
        assert line["reproduced_mean"] > line["null_mean"] + 0.1
    page = (ctx.store.root / "report/audit.html").read_text(encoding="utf-8")
    assert "the join holds" in page and "dealt to other tracks a hundred times" in page


def test_labels_of_other_tracks_are_found_out(prepared: Callable[..., Any]) -> None:
    wrong = np.random.default_rng(3).permutation(["Rock", "Pop"] * (N // 2)).tolist()
    ctx = prepared(wrong)
    stage.audit(ctx)
    for line in joins_of(ctx)["Task 2, PCA + k-means"]:
        assert "those are of other tracks" in line["verdict"]
        assert line["p"] > 0.05


def test_a_score_that_cannot_be_ends_the_audit_with_its_own_words(
    prepared: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def group(*_: Any) -> list[dict[str, Any]]:
        raise ImpossibleScore("purity is below", hint="join by track_id")

    monkeypatch.setattr(stage, "_group", group)
    ctx = prepared(["Rock", "Pop"] * (N // 2))
    with pytest.raises(ImpossibleScore) as told:
        stage.audit(ctx)
    assert (str(told.value), told.value.hint) == ("purity is below", "join by track_id")
    assert not (ctx.store.root / "report").exists()
