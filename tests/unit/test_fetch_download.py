"""One file over HTTP from a real server on this machine: it comes whole, whatever happens on the way, or it is said why not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from archive_server import ArchiveServer, becomes, noise, published, refuse, serve, serving

from ray_pipeline.fma_archive import FetchError, download, web
from ray_pipeline.fma_archive.part import Part

PATH = "/fma_small.zip"
BODY = noise(50_000)


@pytest.fixture
def server() -> Iterator[ArchiveServer]:
    with serving() as server:
        server.files[PATH] = BODY
        yield server


class Run:
    """What a download asked of its surroundings."""

    def __init__(self, folder: Path) -> None:
        self.part = folder / "fma_small.zip.part"
        self.said: list[str] = []
        self.slept: list[float] = []
        self.told: list[tuple[int, int]] = []

    def __call__(self, server: ArchiveServer, body: bytes = BODY) -> bytes:
        part = Part(self.part)
        download.download(
            published("fma_small", body),
            server.url + PATH,
            part,
            say=self.said.append,
            progress=lambda _, done, total: self.told.append((done, total)),
            sleep=self.slept.append,
        )
        assert part.complete
        return self.part.read_bytes()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_comes_whole_in_one_request(server: ArchiveServer, run: Run) -> None:
    assert run(server) == BODY
    assert server.ranges == [""]
    assert (run.slept, run.said) == ([], [])
    assert run.told == [(0, 1), (1, 1)]


@pytest.mark.parametrize("reset", [False, True], ids=["hung up", "reset"])
def test_goes_on_where_the_connection_was_lost(server: ArchiveServer, run: Run, reset: bool) -> None:
    server.script.extend([serve(cut=20_000, reset=reset), serve(cut=20_000, reset=reset)])
    assert run(server) == BODY
    assert len(run.slept) == 2
    if not reset:  # a reset may throw away what was on its way
        assert server.ranges == ["", "bytes=20000-", "bytes=40000-"]
        assert run.slept == [1.0, 2.0]


def test_goes_on_in_a_later_run(server: ArchiveServer, run: Run) -> None:
    server.script.extend([serve(cut=30_000), refuse(403)])
    with pytest.raises(FetchError, match="HTTP 403"):
        run(server)
    assert run(server) == BODY
    assert server.ranges == ["", "bytes=30000-", "bytes=30000-"]


def test_without_a_version_the_size_alone_counts(server: ArchiveServer, run: Run) -> None:
    server.etag = ""
    server.script.append(serve(cut=10_000))
    assert run(server) == BODY
    assert server.ranges == ["", "bytes=10000-"]


def test_server_that_sends_no_parts_starts_over(server: ArchiveServer, run: Run) -> None:
    server.script.extend([serve(cut=30_000), serve(ranges=False)])
    assert run(server) == BODY
    assert any("starts over" in line for line in run.said)


@pytest.mark.parametrize("heeds", [True, False], ids=["heeds If-Range", "sends the new file's rest"])
def test_file_that_changed_meanwhile_starts_over(server: ArchiveServer, run: Run, heeds: bool) -> None:
    new = noise(50_000, seed=1)
    server.script.extend([serve(cut=30_000), becomes(PATH, new, '"2"', serve(if_range=heeds))])
    assert run(server) == new


def test_file_of_another_length_starts_over(server: ArchiveServer, run: Run) -> None:
    server.etag = ""
    shorter = noise(49_000, seed=1)
    server.script.extend([serve(cut=49_500), becomes(PATH, shorter, "", serve())])
    assert run(server) == shorter


def test_busy_server_is_asked_again_later_each_time(server: ArchiveServer, run: Run) -> None:
    server.script.extend([refuse(503), refuse(429), refuse(500)])
    assert run(server) == BODY
    assert run.slept == [1.0, 2.0, 4.0]


def test_server_says_when_to_come_again(server: ArchiveServer, run: Run) -> None:
    in_a_minute = formatdate(time.time() + 60, usegmt=True)
    server.script.extend(
        [refuse(503, Retry_After=7), refuse(429, Retry_After=in_a_minute), refuse(503, Retry_After="x")]
    )
    assert run(server) == BODY
    assert run.slept[0] == 7.0
    assert 50.0 < run.slept[1] <= 60.0
    assert run.slept[2] == 4.0


def test_server_that_asks_for_too_long_is_left(server: ArchiveServer, run: Run) -> None:
    server.script.append(refuse(503, Retry_After=7200))
    with pytest.raises(FetchError, match="come again in 7,200 s"):
        run(server)
    assert run.slept == []


def test_server_that_never_recovers_is_given_up(server: ArchiveServer, run: Run) -> None:
    server.script.append(serve(cut=30_000))
    server.script.extend([refuse(503)] * 20)
    with pytest.raises(FetchError, match=r"HTTP 503.*8 times in a row") as raised:
        run(server)
    assert "29.3 KiB are kept" in raised.value.hint
    assert len(server.asked) == download.ATTEMPTS
    assert run.part.read_bytes() == BODY[:30_000]
    assert max(run.slept) <= download.LONGEST_PAUSE_S


def test_as_long_as_it_gets_on_it_may_break_often(
    server: ArchiveServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PROGRESS", 2_000)
    server.script.extend([serve(cut=2_500)] * 19)
    assert run(server) == BODY
    assert set(run.slept) == {1.0}


def test_drops_that_bring_next_to_nothing_are_given_up(server: ArchiveServer, run: Run) -> None:
    server.script.extend([serve(cut=10)] * 100)
    with pytest.raises(FetchError, match="8 times in a row"):
        run(server)


def test_silent_server_is_left_after_a_while(server: ArchiveServer, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "TIMEOUT_S", 0.3)
    server.script.append(serve(cut=30_000, stall=True))
    assert run(server) == BODY
    assert "timed out" in run.said[0]
    assert len(server.asked) > 1


def test_nobody_there(run: Run) -> None:
    with serving() as gone:
        pass
    with pytest.raises(FetchError, match="no connection"):
        run(gone)


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 451])
def test_refusal_is_told_at_once(server: ArchiveServer, run: Run, code: int) -> None:
    server.script.append(refuse(code))
    with pytest.raises(FetchError, match=f"fma_small.zip: HTTP {code}"):
        run(server)
    assert len(server.asked) == 1


def test_file_of_another_kind_is_not_taken(server: ArchiveServer, run: Run) -> None:
    server.files[PATH] = b"<html>please log in</html>"
    with pytest.raises(FetchError, match=r"is 26 bytes long; fma_small\.zip has about 48\.8 KiB"):
        run(server)
    assert run.part.exists() is False


def test_length_must_be_said(server: ArchiveServer, run: Run) -> None:
    server.script.append(serve(length=False))
    with pytest.raises(FetchError, match="does not say how long"):
        run(server)


def test_length_that_is_too_long_ends(server: ArchiveServer, run: Run) -> None:
    """The bytes it promises never come: asked for them, it has none."""
    server.script.extend([serve(claim=51_000)] * 50)
    with pytest.raises(FetchError, match="in a row"):
        run(server)


def test_length_that_is_too_short_is_believed(server: ArchiveServer, run: Run) -> None:
    """What came is then no file of FMA's, which its SHA-1 tells."""
    server.script.append(serve(claim=49_000))
    assert run(server) == BODY[:49_000]


