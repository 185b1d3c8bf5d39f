"""A prefix on S3 as a source sees it: what lies below it, and whether a path stays there. Keys are names, not paths."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from ray_pipeline.errors import ConfigError, SourceError, StoreError
from ray_pipeline.s3_address import S3, is_s3, split
from ray_pipeline.store import objects

Found = tuple[str, objects.Seen]
"""The part of a key below the prefix, and what is seen of the object."""


def walk(root: str, skip: str) -> Iterator[Found]:
    """Objects below `root`, but hidden ones and those below `skip`, the store's address.

    Raises
    ------
    SourceError
        They cannot be listed.
    """
    inside = root.rstrip("/") + "/"
    try:
        for name, seen in objects.below(inside):
            hidden = any(part.startswith(".") for part in name.split("/"))
            marker = not name or name.endswith("/")  # what some tools put there to stand for a folder
            if not (hidden or marker) and not f"{inside}{name}".startswith(skip.rstrip("/") + "/"):
                yield name, seen
    except (OSError, StoreError, ConfigError) as error:
        raise _told(error) from None


def read(address: str) -> bytes:
    """The bytes of an object.

    Raises
    ------
    SourceError
        It cannot be had.
    """
    try:
        return objects.read(address)[0]
    except (OSError, StoreError, ConfigError) as error:
        raise _told(error) from None


def joined(root: str, path: str) -> tuple[str, bool]:
    """The address that `path`, relative or whole, names, and whether it lies below `root`."""
    base = root.rstrip("/")
    bucket, key = split(path if is_s3(path) else f"{base}/{path}" if not path.startswith("/") else f"{S3}/{path}")
    address = f"{S3}{bucket}/{posixpath.normpath('/' + key).lstrip('/')}"
    return address, address.startswith(f"{base}/")


def _told(error: Exception) -> SourceError:
    return SourceError(f"source.root: {error}", hint=getattr(error, "hint", ""))
