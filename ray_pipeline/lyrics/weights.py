"""Where model weights are: an installed package, a folder, the hub's cache, or the hub. Never a silent wait for a network."""

from __future__ import annotations

import fcntl
import hashlib
import queue
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from ray_pipeline.errors import NotFetched, WeightsError, install

PROBE_S = 5.0
_SHA256 = re.compile("[0-9a-f]{64}")


def packaged(package: str) -> Path | None:
    """The folder of weights that the installed `package` brings, by its `get_model_path()`; None if it is not installed."""
    if find_spec(package) is None:
        return None
    return Path(import_module(package).get_model_path())


def from_hub(repo_id: str, patterns: list[str], *, setting: str, fetch: bool = True) -> Path:
    """Folder of the hub's `repo_id`: from the local cache, else downloaded, once a node (only files that match `patterns`).

    Raises
    ------
    WeightsError
        Not in the cache, and the hub is switched off, out of reach, or has no such model; or what came is not what it
        says it holds. `setting` is the config key that the message tells to change.
    NotFetched
        Not in the cache, and without `fetch` nothing is asked of the hub.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return _snapshot(repo_id, patterns, local=True)
    except LocalEntryNotFoundError:
        if constants.HF_HUB_OFFLINE:
            raise missing(repo_id, "HF_HUB_OFFLINE is set, and it is not in the local cache", setting) from None
    except ValueError as error:
        raise missing(repo_id, str(error), setting) from None
    if not fetch:
        raise not_fetched(repo_id, constants.ENDPOINT, setting)
    if not reachable(constants.ENDPOINT):
        raise missing(repo_id, f"{constants.ENDPOINT} did not answer in {PROBE_S:.0f} s", setting)
    try:
        with one_at_a_time(Path(constants.HF_HUB_CACHE) / repo_id.replace("/", "--")):
            folder = _snapshot(repo_id, patterns, local=False)
            _check_blobs(folder)
    except WeightsError:
        raise
    except Exception as error:
        # What answers there may be no hub, and the hub's client then raises whatever it stumbles over.
        where = "" if isinstance(error, OSError) else f"{constants.ENDPOINT}: "
        raise missing(repo_id, f"{where}{type(error).__name__}: {error}".splitlines()[0], setting) from error
    return folder


def _snapshot(repo_id: str, patterns: list[str], *, local: bool) -> Path:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(repo_id, allow_patterns=patterns, local_files_only=local))


def _check_blobs(folder: Path) -> None:
    """Hold what was downloaded against the hub's own SHA-256, which its cache names large files by.

    Raises
    ------
    WeightsError
        Something else came; it is not kept.
    """
    for path in folder.rglob("*"):
        blob = path.resolve()
        if path.is_file() and _SHA256.fullmatch(blob.name) and sha256(blob) != blob.name:
            blob.unlink()
            path.unlink()
            raise WeightsError(f"{path}: what came is not what was published, its SHA-256 differs", hint="try again")


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Only one process of this machine makes `path`, a file or a folder; the others wait, and find it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def missing(what: str, why: str, setting: str) -> WeightsError:
    """The error for weights that cannot be had, with the ways to get them."""
    return WeightsError(
        f"no weights for '{what}': {why}",
        hint=f"{install('offline')} (brings Whisper tiny.en and all-MiniLM-L6-v2), or set {setting} to a "
        "folder that holds the weights, or run once where the hub can be reached",
    )


def not_fetched(what: str, place: str, setting: str) -> NotFetched:
    """The error for weights that a run would fetch, where nothing is to be."""
    return NotFetched(
        f"{setting}: the weights of '{what}' are not on this machine: they are yet to be fetched from {place}",
        hint="a dry run fetches nothing; the same command without --dry-run does",
    )


def require(folder: Path, names: list[str], *, setting: str) -> Path:
    """`folder`, once it is known to hold every file in `names`.

    Raises
    ------
    WeightsError
        The folder lacks one of them.
    """
    lacking = [name for name in names if not (folder / name).is_file()]
    if lacking:
        raise WeightsError(
            f"{folder}: not a folder of weights, it lacks {', '.join(lacking)}",
            hint=f"set {setting} to a folder that holds {', '.join(names)}",
        )
    return folder


def refused(folder: Path, what: str, error: Exception, *, setting: str) -> WeightsError:
    """The error for files that a library cannot make `what` of; of its own words, the first line."""
    why = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    return WeightsError(f"{folder}: refused as {what}: {why}", hint=f"fetch it again, or set {setting} to another")


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes, computed once a process for the same size and modification time."""
    stat = path.stat()
    return _sha256(str(path), stat.st_size, stat.st_mtime_ns)


def reachable(url: str) -> bool:
    """Whether `url` answers, with anything, within `PROBE_S` seconds; looking up its name counts towards that."""
    answer: queue.SimpleQueue[bool] = queue.SimpleQueue()
    # A resolver may block for longer than any socket's timeout, so the wait is on a thread that may be left behind.
    threading.Thread(target=lambda: answer.put(_answers(url)), daemon=True).start()
    try:
        return answer.get(timeout=PROBE_S)
    except queue.Empty:
        return False


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PROBE_S).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


@lru_cache(maxsize=16)
def _sha256(path: str, size: int, mtime_ns: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
