"""One table as a Lance dataset: appended fragment by fragment, each with the checksum of its file.

Workers write fragments, which nobody sees; the driver commits them. Lance reads a flipped byte without an error, so the
checksum of each data file is written beside it, and `damage` compares. See `docs/decisions.md`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
from lance.fragment import FragmentMetadata, write_fragments

from ray_pipeline.errors import Damaged, StoreError

SUMS = "_checksums"


@dataclass(frozen=True)
class Written:
    """A fragment that lies on disk and is not committed yet; plain text, so that it travels from worker to driver."""

    uri: str
    fragment: str
    rows: int


@dataclass(frozen=True)
class Table:
    """The dataset at `uri`, which need not be there yet."""

    uri: str

    @property
    def name(self) -> str:
        """``features/mfcc-0123…``, as people see it."""
        path = Path(self.uri)
        return f"{path.parent.name}/{path.stem}"

    def exists(self) -> bool:
        return bool(self._manifests())

    def version(self) -> int:
        """The latest committed version; 0 where there is none."""
        return int(self._open().version) if self.exists() else 0

    def create(self, schema: pa.Schema, recipe: dict[str, Any] | None = None) -> None:
        """Make the empty dataset; its recipe stands in the schema's metadata. No-op where it is there."""
        if self.exists():
            return
        schema = schema.with_metadata({"recipe": json.dumps(recipe or {}, sort_keys=True, ensure_ascii=False)})
        with _told(self.uri):
            lance.write_dataset(schema.empty_table(), self.uri, mode="create")

    def recipe(self) -> dict[str, Any]:
        """What the dataset was made with."""
        metadata = self._open().schema.metadata or {}
        found: dict[str, Any] = json.loads(metadata.get(b"recipe", b"{}"))
        return found

    def schema(self) -> pa.Schema:
        return self._open().schema

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All committed rows, in no promised order.

        Raises
        ------
        StoreError
            The dataset is not there.
        Damaged
            Its files cannot be read.
        """
        with _told(self.uri):
            return self._open().to_table(columns=list(columns) if columns is not None else None)

    def count(self) -> int:
        return int(self._open().count_rows())

    def commit(self, written: Iterable[Written]) -> None:
        """Make fragments visible, all at once."""
        fragments = [FragmentMetadata.from_json(one.fragment) for one in written]
        if fragments:
            self._commit(lance.LanceOperation.Append(fragments))

    def append(self, rows: pa.Table) -> None:
        """Write and commit `rows` from here."""
        if rows.num_rows:
            self.commit([write_fragment(rows, self.uri)])

    def replace(self, rows: pa.Table) -> None:
        """Set the whole content to `rows` in one commit; who has the former version open keeps it."""
        if not rows.num_rows:
            self.delete("true")
            return
        written = write_fragment(rows, self.uri)
        self._commit(
            lance.LanceOperation.Overwrite(self._open().schema, [FragmentMetadata.from_json(written.fragment)])
        )

    def delete(self, where: str) -> None:
        """Delete the rows that the SQL predicate `where` names."""
        with _told(self.uri):
            self._open().delete(where)

    def delete_keys(self, key: str, values: Sequence[str]) -> None:
        """Delete the rows whose `key` is one of `values`, in a single commit a thousand."""
        for start in range(0, len(values), 1000):
            quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values[start : start + 1000])
            self.delete(f"{key} IN ({quoted})")

    def damage(self) -> list[str]:
        """What is wrong with the dataset's files, one line each; empty if nothing is.

        Raises
        ------
        Damaged
            Not even the list of files can be read.
        """
        return [problem for fragment in self._fragments() for problem in self._damage_of(fragment)]

    def files(self) -> set[str]:
        """Names of the data files of the last version."""
        return {Path(file.path).name for fragment in self._fragments() for file in fragment.metadata.files}

    def note_checksums(self) -> None:
        """Write down the checksum of every data file that has none, as after putting fragments together."""
        for name in self.files():
            if not _sum_path(self.uri, name).is_file():
                _note_checksum(self.uri, name)

    def step_back(self) -> int:
        """Set aside the latest versions that cannot be read, until one can; how many that were."""
        aside = 0
        for manifest in self._manifests():
            try:
                lance.dataset(self.uri)
                break
            except (OSError, RuntimeError, ValueError):
                manifest.replace(manifest.with_suffix(".damaged"))
                aside += 1
        return aside

    def mend(self) -> int:
        """Drop the fragments whose files are damaged, so that their rows are to do again; how many rows that were."""
        if not self.exists():
            return 0
        bad = [fragment for fragment in self._fragments() if self._damage_of(fragment)]
        if bad:
            ids = [int(fragment.fragment_id) for fragment in bad]
            self._commit(
                lance.LanceOperation.Delete(updated_fragments=[], deleted_fragment_ids=ids, predicate="damaged")
            )
        return sum(int(fragment.metadata.physical_rows or 0) for fragment in bad)

    def _manifests(self) -> list[Path]:
        """One file a version, the latest first: Lance counts down in their names."""
        return sorted((Path(self.uri) / "_versions").glob("*.manifest"))

    def _fragments(self) -> list[Any]:
        with _told(self.uri):
            return list(self._open().get_fragments())

    def _damage_of(self, fragment: Any) -> list[str]:
        problems = []
        for file in fragment.metadata.files:
            path = Path(self.uri) / "data" / file.path
            noted = _sum_path(self.uri, file.path)
            if not path.is_file():
                problems.append(f"{self.name}: {path}: the file is gone")
            elif not noted.is_file():
                problems.append(f"{self.name}: {path}: its checksum {noted} is gone")
            elif _checksum(path) != noted.read_text(encoding="ascii").strip():
                problems.append(f"{self.name}: {path}: the bytes are not those that were written")
        return problems

    def _open(self) -> lance.LanceDataset:
        if not self.exists():
            raise StoreError(f"{self.name}: there is no such table in this store", hint="run the stage that makes it")
        with _told(self.uri):
            return lance.dataset(self.uri)

    def _commit(self, operation: Any) -> None:
        with _told(self.uri):
            lance.LanceDataset.commit(self.uri, operation, read_version=self._open().version)


def write_fragment(rows: pa.Table, uri: str) -> Written:
    """Write `rows` as one fragment of the dataset at `uri`, with its checksum, uncommitted."""
    with _told(uri):
        fragments = write_fragments(rows, uri, schema=rows.schema, max_rows_per_file=max(rows.num_rows, 1))
    (fragment,) = fragments
    for file in fragment.files:
        _note_checksum(uri, file.path)
    return Written(uri, json.dumps(fragment.to_json()), rows.num_rows)


def _note_checksum(uri: str, file: str) -> None:
    target = _sum_path(uri, file)
    try:
        target.parent.mkdir(exist_ok=True)
        target.write_text(_checksum(Path(uri) / "data" / file), encoding="ascii")
    except OSError as error:
        raise StoreError(f"{target}: {error.strerror}", hint="is the disk full, or the store read-only?") from None


def _sum_path(uri: str, file: str) -> Path:
    return Path(uri) / SUMS / f"{Path(file).name}.blake2b"


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


class _told:
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
            if isinstance(error, OSError) and error.errno is not None:
                raise StoreError(f"{self.uri}: {text}", hint="is the disk full, or the store read-only?") from error
            raise Damaged(
                f"{self.uri}: cannot be read or written: {text}",
                hint="`ray-pipeline verify STORE` names what is damaged; the next `ray-pipeline run CONFIG` makes it again",
            ) from error
