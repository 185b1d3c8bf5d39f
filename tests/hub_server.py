"""A model hub on loopback, of the few requests that fetching a model's files takes."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "5" * 40


@dataclass
class Hub:
    """One model, `repo`, and what it says of its files; `sent` counts how often the bytes of each went out."""

    repo: str
    files: dict[str, bytes]
    url: str = ""
    published: dict[str, str] = field(default_factory=dict)  # SHA-256, of large files; where absent, that of the bytes
    sent: Counter[str] = field(default_factory=Counter)
    slow: dict[str, float] = field(default_factory=dict)  # s before the bytes of a file go out

    def digest(self, name: str) -> str:
        return self.published.get(name, hashlib.sha256(self.files[name]).hexdigest())

    def headers(self, name: str) -> dict[str, str]:
        etag = f'"{self.digest(name)}"'
        return {"X-Repo-Commit": COMMIT, "ETag": etag, "Content-Length": str(len(self.files[name]))}

    def about(self, path: str) -> Any:
        """What the hub says of the model, or of its files."""
        if "/tree/" not in path:
            return {"id": self.repo, "sha": COMMIT, "siblings": [{"rfilename": name} for name in self.files]}
        sizes = {name: len(body) for name, body in self.files.items()}
        return [
            {"type": "file", "path": name, "size": size, "oid": "0" * 40}
            | {"lfs": {"oid": self.digest(name), "size": size, "pointerSize": 1}}
            for name, size in sizes.items()
        ]


@contextmanager
def hub(repo: str, files: dict[str, bytes]) -> Iterator[Hub]:
    """A hub that answers while the block lasts."""
    there = Hub(repo, files)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            path = self.path.partition("?")[0]
            name = path.rpartition(f"/resolve/{COMMIT}/")[2]
            if path == "/":
                self._send(b"", {"Content-Length": "0"})
            elif path.startswith(f"/api/models/{repo}"):
                found = json.dumps(there.about(path)).encode()
                self._send(found, {"Content-Length": str(len(found)), "Content-Type": "application/json"})
            elif name in files:
                if self.command == "GET":
                    there.sent[name] += 1
                    time.sleep(there.slow.get(name, 0))
                self._send(files[name], there.headers(name))
            else:
                self.send_error(404)

        def _send(self, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(200)
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    there.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield there
    finally:
        server.shutdown()
        server.server_close()
