"""``s3://bucket/prefix``: told from a path, checked and taken apart. Nothing of S3 itself is imported."""

from __future__ import annotations

import importlib.util
import re

from ray_pipeline.errors import install

S3 = "s3://"
INSTALL = install("s3")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# Lance takes the address for a URL: what a URL escapes would be another name there than here.
_PREFIX = re.compile(r"[A-Za-z0-9._=+/-]*")


def is_s3(address: str) -> bool:
    return address.startswith(S3)


def split(address: str) -> tuple[str, str]:
    """Bucket and key of an address; the key is what follows, whatever it holds."""
    bucket, _, key = address.removeprefix(S3).partition("/")
    return bucket, key


def check_store(address: str) -> str:
    """The address of a store as it is written everywhere, without a slash at its end.

    Raises
    ------
    ValueError
        It is none, or the [s3] extra is not installed; the text says which.
    """
    bucket, prefix = split(address)
    parts = prefix.rstrip("/").split("/")
    if "@" in address:
        raise ValueError("credentials come from the environment, never from an address")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError("write it as s3://bucket/prefix; a bucket has 3 to 63 small letters, digits, '.' and '-'")
    if not _PREFIX.fullmatch(prefix) or (prefix.strip("/") and not all(part.strip(".") for part in parts)):
        raise ValueError("after the bucket only names of letters, digits and . _ - = + between single slashes")
    if importlib.util.find_spec("boto3") is None:
        raise ValueError(f"the [s3] extra is needed for s3://: {INSTALL}")
    return f"{S3}{bucket}/{prefix}".rstrip("/")
