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
from typing import TYPE_CHECKING

from ray_pipeline.errors import StoreError, WeightsError, install
from ray_pipeline.lyrics.weights import not_fetched, one_at_a_time
from ray_pipeline.s3_address import S3, is_s3, split

if TYPE_CHECKING:
    from ray_pipeline.store.objects import Seen

MOST_OBJECTS = 1000  # a model is a few files; a bucket named by mistake is not
_MD5 = re.compile("[0-9a-f]{32}")  # the ETag of what was put in one part


def is_remote(model: str) -> bool:
    return "://" in model


def copy_of(address: str, *, setting: str, fetch: bool = True) -> Path:
    """The file or folder at `address`, ``s3://bucket/key``, on this node.

    Raises
    ------
    WeightsError
        It cannot be had, or holds what leads out of a folder; `setting` is the config key that named it.
    NotFetched
        There is no copy here, and without `fetch` none is made; what S3 has is listed all the same.
    """
    what = f"{setting}: {address}"
    bucket, key = split(address.rstrip("/"))
    if not is_s3(address) or not bucket or not key:
        raise WeightsError(f"{what}: write it as s3://bucket/key", hint="or name a local path")
    if find_spec("boto3") is None:
        raise WeightsError(f"{what}: the [s3] extra is needed", hint=install("s3"))
    try:
        objects = _objects(f"{S3}{bucket}/{key}", what)
        target = _target(bucket, key, objects)
        if not fetch and not target.exists():
            raise not_fetched(target.name, f"{S3}{bucket}/{key}", setting)
        _copy(f"{S3}{bucket}/{key}", objects, target, what)
    except StoreError as error:
        raise WeightsError(f"{setting}: {error}", hint=error.hint) from None
    except OSError as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise WeightsError(f"{what}: {why}", hint="credentials come from the environment") from None
    return target


def _target(bucket: str, key: str, objects: dict[str, Seen]) -> Path:
    """Where the copy of `objects`, as they are on S3 now, lies or is to lie."""
    told = {rest: {"size": seen.size, "etag": seen.etag} for rest, seen in objects.items()}
    known = hashlib.blake2b(json.dumps([bucket, key, told], sort_keys=True).encode(), digest_size=16).hexdigest()
    # Named as the address is, since a model's id holds its name.
    return _cache() / known / PurePosixPath(key).name


def _copy(address: str, objects: dict[str, Seen], target: Path, what: str) -> None:
    if target.exists():
        return
    with one_at_a_time(target.parent):
        if not target.exists():
            part = target.parent.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            for rest, seen in objects.items():
                _fetch(f"{address}{rest}", part / f"{target.name}{rest}", seen, what)
            part.rename(target.parent)


def _objects(address: str, what: str) -> dict[str, Seen]:
    """Rest of the key → what is seen: of the one object at `address`, or else of those below it."""
    from ray_pipeline.store.objects import below

    found: dict[str, Seen] = {}
    for rest, seen in below(address):
        if rest == "" or (rest.startswith("/") and not rest.endswith("/")):
            found[rest] = seen
        if len(found) > MOST_OBJECTS:
            raise WeightsError(f"{what}: more than {MOST_OBJECTS:,} objects, which is no model's folder")
    if "" in found:
        found = {"": found[""]}
    if not found:
        raise WeightsError(f"{what}: there is nothing there")
    if any(not all(part.strip(".") for part in rest.split("/")[1:]) for rest in found if rest):
        raise WeightsError(f"{what}: a name in it leads out of it")
    return found


def _fetch(address: str, path: Path, seen: Seen, what: str) -> None:
    from ray_pipeline.store.objects import fetch

    replaced = WeightsError(f"{what}: {address} came damaged, or was replaced meanwhile", hint="try again")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w+b") as file:
        try:
            fetch(address, file, limit=seen.size)
        except ValueError:  # more bytes than were listed
            raise replaced from None
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if path.stat().st_size != seen.size or (_MD5.fullmatch(seen.etag) and md5 != seen.etag):
        raise replaced


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ray_pipeline" / "weights"
