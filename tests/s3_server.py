"""A real S3 protocol server (moto) on loopback, with a gate before it that can refuse, delay or cut what is asked."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

SECRET = "secret-that-must-not-be-seen"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"

Where = Callable[[str, str], bool]
"""Of a request's method and path."""


def everywhere(method: str, path: str) -> bool:
    return True


@dataclass
class Gate:
    """`fail` requests are answered with `status`, every one is held up `delay` s, and `cut` bodies end half-way."""

    app: Any
    where: Where = everywhere
    fail: int = 0
    status: str = "503 Slow Down"
    body: bytes = BUSY
    delay: float = 0.0
    cut: int = 0
    seen: list[tuple[str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        hit = self.where(method, path)
        with self._lock:
            self.seen.append((method, path))
            refused = hit and self.fail > 0
            cut = hit and not refused and self.cut > 0
            self.fail -= refused
            self.cut -= cut
        if hit and self.delay:
            time.sleep(self.delay)
        if refused:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(self.status, [("Content-Type", "application/xml"), ("Content-Length", str(len(self.body)))])
            return [self.body]
        answer = self.app(environ, start_response)
        return _half(answer) if cut else answer

    def open(self) -> None:
        """Let everything through again."""
        self.where, self.fail, self.status, self.body, self.delay, self.cut = (
            everywhere,
            0,
            "503 Slow Down",
            BUSY,
            0.0,
            0,
        )
        self.seen.clear()


def _half(answer: Iterable[bytes]) -> Iterable[bytes]:
    whole = b"".join(answer)
    return [whole[: len(whole) // 2]]


class Server:
    """Serves until `stop`; ``gate`` stands before it."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.gate = Gate(DomainDispatcherApplication(create_backend_app))
        self._server = make_server("127.0.0.1", 0, self.gate, threaded=True)
        self.environment = ENVIRONMENT | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_port}"}
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def client(self) -> Any:
        """A client of the tests' own, on which no retries or patches of ours tell."""
        env = self.environment
        return boto3.client(
            "s3",
            endpoint_url=env["AWS_ENDPOINT_URL"],
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
            region_name=env["AWS_DEFAULT_REGION"],
        )

    def stop(self) -> None:
        self._server.shutdown()