@pytest.mark.parametrize(
    "record",
    [
        "",
        "[]",
        "{}",
        '{"size": "50000", "version": ""}',
        '{"size": 50000, "version": "a\\r\\nX: y"}',
        '{"size": 9}',
        None,
    ],
)
def test_part_whose_record_does_not_fit_starts_over(server: ArchiveServer, run: Run, record: str | None) -> None:
    run.part.write_bytes(b"?" * 100)
    if record is not None:
        Path(f"{run.part}.json").write_text(record)
    assert run(server) == BODY
    assert server.ranges == [""]


def test_part_longer_than_the_file_starts_over(server: ArchiveServer, run: Run) -> None:
    run.part.write_bytes(b"?" * 50_001)
    Path(f"{run.part}.json").write_text(json.dumps({"size": 50_000, "version": '"1"'}))
    assert run(server) == BODY
    assert server.ranges == [""]


def test_redirect_on_this_machine_is_followed(server: ArchiveServer, run: Run) -> None:
    server.files["/elsewhere"] = BODY
    server.script.append(refuse(302, Location="/elsewhere"))
    assert run(server) == BODY
    assert [path for path, _ in server.asked] == [PATH, "/elsewhere"]


@pytest.mark.parametrize(
    "to", ["http://example.org/fma_small.zip", "ftp://example.org/x", "file:///etc/passwd", "//x/y"]
)
def test_redirect_to_anything_but_https_is_refused(server: ArchiveServer, run: Run, to: str) -> None:
    server.script.append(refuse(302, Location=to))
    with pytest.raises(FetchError):
        run(server)
    assert len(server.asked) == 1
    assert run.slept == []


@pytest.mark.parametrize("to", ["http://127.0.0.1:1/x", "https://localhost/x", "http://[::1]/x"])
def test_redirect_from_outside_to_this_machine_is_refused(to: str) -> None:
    request: Any = web.Request("https://example.org/fma_small.zip")
    with pytest.raises(FetchError, match="public https"):
        web._SafeRedirects().redirect_request(request, None, 302, "", None, to)  # type: ignore[arg-type]


def test_redirect_to_https_elsewhere_is_followed() -> None:
    request: Any = web.Request("https://example.org/fma_small.zip", headers={"Range": "bytes=5-"})
    new = web._SafeRedirects().redirect_request(request, None, 302, "", {}, "https://example.com/x?y")  # type: ignore[arg-type]
    assert new is not None
    assert (new.full_url, new.get_header("Range")) == ("https://example.com/x?y", "bytes=5-")


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://example.org/fma", True),
        ("https://example.org:8443/fma", True),
        ("http://127.0.0.1:8000", True),
        ("http://localhost/", True),
        ("http://[::1]:80/", True),
        ("http://example.org/fma", False),
        ("http://127.0.0.1.example.org/", False),
        ("https://user:secret@example.org/", False),
        ("https:///fma", False),
        ("https://example.org:port/", False),
        ("https://[/", False),
        ("https://example.org/a b", False),
        ("https://example.org/\r\nX: y", False),
        ("https://exämple.org/", False),
        ("file:///etc/passwd", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_addresses(url: str, allowed: bool) -> None:
    assert web.allowed(url) is allowed


def test_proxy_is_not_asked_for_this_machine(server: ArchiveServer, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert run(server) == BODY
