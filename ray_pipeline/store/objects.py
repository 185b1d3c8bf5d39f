"""Objects on S3, through boto3: bounded retries, and then an error that says what, where, and how often it was tried.

boto3 tries again by itself what S3 refuses for the moment (503, 500, time-outs, lost connections); here only what breaks off
while a body is read. Credentials, region and endpoint are those of the usual AWS environment and files.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import IO, Any

from ray_pipeline.errors import ConfigError, StoreError
from ray_pipeline.s3_address import INSTALL, S3, split

TRIES = 7
CONNECT_S, READ_S = 10, 60
MOST_WAIT_S = 20.0  # between two tries
RETRY_S = 120  # Lance gives up after so long, or after as many tries as boto3
_CHUNK = 1 << 20
_ABSENT = {"NoSuchKey", "404", "NotFound"}
_LOST_RACE = {"PreconditionFailed", "ConditionalRequestConflict"}
HINTS = {
    "AccessDenied": "may these credentials list, read, write and delete below this address?",
    "403": "may these credentials list, read, write and delete below this address?",
    "NoSuchBucket": "make the bucket first, or name another",
    "InvalidAccessKeyId": "which credentials are in the environment?",
    "SignatureDoesNotMatch": "which credentials are in the environment?",
}
_AGAIN = "nothing is half-written: when S3 answers again, the same command goes on from what is there"
_CREDENTIALS = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role"


Take = Callable[[bytes], object]


@dataclass(frozen=True)
class Seen:
    """What S3 says of an object. `mtime_ns` is the second it was written in, with its ETag in place of the nanoseconds.

    S3 tells whole seconds: two objects put there within one differ in what their ETags come to. `etag` is without its quotes.
    """

    size: int
    mtime_ns: int
    etag: str


@cache
def client() -> Any:
    """The process's one client; threads share it.

    Raises
    ------
    ConfigError
        The [s3] extra is not installed.
    """
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise ConfigError(f"the [s3] extra is needed for s3://: {INSTALL}") from None
    retries = {"mode": "standard", "total_max_attempts": TRIES}
    config = Config(retries=retries, connect_timeout=CONNECT_S, read_timeout=READ_S, max_pool_connections=32)
    return boto3.Session().client("s3", config=config)


def lance_options() -> dict[str, str]:
    """What Lance is to know beside the credentials, which it finds in the same places as boto3, and renews."""
    meta = client().meta
    options = {"client_max_retries": str(TRIES - 1), "client_retry_timeout": str(RETRY_S), "timeout": f"{READ_S}s"}
    if meta.region_name and meta.region_name != "aws-global":
        options["aws_region"] = meta.region_name
    if not meta.endpoint_url.endswith(".amazonaws.com"):
        options["aws_endpoint"] = meta.endpoint_url
        options["allow_http"] = str(meta.endpoint_url.startswith("http://")).lower()
    return options


def read(address: str) -> tuple[bytes, str]:
    """Bytes and ETag of an object; FileNotFoundError where there is none."""
    parts: list[bytes] = []

    def begin() -> Take:
        parts.clear()
        return parts.append

    answer = scan(address, begin)
    return b"".join(parts), answer["ETag"]


def fetch(address: str, file: IO[bytes], limit: int) -> None:
    """Copy an object into `file`.

    Raises
    ------
    FileNotFoundError, PermissionError
        There is none; it may not be read.
    ValueError
        It has more than `limit` bytes.
    """

    def begin() -> Take:
        file.seek(0)
        file.truncate()
        return file.write

    scan(address, begin, limit)
    file.seek(0)


def scan(address: str, begin: Callable[[], Take], limit: int | None = None) -> dict[str, Any]:
    """Hand the bytes of an object, piece by piece, to what `begin` gives; called once more where they begin anew."""
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    bucket, key = split(address)
    with told("read", address):
        for left in reversed(range(TRIES)):
            answer: dict[str, Any] = client().get_object(Bucket=bucket, Key=key)
            if limit is not None and answer["ContentLength"] > limit:
                raise ValueError(f"{answer['ContentLength']:,} bytes; at most {limit:,} are fetched")
            take = begin()
            try:
                for chunk in answer["Body"].iter_chunks(_CHUNK):
                    take(chunk)
                return answer
            except (HTTPClientError, IncompleteReadError):
                if not left:
                    raise
            time.sleep(random.uniform(0, min(2.0 ** (TRIES - left), MOST_WAIT_S)))
    raise AssertionError("the last try returns or raises")


def put(address: str, data: bytes, held: str | None = None) -> bool:
    """Write an object; where `held` is an ETag only in place of that, where it is ``""`` only if there is none.

    False where that is not so. A put that was tried again may have been done before: whoever is told False looks again.
    """
    bucket, key = split(address)
    condition = {} if held is None else {"IfMatch": held} if held else {"IfNoneMatch": "*"}
    with told("written", address):
        try:
            client().put_object(Bucket=bucket, Key=key, Body=data, **condition)
        except client().exceptions.ClientError as error:
            if condition and error.response["Error"]["Code"] in _LOST_RACE | _ABSENT:
                return False
            raise
    return True


def look(address: str) -> Seen:
    """Size and time of an object; FileNotFoundError where there is none, PermissionError where it may not be seen."""
    bucket, key = split(address)
    with told("looked at", address):
        answer = client().head_object(Bucket=bucket, Key=key)
    return _seen(answer["ContentLength"], answer["LastModified"], answer["ETag"])


def below(address: str) -> Iterator[tuple[str, Seen]]:
    """Every object whose key begins with that of `address`: the rest of its key, and what is seen of it."""
    for page in _pages(address):
        for one in page.get("Contents", []):
            seen = _seen(one["Size"], one["LastModified"], one["ETag"])
            yield one["Key"].removeprefix(split(address)[1]), seen


def children(address: str) -> list[str]:
    """Names directly below `address`, which ends in a slash: of objects, and of what has objects below it."""
    key = split(address)[1]
    found: set[str] = set()
    for page in _pages(address, Delimiter="/"):
        found.update(one["Key"] for one in page.get("Contents", []))
        found.update(one["Prefix"].rstrip("/") for one in page.get("CommonPrefixes", []))
    return sorted(name for one in found if (name := one.removeprefix(key)))


def remove(addresses: list[str]) -> None:
    """Delete objects, which need not be there, a thousand a request."""
    for start in range(0, len(addresses), 1000):
        some = addresses[start : start + 1000]
        bucket = split(some[0])[0]
        with told("deleted", some[0]):
            keys = [{"Key": split(address)[1]} for address in some]
            answer = client().delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        for refused in answer.get("Errors", [])[:1]:
            raise StoreError(f"{S3}{bucket}/{refused['Key']}: cannot be deleted: {refused.get('Code')}", hint=_AGAIN)


def _pages(address: str, **more: str) -> Iterator[dict[str, Any]]:
    bucket, key = split(address)
    with told("listed", address):
        yield from client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key, **more)


def _seen(size: int, written: Any, etag: str) -> Seen:
    bare = etag.strip('"')
    digits = int.from_bytes(bare.encode()[:64], "big") % 1_000_000_000
    return Seen(size, int(written.timestamp()) * 1_000_000_000 + digits, bare)


@contextmanager
def told(done: str, address: str) -> Iterator[None]:
    """boto3's errors as the system's, for what is not there or not allowed, or as ours.

    Raises
    ------
    FileNotFoundError, PermissionError, StoreError
    """
    import botocore.exceptions as boto

    began = time.monotonic()
    try:
        yield
    except boto.ClientError as error:
        code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"].get("HTTPStatusCode")
        if code in _ABSENT:
            raise FileNotFoundError(f"{address}: is not there") from None
        tries = error.response["ResponseMetadata"].get("RetryAttempts", 0) + 1
        if code in {"AccessDenied", "403"}:
            raise PermissionError(f"{address}: access denied") from None
        why = f"{status} {code}: {error.response['Error'].get('Message', '')}"[:200]
        raise _failed(done, address, why, tries, began, HINTS.get(code, _AGAIN)) from None
    except boto.NoCredentialsError as error:
        raise StoreError(f"{address}: cannot be {done}: {error}", hint=_CREDENTIALS) from None
    except boto.BotoCoreError as error:
        raise _failed(done, address, f"{type(error).__name__}: {error}"[:200], TRIES, began, _AGAIN) from None


def _failed(done: str, address: str, why: str, tries: int, began: float, hint: str) -> StoreError:
    how_often = f" ({tries} tries in {time.monotonic() - began:.0f} s)" if tries > 1 else ""
    return StoreError(f"{address}: cannot be {done}: {why}{how_often}", hint=hint)
