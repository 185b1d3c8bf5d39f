"""HTTP, the little of it that is needed: https alone, and each failure sorted into "again, later" and "never".

Python's own client: what there is to do (ranges, validators, what to try again) no client does for us, and a library for the
rest would be one more thing to install.
"""

from __future__ import annotations

import ipaddress
import ssl
import time
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from ray_pipeline.fma_archive.archives import FetchError

TIMEOUT_S = 60.0
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


class TryAgain(Exception):
    """What may pass: `str()` of it says what happened; `wait` is what the server asked for, s, None if nothing."""

    def __init__(self, cause: str, wait: float | None = None) -> None:
        super().__init__(cause)
        self.wait = wait


class RangeRefused(TryAgain):
    """The server has no such part of the file."""


def allowed(url: str) -> bool:
    """https to anywhere; http to this machine only. No user names: they would end up in logs."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 — raises where it is no port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url and parts.username is None
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(url))
    return plain and secure and bool(parts.hostname)


def is_loopback(url: str) -> bool:
    """Whether `url` names this machine: ``localhost``, 127.0.0.0/8, ::1."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def get(url: str, headers: dict[str, str]) -> HTTPResponse:
    """Open `url`; the response's status is 2xx.

    Raises
    ------
    TryAgain
        No connection, or a status that may pass (`RETRIED`).
    FetchError
        Any other status, a certificate that does not hold, a redirect away from https.
    """
    request = Request(url, headers={"Accept-Encoding": "identity", "User-Agent": "ray-pipeline", **headers})
    try:
        response: HTTPResponse = _opener(url).open(request, timeout=TIMEOUT_S)
        return response
    except HTTPError as error:
        error.close()
        raise _refusal(url, error) from None
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise FetchError(
                f"{url}: the certificate does not hold: {reason.verify_message}",
                hint="a proxy in between? its authority belongs in this machine's certificates",
            ) from None
        raise TryAgain(f"no connection ({_words(reason)})") from None


def read(response: HTTPResponse, size: int) -> bytes:
    """The next bytes, at most `size`; never none.

    Raises
    ------
    TryAgain
        The connection ended or broke.
    """
    try:
        data = response.read1(size)
    except (OSError, HTTPException) as error:
        raise TryAgain(f"the connection broke ({_words(error)})") from None
    if not data:
        raise TryAgain("the connection ended early")
    return data


def _opener(url: str) -> OpenerDirector:
    # What is on this machine is not behind a proxy; for the rest, the usual variables say.
    return build_opener(ProxyHandler({} if is_loopback(url) else None), _SafeRedirects)


class _SafeRedirects(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        # A server elsewhere has no business with what listens on this machine.
        inward = is_loopback(newurl) and not is_loopback(req.full_url)
        if inward or not allowed(newurl):
            raise FetchError(
                f"{req.full_url}: sends us on to {newurl}, where only a public https address will do",
                hint="name another mirror with --from",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _refusal(url: str, error: HTTPError) -> Exception:
    said = f"HTTP {error.code} {error.reason or ''}".strip()
    if error.code in RETRIED:
        return TryAgain(said, wait=_retry_after(error.headers.get("Retry-After", "")))
    if error.code == 416:
        return RangeRefused(said, wait=0.0)
    return FetchError(f"{url}: {said}", hint="look whether that address still stands, or name a mirror with --from")


def _retry_after(text: str) -> float | None:
    """Seconds from a `Retry-After` header, which holds seconds or a date."""
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _words(error: object) -> str:
    return str(getattr(error, "strerror", "") or error) or type(error).__name__
