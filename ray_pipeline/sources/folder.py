"""A folder of music, with all its subfolders."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from ray_pipeline.errors import SourceError
from ray_pipeline.schemas import Status
from ray_pipeline.sources.base import Entry, SourceParams, full_path, to_uri

# Names that promise audio. Content decides in the end: what has no ending at all is looked at too.
AUDIO_ENDINGS = frozenset({
    ".aac", ".aif", ".aifc", ".aiff", ".alac", ".ape", ".au", ".caf", ".flac", ".m4a", ".m4b", ".mp2", ".mp3", ".mp4",
    ".mpc", ".oga", ".ogg", ".opus", ".snd", ".w64", ".wav", ".wave", ".webm", ".wma", ".wv",
})  # fmt: skip


class Params(SourceParams):
    root: str


def list_tracks(
    params: Params, *, store: str, seed: int, progress: Callable[[int, int], None] | None = None
) -> list[Entry]:
    """One entry a file under ``params.root`` that may be audio, in the order of their relative paths.

    Raises
    ------
    SourceError
        ``root`` is not a folder that can be read.
    """
    root = full_path(params.root)
    if not root.is_dir():
        raise SourceError(f"source.root: {root} is not a folder", hint="name one with --set source.root=~/Music")
    inside = Path(store).absolute()
    paths = sorted(_walk(str(root), str(inside) if inside != root else ""))
    if not paths:
        raise SourceError(
            f"source.root: {root}: no audio files in it", hint=f"looked for {', '.join(sorted(AUDIO_ENDINGS))}"
        )
    ids = track_ids([os.path.relpath(path, root) for path in paths])
    return [_entry(track_id, path, root) for track_id, path in zip(ids, paths, strict=True)]


def track_ids(relative: list[str]) -> list[str]:
    """blake2b-128 hex of each path in NFC; where two paths are the same in NFC, the one that is not keeps its own bytes."""
    composed = [unicodedata.normalize("NFC", path) for path in relative]
    twins = Counter(composed)
    return [_hex(path if twins[nfc] > 1 and path != nfc else nfc) for path, nfc in zip(relative, composed, strict=True)]


def _hex(path: str) -> str:
    return hashlib.blake2b(os.fsencode(path), digest_size=16).hexdigest()


def _walk(folder: str, skip: str) -> Iterator[str]:
    """Paths of files below `folder`; linked folders are not entered, so no loop can hold us."""
    with os.scandir(folder) as found:
        for item in found:
            if item.name.startswith("."):
                continue
            if item.is_dir(follow_symlinks=False):
                if _looks_like_audio(item.name):
                    yield item.path
                elif item.path != skip and os.access(item.path, os.R_OK | os.X_OK):
                    yield from _walk(item.path, skip)
            elif _looks_like_audio(item.name) or "." not in item.name:
                yield item.path


def _looks_like_audio(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in AUDIO_ENDINGS  # noqa: PTH122 — a name, not a path


def _entry(track_id: str, path: str, root: Path) -> Entry:
    leads_out = os.path.islink(path) and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))  # noqa: PTH114
    if leads_out:
        return Entry(track_id, to_uri(path), status=Status.OUTSIDE_ROOT, error="a link that leads out of source.root")
    return Entry(track_id, to_uri(path))
