"""A folder of music, with all its subfolders; on S3 a prefix with all that lies below it."""

from __future__ import annotations

import hashlib
import os
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from ray_pipeline.errors import SourceError
from ray_pipeline.s3_address import is_s3
from ray_pipeline.schemas import Status
from ray_pipeline.sources.base import Entry, Note, Progress, SourceParams, full_path, to_uri

# Names that promise audio. Content decides in the end: what has no ending at all is looked at too.
AUDIO_ENDINGS = frozenset({
    ".aac", ".aif", ".aifc", ".aiff", ".alac", ".ape", ".au", ".caf", ".flac", ".m4a", ".m4b", ".mp2", ".mp3", ".mp4",
    ".mpc", ".oga", ".ogg", ".opus", ".snd", ".w64", ".wav", ".wave", ".webm", ".wma", ".wv",
})  # fmt: skip


class Params(SourceParams):
    root: str = Field(min_length=1, description="a folder, or s3://bucket/prefix")


def list_tracks(
    params: Params, *, store: str, seed: int, progress: Progress | None = None, note: Note | None = None
) -> list[Entry]:
    """One entry a file under ``params.root`` that may be audio, in the order of their relative paths.

    Raises
    ------
    SourceError
        ``root`` is not a folder, or no prefix on S3, that can be read.
    """
    if is_s3(params.root):
        return _on_s3(params.root, store)
    root = full_path(params.root)
    if not root.is_dir():
        raise SourceError(f"source.root: {root} is not a folder", hint="name one with --set source.root=~/Music")
    found = sorted(_walk(str(root), store))
    if not found:
        raise _nothing_in(str(root))
    ids = track_ids([os.path.relpath(path, root) for path, _ in found])
    inside = os.path.realpath(root)
    return [_entry(track_id, path, error, inside) for track_id, (path, error) in zip(ids, found, strict=True)]


def _on_s3(root: str, store: str) -> list[Entry]:
    """As in a folder; what a listing tells of objects is kept, so that none has to be asked for."""
    from ray_pipeline.sources import bucket

    found = sorted((name, seen) for name, seen in bucket.walk(root, store) if _may_be_audio(posixpath.basename(name)))
    if not found:
        raise _nothing_in(root)
    ids = track_ids([name for name, _ in found])
    inside = root.rstrip("/")
    return [
        Entry(track_id, f"{inside}/{name}", size=seen.size, mtime_ns=seen.mtime_ns)
        for track_id, (name, seen) in zip(ids, found, strict=True)
    ]


def _nothing_in(root: str) -> SourceError:
    return SourceError(
        f"source.root: {root}: no audio files in it", hint=f"looked for {', '.join(sorted(AUDIO_ENDINGS))}"
    )


def track_ids(relative: list[str]) -> list[str]:
    """blake2b-128 hex of each path in NFC; where two paths are the same in NFC, the one that is not keeps its own bytes."""
    composed = [unicodedata.normalize("NFC", path) for path in relative]
    twins = Counter(composed)
    return [_hex(path if twins[nfc] > 1 and path != nfc else nfc) for path, nfc in zip(relative, composed, strict=True)]


def _hex(path: str) -> str:
    return hashlib.blake2b(os.fsencode(path), digest_size=16).hexdigest()


def _walk(root: str, skip: str) -> Iterator[tuple[str, str]]:
    """Files below `root` that may be audio, each with "", and folders that cannot be read, each with the reason.

    Linked folders are not entered, so no loop can hold us; one that leads out of `root` is told like a file that does. Nor
    is `skip`, the store's own folder.
    """
    folders = [root]
    own = _identity(os.path.realpath(skip))
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as found:
                items = [item for item in found if not item.name.startswith(".")]
        except OSError as error:
            if folder == root:
                raise SourceError(f"source.root: {root}: {error.strerror}") from None
            yield folder, f"a folder that cannot be read: {error.strerror}"
            continue
        for item in items:
            is_folder = item.is_dir(follow_symlinks=False)
            if is_folder and (item.inode() != own[1] or _identity(item.path) != own):
                folders.append(item.path)
            if _looks_like_audio(item.name) or not (is_folder or _has_ending(item.name) or _is_walked(item.path, root)):
                yield item.path, ""


def _identity(path: str) -> tuple[int, int]:
    """Device and inode, the same by whatever name; -1 for what is not there."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return -1, -1
    return found.st_dev, found.st_ino


def _is_walked(path: str, root: str) -> bool:
    """Whether a link leads to a folder that is found by its own name too."""
    return os.path.isdir(path) and not _leads_out(path, os.path.realpath(root))  # noqa: PTH112


def _leads_out(path: str, inside: str) -> bool:
    return os.path.islink(path) and not Path(os.path.realpath(path)).is_relative_to(inside)  # noqa: PTH114


def _may_be_audio(name: str) -> bool:
    return _looks_like_audio(name) or not _has_ending(name)


def _looks_like_audio(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in AUDIO_ENDINGS  # noqa: PTH122 — a name, not a path


def _has_ending(name: str) -> bool:
    """``notes.txt`` has one, ``Symphony No. 5`` has none."""
    ending = os.path.splitext(name)[1]  # noqa: PTH122
    return bool(ending) and not any(c.isspace() for c in ending)


def _entry(track_id: str, path: str, error: str, inside: str) -> Entry:
    if _leads_out(path, inside):
        return Entry(track_id, to_uri(path), status=Status.OUTSIDE_ROOT, error="a link that leads out of source.root")
    return Entry(track_id, to_uri(path), status=Status.UNREADABLE if error else Status.OK, error=error)
