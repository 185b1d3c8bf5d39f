"""Fragments of a Lance dataset: written by workers, each with the checksum of its file beside the data.

Lance reads a flipped byte without an error, so what was written is noted and compared. See `docs/decisions.md`.
"""

from __future__ import annotations

import errno
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
from lance.fragment import write_fragments

from ray_pipeline.errors import Damaged, StoreError
from ray_pipeline.s3_address import is_s3
from ray_pipeline.store.files import folder_at
from ray_pipeline.store.local import WHY, room_at

SUMS = "_checksums"
ENDING = ".blake2b"
_REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
_OUT_OF_REACH = ("Generic S3 error", "error sending request")
"""Words of Lance's for a store that does not answer, or refuses."""


@dataclass(frozen=True)
class Written:
    """A fragment that lies in the store and is not committed yet; plain text, so that it travels from worker to driver."""

    uri: str
    fragment: str
    rows: int


def write_fragment(rows: pa.Table, uri: str) -> Written:
    """Write `rows` as one fragment of the dataset at `uri`, with its checksum, uncommitted."""
    with told(uri):
        (fragment,) = write_fragments(
            rows, uri, schema=rows.schema, max_rows_per_file=max(rows.num_rows, 1), storage_options=options(uri)
        )
    for file in fragment.files:
        note_checksum(uri, file.path)
    return Written(uri, json.dumps(fragment.to_json()), rows.num_rows)


def note_checksum(uri: str, file: str) -> None:
    """Write down the checksum of a data file."""
    folder = folder_at(uri)
    folder.write(sum_name(file), folder.checksum(f"data/{file}").encode("ascii"))


def sum_name(file: str) -> str:
    """Where in a dataset the checksum of a data file lies."""
    return f"{SUMS}/{PurePosixPath(file).name}{ENDING}"


def damage_of(uri: str, file: str) -> str:
    """What is wrong with a data file; "" if nothing is."""
    folder = folder_at(uri)
    place = folder.at(f"data/{file}")
    try:
        found = folder.checksum(f"data/{file}")
    except FileNotFoundError:
        return f"{place}: the file is gone"
    try:
        noted = folder.read(sum_name(file)).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return f"{place}: its checksum {folder.at(sum_name(file))} is gone"
    return "" if found == noted else f"{place}: the bytes are not those that were written"


def options(uri: str) -> dict[str, str] | None:
    """What Lance is to be told of the store that `uri` lies in."""
    if not is_s3(uri):
        return None
    from ray_pipeline.store.objects import lance_options

    return lance_options()


def _errno(error: BaseException) -> int | None:
    """The system's number of an error; Lance tells it in words."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


class told:
    """Turns Lance's and the system's errors into ours, with the dataset's place in them."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, OSError | RuntimeError | ValueError | pa.ArrowException):
            if "KeyboardInterrupt" in str(error):  # it struck below Lance, which reads our rows by a callback
                raise KeyboardInterrupt from error
            text = str(error).splitlines()[0][:300]
            number = _errno(error)
            if number in _REFUSED or (isinstance(error, OSError) and error.errno is not None):
                raise StoreError(f"{self.uri}: {text}{room_at(Path(self.uri), number)}", hint=WHY) from error
            if any(words in str(error) for words in _OUT_OF_REACH):
                raise StoreError(
                    f"{self.uri}: S3 does not answer, or refuses: {text}",
                    hint="what is not committed is not seen: when S3 answers again, the same command goes on from there",
                ) from error
            raise Damaged(
                f"{self.uri}: cannot be read or written: {text}",
                hint="`ray-pipeline verify STORE` names what is damaged; the next `ray-pipeline run CONFIG` makes it again",
            ) from error
