"""The index of a store links to the pages beside it, whoever writes last, and to nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ray_pipeline.audit.table import Line
from ray_pipeline.collection import Collection
from ray_pipeline.report.data import ReportData
from ray_pipeline.report.html import render, write
from ray_pipeline.report.pages import INDEX, link, links
from ray_pipeline.stages import audit as audit_stage
from ray_pipeline.stages.sweep_report import write_sweep
from ray_pipeline.store import Store, folder_at
from ray_pipeline.sweep import Sweep

HOSTILE = [
    '"><script>alert(1)<',
    'sweep-"><img src=x onerror=alert(1)>.html',
    "sweep-' onmouseover='alert(2).html",
    "sweep-<!--pages-->.html",
    "sweep-a\u202egpj.html",
    "sweep-.html",
    "sweep-..html.html\n",
    "javascript:alert(1).html",
    "notes.html",
    "audit.json",
]


def index(text: str = "Demo") -> ReportData:
    return ReportData(title=text, made_at="2025-01-01", store=text, experiment_id=text, notes=[text], label_name=text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store's ``report/`` with an index."""
    return write(index(), tmp_path / "report" / INDEX).parent


def linked(folder: Path) -> list[tuple[str, str]]:
    """Address and title of each page that the index's navigation links to."""
    (nav,) = re.findall(r"<nav .*?</nav>", (folder / INDEX).read_text(encoding="utf-8"), re.DOTALL)
    return [found for found in re.findall(r'<a href="([^"]*)">([^<]*)</a>', nav) if not found[0].startswith("#")]


def test_pages_are_linked_by_name_the_audit_first() -> None:
    names = [INDEX, "sweep-b.html", "sweep-0f-a.1_2.html", "audit.html", *HOSTILE]
    assert links(names) == (
        '<a href="audit.html">Audit</a><a href="sweep-0f-a.1_2.html">Sweep 0f-a.1_2</a><a href="sweep-b.html">Sweep b</a>'
    )
    assert links([INDEX, *HOSTILE]) == ""


def test_links_follow_what_lies_there(folder: Path) -> None:
    plain = (folder / INDEX).read_bytes()
    link(folder_at(folder))
    assert (folder / INDEX).read_bytes() == plain and linked(folder) == []
    for name in ("audit.html", "sweep-a.html"):
        (folder / name).touch()
        link(folder_at(folder))
    assert linked(folder) == [("audit.html", "Audit"), ("sweep-a.html", "Sweep a")]
    (folder / "audit.html").unlink()
    link(folder_at(folder))
    assert linked(folder) == [("sweep-a.html", "Sweep a")]
    (folder / "sweep-a.html").unlink()
    link(folder_at(folder))
    assert (folder / INDEX).read_bytes() == plain


def test_a_title_cannot_take_the_place_of_the_links(folder: Path) -> None:
    write(index("<!--pages--><!--/pages-->"), folder / INDEX)
    (folder / "audit.html").touch()
    link(folder_at(folder))
    page = (folder / INDEX).read_text(encoding="utf-8")
    assert linked(folder) == [("audit.html", "Audit")] and page.count("audit.html") == 1


def test_without_an_index_or_a_place_in_it_nothing_is_written(tmp_path: Path) -> None:
    link(folder_at(tmp_path))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / INDEX).write_text("<nav></nav>", encoding="utf-8")
    (tmp_path / "audit.html").touch()
    link(folder_at(tmp_path))
    assert (tmp_path / INDEX).read_text(encoding="utf-8") == "<nav></nav>"


def test_a_sweep_and_an_audit_that_come_after_the_index_are_linked(context: Callable[..., Any], tmp_path: Path) -> None:
    ctx = context("audit", source={"kind": "folder", "root": "/"})
    folder = write(index(), tmp_path / "store/report" / INDEX).parent
    about = {"objective": ["coverage"], "uses_labels": False}
    assert write_sweep(Store(ctx.store.root), Sweep("5eed", about, [])) == str(folder / "sweep-5eed.html")
    assert linked(folder) == [("sweep-5eed.html", "Sweep 5eed")]
    audit_stage._write(ctx, Collection([], [], {}, {}), [Line("Controls", "random clusters", "ari")])
    assert linked(folder) == [("audit.html", "Audit"), ("sweep-5eed.html", "Sweep 5eed")]


def test_a_page_that_was_never_linked_has_no_link() -> None:
    assert "<!--pages--><!--/pages-->\n</nav>" in render(index())
