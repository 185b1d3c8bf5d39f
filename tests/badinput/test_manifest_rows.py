"""A manifest that lies about paths, ids and titles. Numbers are those of BAD_INPUTS."""

from __future__ import annotations

import csv
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from processed import Row, features, process
from rich.text import Text
from sounds import write

from ray_pipeline.cli.console import LOG, Voice, log_to, safe
from ray_pipeline.errors import SourceError
from ray_pipeline.report.data import ReportData
from ray_pipeline.report.html import render
from ray_pipeline.sources import manifest
from ray_pipeline.stages.ingest import read_tracks
from ray_pipeline.store import Table

HOSTILE = {
    "html": "</script><img src=x onerror=alert(1)>",
    "formula": '=HYPERLINK("http://evil.example","x")',
    "playlist": "song\n#EXTINF:1,other\n/etc/passwd",
    "terminal": "\x1b]0;owned\x07\x1b[31mred",
    "markup": "[bold red]error:[/] :smiley: \\",
    "direction": "song\u202egpj",
}


def write_manifest(folder: Path, rows: list[dict[str, str]]) -> Path:
    path = folder / "tracks.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WAV file that nothing has any business with."""
    return write(tmp_path_factory.mktemp("outside") / "secret.wav")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, outside: Path) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("manifest")
    for name in ("a.wav", *(f"{kind}.wav" for kind in HOSTILE)):
        write(folder / name)
    (folder / "link.wav").symlink_to(outside)
    (folder / "linked").symlink_to(outside.parent)
    paths = {
        "good": "a.wav",
        "again": "./a.wav",
        "absolute inside": str(folder / "a.wav"),
        "above": "../../etc/passwd",
        "absolute": "/etc/passwd",
        "link": "link.wav",
        "through link": "linked/secret.wav",
        "roundabout": f"linked/../../{outside.parent.name}/secret.wav",
        "nul": "a.wav\0.mp3",
        "nothing": "",
    }
    rows = [{"track_id": name, "path": path, "title": name} for name, path in paths.items()]
    rows += [{"track_id": kind, "path": f"{kind}.wav", "title": title} for kind, title in HOSTILE.items()]
    return {"kind": "manifest", "root": str(write_manifest(folder, rows))}


@pytest.fixture(scope="module")
def rows(ray_session: Any, tmp_path_factory: pytest.TempPathFactory, source: dict[str, Any]) -> dict[str, Row]:
    """What became of each row of the manifest, by track_id; under "opened", the uris of all that was opened."""
    ctx = process(tmp_path_factory.mktemp("store"), source)
    (files,) = (Table(str(path)) for path in (ctx.store.root / "files").glob("*.lance"))
    made = features(ctx)
    found = {track["track_id"]: track | made[track["track_id"]] for track in read_tracks(ctx)}
    return found | {"opened": {"uris": files.read(["uri"])["uri"].to_pylist()}}


@pytest.mark.ray
@pytest.mark.parametrize("name", ["above", "absolute", "link", "through link", "roundabout"])
def test_row_15_outside_the_root(rows: dict[str, Row], name: str) -> None:
    row = rows[name]
    assert (row["status"], row["content_hash"], row["size"]) == ("outside_root", "", None)
    assert row["uri"] not in rows["opened"]["uris"]


@contextmanager
def opened() -> Iterator[list[str]]:
    """The paths that this process opens meanwhile."""
    paths: list[str] = []
    active = [True]

    def note(event: str, args: tuple[Any, ...]) -> None:
        if active and event == "open" and isinstance(args[0], str | bytes | os.PathLike):
            paths.append(os.path.realpath(os.fsdecode(args[0])))

    sys.addaudithook(note)  # it cannot be taken back: from here on it does nothing
    yield paths
    active.clear()


def test_row_15_is_never_opened(source: dict[str, Any], outside: Path) -> None:
    with opened() as paths:
        manifest.list_tracks(manifest.Params(**source), store="", seed=0)
    assert source["root"] in paths
    assert str(outside) not in paths
    assert "/etc/passwd" not in paths


@pytest.mark.ray
def test_row_15_absolute_path_inside_is_a_path_like_any_other(rows: dict[str, Row]) -> None:
    assert rows["absolute inside"]["status"] == "ok"


@pytest.mark.ray
def test_row_16_same_path_twice(rows: dict[str, Row]) -> None:
    names = ("absolute inside", "again", "good")
    assert [rows[name]["duplicate_of"] for name in names] == ["", "absolute inside", "absolute inside"]
    assert rows["good"]["mfcc"] == rows["again"]["mfcc"] is not None


def test_row_16_same_id_twice(tmp_path: Path) -> None:
    path = write_manifest(tmp_path, [{"track_id": "x", "path": "a.wav"}, {"track_id": " x", "path": "b.wav"}])
    with pytest.raises(SourceError, match="rows 2 and 3 have the same track_id 'x'") as caught:
        manifest.list_tracks(manifest.Params(root=str(path)), store="", seed=0)
    assert caught.value.exit_code == 2


@pytest.mark.ray
def test_paths_that_name_no_file(rows: dict[str, Row]) -> None:
    assert (rows["nul"]["status"], rows["nothing"]["status"]) == ("missing", "not_regular")


@pytest.mark.ray
def test_row_17_titles_are_kept_as_they_are(rows: dict[str, Row]) -> None:
    assert {kind: rows[kind]["title"] for kind in HOSTILE} == HOSTILE


def test_row_17_titles_are_inert_in_the_report() -> None:
    tags: list[str] = []
    page = HTMLParser()
    page.handle_starttag = lambda tag, attrs: tags.append(tag)  # type: ignore[method-assign]

    def made(titles: list[str]) -> list[str]:
        tracks = [{"track_id": str(i), "title": t, "cluster": 0, "x2d": i, "y2d": i} for i, t in enumerate(titles)]
        bad = [{"track_id": t, "title": t, "uri": t, "status": "empty", "error": t} for t in titles]
        html = render(ReportData("t", "2025-01-01", "s", "e", tracks=tracks, bad_tracks=bad))
        assert not any(c in html for c in "\x1b\x07\u202e")
        tags.clear()
        page.feed(html)
        page.reset()
        return sorted(tags)

    assert made(list(HOSTILE.values())) == made(["harmless"] * len(HOSTILE))


@pytest.mark.parametrize("title", HOSTILE.values(), ids=HOSTILE)
def test_row_17_titles_are_inert_on_the_terminal(title: str) -> None:
    shown = Text.from_markup(f"[bold]{safe(title)}[/]", emoji=False)
    assert shown.plain.isprintable()
    assert len(shown.plain) == len(title)
    assert [span.style for span in shown.spans] == ["bold"]


def test_row_17_titles_are_inert_in_logs(tmp_path: Path) -> None:
    handlers = list(LOG.handlers)
    try:
        path = log_to(tmp_path)
        for title in HOSTILE.values():
            Voice(quiet=True).say(title)
    finally:
        for handler in set(LOG.handlers) - set(handlers):
            LOG.removeHandler(handler)
            handler.close()
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(HOSTILE)
    assert all(line.isprintable() and " INFO " in line for line in lines)
    assert logging.getLogger("ray_pipeline") is LOG
