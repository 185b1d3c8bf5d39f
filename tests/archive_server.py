"""A web server on 127.0.0.1 that serves zips well, or as badly as a test asks; and small archives to serve."""

from __future__ import annotations

import hashlib
import io
import random
import socket
import struct
import threading
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ray_pipeline.fma_archive import Archive


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_BZIP2) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def published(name: str, body: bytes, unpacked: int = 1 << 20) -> Archive:
    """An `Archive` as FMA would publish `body`."""
    return Archive(name, hashlib.sha1(body).hexdigest(), len(body), unpacked)


class Handler(BaseHTTPRequestHandler):
    server: ArchiveServer

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Range", "")))
        act = self.server.script.popleft() if self.server.script else serve()
        act(self)

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, code: int, **headers: object) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()


Act = Callable[[Handler], None]


class ArchiveServer(ThreadingHTTPServer):
    """`files` by path, all of version `etag`; each request takes one act of `script`, and is served well without one."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.etag = '"1"'
        self.script: deque[Act] = deque()
        self.asked: list[tuple[str, str]] = []
        self.go_on = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def ranges(self) -> list[str]:
        """The Range header of each request so far, "" where there was none."""
        return [range_ for _, range_ in self.asked]


@contextmanager
def serving() -> Iterator[ArchiveServer]:
    with ArchiveServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.go_on.set()
            server.shutdown()
            thread.join()


def serve(
    *,
    ranges: bool = True,
    if_range: bool = True,
    cut: int | None = None,
    reset: bool = False,
    stall: bool = False,
    claim: int | None = None,
    length: bool = True,
) -> Act:
    """Send the file, or the part that is asked for.

    `ranges`: heed Range. `if_range`: heed If-Range. `cut`: send only this many bytes, then hang up (`reset`: rudely; `stall`:
    not before `go_on` is set). `claim`: say this as the whole file's length. `length`: say a length at all.
    """

    def act(handler: Handler) -> None:
        server = handler.server
        body = server.files.get(handler.path)
        if body is None:
            return handler.answer(404)
        headers: dict[str, object] = {"ETag": server.etag} if server.etag else {}
        start, total = 0, len(body) if claim is None else claim
        wanted = handler.headers.get("Range")
        same = not if_range or handler.headers.get("If-Range", server.etag) == server.etag
        if ranges and wanted and same:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                return handler.answer(416, Content_Range=f"bytes */{len(body)}")
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        if length:
            headers["Content-Length"] = total - start
        handler.answer(206 if "Content-Range" in headers else 200, **headers)
        handler.wfile.write(body[start : None if cut is None else start + cut])
        if stall:
            server.go_on.wait(30)
        if reset:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return None

    return act


def refuse(code: int, **headers: object) -> Act:
    return lambda handler: handler.answer(code, Content_Length=0, **headers)


def becomes(path: str, body: bytes, etag: str, then: Act) -> Act:
    """From this request on another file lies at `path`."""

    def act(handler: Handler) -> None:
        handler.server.files[path], handler.server.etag = body, etag
        then(handler)

    return act
