"""Weights on s3://, copied once a node: one process copies them, the others wait and find the copy.

A copy is known by what S3 says of each object, its key, size and ETag: weights that are put there anew are copied anew, and
what lies on a node is never taken for something else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from ray_pipeline.errors import WeightsError, install
from ray_pipeline.lyrics.weights import one_at_a_time
from ray_pipeline.s3_address import S3

MOST_OBJECTS = 1000  # a model is a few files; a bucket named by mistake is not
_MD5 = re.compile("[0-9a-f]{32}")  # the ETag of what was put in one part


def is_remote(model: str) -> bool:
    return "://" in model


def copy_of(address: str, *, setting: str) -> Path:
    """The file or folder at `address`, ``s3://bucket/key``, on this node.

    Raises
    ------
    WeightsError
        It cannot be had, or holds what leads out of a folder; `setting` is the config key that named it.
    """
    bucket, _, key = address.removeprefix(S3).rstrip("/").partition("/")
    if not address.startswith(S3) or not bucket or not key:
        raise WeightsError(f"{setting}: {address}: write it as s3://bucket/key", hint="or name a local path")
    if find_spec("boto3") is None:
        raise WeightsError(f"{setting}: {address}: the [s3] extra is needed", hint=install("s3"))
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return _copied(_client(), bucket, key, f"{setting}: {address}")
    except (BotoCoreError, ClientError, OSError) as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise WeightsError(f"{setting}: {address}: {why}", hint="credentials come from the environment") from None


def _client() -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client("s3", config=Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard"}))


def _copied(client: Any, bucket: str, key: str, what: str) -> Path:
    objects = _objects(client, bucket, key, what)
    known = hashlib.blake2b(json.dumps([bucket, key, objects], sort_keys=True).encode(), digest_size=16).hexdigest()
    # Named as the address is, since a model's id holds its name.
    target = _cache() / known / PurePosixPath(key).name
    if target.exists():
        return target
    with one_at_a_time(target.parent):
        if not target.exists():
            part = target.parent.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            for name, one in objects.items():
                _fetch(client, bucket, f"{key}{name}", part / f"{target.name}{name}", one, what)
            part.rename(target.parent)
    return target


def _objects(client: Any, bucket: str, key: str, what: str) -> dict[str, dict[str, Any]]:
    """Rest of the key → size and ETag: of the one object of that key, or else of those below it."""
    found: dict[str, dict[str, Any]] = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key):
        for one in page.get("Contents", []):
            rest = one["Key"][len(key) :]
            if rest == "" or (rest.startswith("/") and not rest.endswith("/")):
                found[rest] = {"size": one["Size"], "etag": one["ETag"].strip('"')}
        if len(found) > MOST_OBJECTS:
            raise WeightsError(f"{what}: more than {MOST_OBJECTS:,} objects, which is no model's folder")
    if "" in found:
        found = {"": found[""]}
    if not found:
        raise WeightsError(f"{what}: there is nothing there")
    if any(not all(part.strip(".") for part in rest.split("/")[1:]) for rest in found if rest):
        raise WeightsError(f"{what}: a name in it leads out of it")
    return found


def _fetch(client: Any, bucket: str, key: str, path: Path, told: dict[str, Any], what: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    client.download_file(bucket, key, str(path))
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if path.stat().st_size != told["size"] or (_MD5.fullmatch(told["etag"]) and md5 != told["etag"]):
        raise WeightsError(f"{what}: {key} came damaged, or was replaced meanwhile", hint="try again")


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ray_pipeline" / "weights"
