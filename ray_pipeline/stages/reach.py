"""The local paths that the workers of a command are sent to, so that every node can be asked whether it sees them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ray_pipeline.s3_address import is_s3
from ray_pipeline.sources.base import full_path
from ray_pipeline.stages.context import Context
from ray_pipeline.stages.node_report import Wanted, wanted

_OPENS_AUDIO = {"run", "ingest", "featurize", "transcribe"}


@contextmanager
def paths(ctx: Context, command: str) -> Iterator[list[Wanted]]:
    """What nodes must see for `command`; a token lies in the store as long as they are asked."""
    found = [*_audio(ctx, command), *_weights(ctx, command)]
    store = str(ctx.config.store)
    if is_s3(store):
        yield found
    elif ctx.dry:
        yield [*found, *([wanted("store", store)] if Path(store).is_dir() else [])]
    else:
        token = ctx.store.folder("scratch") / f"seen-{uuid.uuid4().hex}"
        token.write_text(token.name, encoding="utf-8")
        try:
            yield [*found, wanted("store", str(token), hashed=True, write=True)]
        finally:
            token.unlink(missing_ok=True)


def _audio(ctx: Context, command: str) -> list[Wanted]:
    """Where the source's files lie; a source that makes its own puts them into the store."""
    source = ctx.config.source
    root, audio_root = getattr(source, "root", None), getattr(source, "audio_root", None)
    if command not in _OPENS_AUDIO or not root:
        return []
    if audio_root:
        return _local("source.audio_root", audio_root)
    if source.kind == "manifest" and not is_s3(root):
        return _local("source.root", str(full_path(root).parent))
    return _local("source.root", root)


def _weights(ctx: Context, command: str) -> list[Wanted]:
    """Weights that are named by a path, and not by a name under which each node finds or fetches them."""
    found: list[Wanted] = []
    if ctx.config.lyrics.kind == "none":
        return found
    if command in {"run", "transcribe"}:
        found += _local("lyrics.model", str(getattr(ctx.config.lyrics, "model", "")), hashed=True)
    if command in {"run", "embed"}:
        found += _local("text.model", ctx.config.text.model, hashed=True)
    return found


def _local(setting: str, path: str, *, hashed: bool = False) -> list[Wanted]:
    """`path` if it is one of this machine: what is not there is some stage's to tell."""
    if not path or is_s3(path):
        return []
    local = full_path(path)
    return [wanted(setting, str(local), hashed=hashed)] if local.exists() else []
