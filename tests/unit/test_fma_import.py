"""FMA's published numbers → feature tables, and tracks that no file holds: all of it without audio and without Ray."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fma_tables import MFCC, expected, numbers, write_features, write_tracks
from typer.testing import CliRunner

from ray_pipeline.audio import BadAudio
from ray_pipeline.cli.main import app
from ray_pipeline.config import load
from ray_pipeline.errors import ConfigError, SourceError, StoreError, TooManyBadTracks
from ray_pipeline.experiment import views_needed
from ray_pipeline.features.mfcc_stats import STATISTICS
from ray_pipeline.schemas import Status
from ray_pipeline.stages import pipeline, room, session
from ray_pipeline.stages.featurize import NO_AUDIO, feature_table, featurize, path_of, upstream_of_lyrics
from ray_pipeline.stages.import_features import PUBLISHED, import_features
from ray_pipeline.stages.ingest import ingest, read_tracks, tracks_table
from ray_pipeline.store import latest_run
from ray_pipeline.store.verify import verify

Rows = dict[str, dict[str, Any]]
BOTH = ["fma_mfcc", "mfcc_native"]


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> None:
        raise AssertionError("a file is to be opened")

    monkeypatch.setattr(session, "connect", refuse)
    monkeypatch.setattr(room, "connected", lambda: False)  # whatever Ray the tests before this one left


@pytest.fixture
def fma(tmp_path: Path) -> Path:
    return tmp_path / "fma"


@pytest.fixture
def run(context: Callable[..., Any], fma: Path) -> Callable[..., Any]:
    """`run(stage, …)`: do the stages one after another on the tables in `fma`; the context of the last."""

    def go(*stages: Callable[[Any], int], features: list[str] = BOTH, **source: Any) -> Any:
        for stage in stages:
            ctx = context(source={"kind": "fma", "root": str(fma)} | source, features=features)
            stage(ctx)
        return ctx

    return go


def rows_of(ctx: Any, name: str) -> Rows:
    rows = feature_table(ctx, name).read().to_pylist()
    assert len({row["track_id"] for row in rows}) == len(rows)
    return {row["track_id"]: row for row in rows}


def with_cell(track_id: int, column: tuple[str, str, str], cell: object) -> list[object]:
    cells: list[object] = list(numbers(track_id))
    cells[MFCC.index(column)] = cell
    return cells


def test_tracks_without_audio_are_sound_and_their_contents_their_own(fma: Path, run: Callable[..., Any]) -> None:
    write_tracks(fma, {2: {"title": "Food"}, 3: {}})
    ctx = run(ingest)
    tracks = read_tracks(ctx)
    assert [(t["track_id"], t["status"], t["uri"], t["duplicate_of"]) for t in tracks] == [
        ("2", "ok", "", ""),
        ("3", "ok", "", ""),
    ]
    assert len({track["content_hash"] for track in tracks} - {""}) == 2
    assert ctx.run.done["ingest"] == 2
    version = tracks_table(ctx).version()
    again = run(ingest)
    assert (again.run.done["ingest"], tracks_table(again).version()) == (0, version)


def test_what_the_source_let_pass_is_a_note_of_the_run(fma: Path, run: Callable[..., Any]) -> None:
    path = write_tracks(fma, {2: {"date_released": "soon"}})
    notes = run(ingest).run.notes
    assert f"release dates that begin with no year, left empty: 1, the first at {path}:4: 'soon'" in notes


def test_numbers_come_in_the_features_own_order(fma: Path, run: Callable[..., Any]) -> None:
    write_features(fma, {3: numbers(3, MFCC[::-1]), 2: numbers(2, MFCC[::-1])}, MFCC[::-1])
    ctx = run(ingest, import_features)
    for name, statistics in {"fma_mfcc": STATISTICS, "mfcc_native": ["mean"]}.items():
        rows = rows_of(ctx, name)
        assert {track: row[name] for track, row in rows.items()} == {str(i): expected(i, statistics) for i in (2, 3)}
        assert {(row["status"], row["error"]) for row in rows.values()} == {("ok", "")}
        assert {row[seen] for row in rows.values() for seen in ("decoded_ratio", "peak", "rms_db")} == {None}
    assert ctx.run.done["import-features"] == 4
    assert verify(ctx.store) == []


def test_the_same_again_does_nothing(fma: Path, run: Callable[..., Any]) -> None:
    write_tracks(fma, {1: {}})
    bad = with_cell(4, ("mfcc", "mean", "01"), "x")
    write_features(fma, {2: numbers(2), 3: [], 4: bad})
    first = run(ingest, import_features)
    versions = [feature_table(first, name).version() for name in BOTH]
    for stage in (import_features, featurize):
        again = run(stage)
        assert [feature_table(again, name).version() for name in BOTH] == versions
        assert set(again.run.done.values()) == {0}


def test_track_without_numbers_and_without_audio_is_missing_here_alone(fma: Path, run: Callable[..., Any]) -> None:
    write_tracks(fma, {1: {}})
    write_features(fma, {2: numbers(2), 3: []})
    ctx = run(ingest, import_features)
    rows = rows_of(ctx, "fma_mfcc")
    assert {track: row["status"] for track, row in rows.items()} == {"1": "missing", "2": "ok", "3": "missing"}
    assert rows["1"]["error"] == "features.csv: no numbers of it, and no audio file either"
    assert rows["3"]["error"] == "features.csv:6: no numbers of it, and no audio file either"
    assert {track["status"] for track in read_tracks(ctx)} == {"ok"}
    assert ctx.run.statuses["features"] == {"missing": 2, "ok": 1}
    assert any(note.startswith("fma_mfcc: 2 tracks go without numbers (2 missing)") for note in ctx.run.notes)


@pytest.mark.parametrize(
    ("cell", "status"),
    [
        ("nan", "non_finite"),
        ("-inf", "non_finite"),
        ("1e300", "non_finite"),
        ("", "non_finite"),
        ("loud", "corrupt"),
        ("1;5", "corrupt"),
        ("1_5", "corrupt"),
        ("١٥", "corrupt"),
    ],
)
def test_cells_that_are_no_finite_numbers(fma: Path, run: Callable[..., Any], cell: str, status: str) -> None:
    write_features(fma, {2: numbers(2), 3: with_cell(3, ("mfcc", "skew", "07"), cell)})
    ctx = run(ingest, import_features)
    row = rows_of(ctx, "fma_mfcc")["3"]
    assert (row["status"], row["fma_mfcc"]) == (status, None)
    assert row["error"].startswith("features.csv:6: mfcc skew 07 is '")
    assert cell == "1e300" or row["error"].endswith(f"'{cell}'")
    assert any(f"1 tracks go without numbers (1 {status}), the first: {row['error']}" in n for n in ctx.run.notes)
    assert rows_of(ctx, "mfcc_native")["3"]["mfcc_native"] == expected(3, ["mean"]), "its means are sound"


def test_row_that_was_mended_is_taken(fma: Path, run: Callable[..., Any]) -> None:
    write_features(fma, {2: numbers(2), 3: with_cell(3, ("mfcc", "mean", "01"), "nan")})
    run(ingest, import_features)
    write_features(fma, {2: numbers(2), 3: numbers(3)})
    ctx = run(import_features)
    assert ctx.run.done["import-features"] == 2
    assert rows_of(ctx, "fma_mfcc")["3"]["fma_mfcc"] == expected(3, STATISTICS)


def test_row_whose_numbers_changed_is_taken_anew_and_the_run_says_so(fma: Path, run: Callable[..., Any]) -> None:
    write_features(fma, {2: numbers(2), 3: numbers(3)})
    run(ingest, import_features)
    write_features(fma, {2: numbers(2), 3: with_cell(3, ("mfcc", "kurtosis", "01"), -7.5)})
    ctx = run(import_features)
    rows = rows_of(ctx, "fma_mfcc")
    assert -7.5 in rows["3"]["fma_mfcc"] and rows["2"]["fma_mfcc"] == expected(2, STATISTICS)
    assert ctx.run.done["import-features"] == 1, "its means are as they were"
    told = [note for note in ctx.run.notes if "taken anew" in note]
    assert told == ["fma_mfcc: 1 rows have other numbers in features.csv than they were taken with: taken anew"]
    assert run(import_features).run.done["import-features"] == 0


def test_row_that_featurize_computed_stays_whatever_is_published(fma: Path, run: Callable[..., Any]) -> None:
    write_features(fma, {2: numbers(2), 3: numbers(3)})
    ctx = run(ingest, import_features)
    table = feature_table(ctx, "mfcc_native")
    heard = [row | {"decoded_ratio": 1.0} if row["track_id"] == "3" else row for row in table.read().to_pylist()]
    table.replace(pa.Table.from_pylist(heard, schema=table.schema()))
    write_features(fma, {2: numbers(4), 3: numbers(5)})
    rows = rows_of(run(import_features), "mfcc_native")
    assert rows["2"]["mfcc_native"] == expected(4, ["mean"]) and rows["3"]["mfcc_native"] == expected(3, ["mean"])


def test_copies_have_the_numbers_of_the_first_and_are_taken_anew_with_it(fma: Path, run: Callable[..., Any]) -> None:
    write_features(fma, {2: numbers(2), 3: numbers(3)})
    tracks = tracks_table(run(ingest))
    copies = [row | {"content_hash": "of both"} for row in tracks.read().to_pylist()]
    tracks.replace(pa.Table.from_pylist(copies, schema=tracks.schema()))
    assert run(import_features).run.done["import-features"] == 2
    assert run(import_features).run.done["import-features"] == 0, "the copy's own numbers were never taken"
    write_features(fma, {2: numbers(4), 3: numbers(3)})
    rows = rows_of(run(import_features), "mfcc_native")
    assert [rows[track]["mfcc_native"] for track in "23"] == [expected(4, ["mean"])] * 2


def test_row_that_was_missing_is_taken_once_it_is_published(fma: Path, run: Callable[..., Any]) -> None:
    write_tracks(fma, {1: {}, 2: {}})
    write_features(fma, {2: numbers(2)})
    run(ingest, import_features)
    write_features(fma, {1: numbers(1), 2: numbers(2)})
    ctx = run(import_features)
    assert {row["status"] for row in rows_of(ctx, "fma_mfcc").values()} == {"ok"}


def test_import_after_featurize_fills_what_was_missing(fma: Path, run: Callable[..., Any]) -> None:
    write_features(fma, {2: numbers(2)})
    with pytest.raises(TooManyBadTracks, match="1 of 1 tracks are of no use"):
        run(ingest, featurize)
    ctx = run(import_features, featurize)
    assert {row["status"] for row in rows_of(ctx, "fma_mfcc").values()} == {"ok"}
    assert ctx.run.done["featurize"] == 0


def test_where_a_stage_must_decode_it_a_track_without_audio_is_missing(fma: Path, run: Callable[..., Any]) -> None:
    write_features(fma, {2: numbers(2)})
    with pytest.raises(TooManyBadTracks, match="1 missing"):
        run(ingest, featurize, features=["mfcc"])
    ctx = run(ingest, import_features, features=["fma_mfcc", "mfcc"])
    assert "mfcc: not published by FMA; `featurize` computes it from audio" in ctx.run.notes
    row = rows_of(ctx, "mfcc")["2"]
    assert (row["status"], row["error"]) == (Status.MISSING, NO_AUDIO)
    (heard,) = upstream_of_lyrics(ctx, read_tracks(ctx))
    assert (heard["status"], heard["error"]) == (Status.MISSING, NO_AUDIO)
    assert path_of(read_tracks(ctx)[0]) == BadAudio(Status.MISSING, NO_AUDIO)


def test_what_the_source_refused_stays_refused(fma: Path, run: Callable[..., Any], tmp_path: Path) -> None:
    write_features(fma, {2: numbers(2), 3: numbers(3)})
    (tmp_path / "elsewhere.mp3").write_bytes(b"x")
    (fma / "fma_small/000").mkdir(parents=True)
    (fma / "fma_small/000/000002.mp3").symlink_to(tmp_path / "elsewhere.mp3")
    rows = rows_of(run(ingest, import_features), "fma_mfcc")
    assert {track: row["status"] for track, row in rows.items()} == {"2": "outside_root", "3": "ok"}


def test_rows_of_other_tracks_are_counted(fma: Path, run: Callable[..., Any]) -> None:
    write_features(fma, {10: numbers(10), 2: numbers(2), 9: numbers(9)})
    ctx = run(ingest, import_features, limit=1)
    assert list(rows_of(ctx, "fma_mfcc")) == ["2"]
    assert "features.csv: 2 rows are of tracks that are not ingested, the first 9" in ctx.run.notes


def test_run_is_written_down(context: Callable[..., Any], fma: Path) -> None:
    write_features(fma, {2: numbers(2)})
    for command in ("ingest", "import-features"):
        ctx = context(command, source={"kind": "fma", "root": str(fma)}, features=["mfcc_native"])
        pipeline.run(ctx, command)
    run = latest_run(ctx.store)
    assert (run.command, run.state, run.done) == ("import-features", "done", {"import-features": 1})
    assert run.statuses["features"] == {"ok": 1}
    assert run.tables["features"] == [ctx.store.address(feature_table(ctx, "mfcc_native"))]


def test_config_that_names_nothing_published(context: Callable[..., Any], fma: Path) -> None:
    ctx = context(source={"kind": "fma", "root": str(fma)}, features=["mfcc", "log_mel"])
    with pytest.raises(ConfigError, match="FMA publishes none of mfcc, log_mel") as raised:
        import_features(ctx)
    assert raised.value.hint == f"what can be imported: {', '.join(PUBLISHED)}"


def test_source_of_another_kind(context: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match=r"source\.kind: only 'fma' has published features, not 'folder'"):
        import_features(context(source={"kind": "folder", "root": "/"}, features=BOTH))


def test_no_features_to_import_and_no_tracks_to_import_for(fma: Path, run: Callable[..., Any]) -> None:
    write_tracks(fma, {2: {}})
    with pytest.raises(SourceError, match=r"features\.csv: is not there"):
        run(ingest, import_features)
    write_features(fma, {2: numbers(2)})
    with pytest.raises(StoreError, match="there is no such table"):
        run(import_features, limit=3)


def test_features_cut_short_leave_the_table_as_it_was(fma: Path, run: Callable[..., Any]) -> None:
    write_features(fma, {2: numbers(2)})
    ctx = run(ingest, import_features)
    version = feature_table(ctx, "fma_mfcc").version()
    path = write_features(fma, {2: numbers(2), 3: numbers(3)})
    path.write_text(path.read_text()[:-20])
    with pytest.raises(SourceError, match=r"features\.csv:6"):
        run(import_features)
    assert feature_table(ctx, "fma_mfcc").version() == version


def test_the_config_for_fma_needs_nothing_that_is_not_published() -> None:
    config = load(Path(__file__).parents[2] / "tune_configs/fma.yaml")
    assert set(views_needed(config)) <= set(config.features) <= set(PUBLISHED)


def test_command_ends_with_2_and_says_what_could_be_imported(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(f"store: {tmp_path}/store\nsource: {{kind: fma, root: {tmp_path}}}\nfeatures: [mfcc]\n")
    said = CliRunner().invoke(app, ["import-features", str(path)])
    assert said.exit_code == 2
    assert "what can be imported: fma_mfcc, mfcc_native" in said.output
