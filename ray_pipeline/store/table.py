"""One table as a Lance dataset: workers write fragments, which nobody sees; the driver commits them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import lance
import pyarrow as pa
from lance.fragment import FragmentMetadata
from lance.optimize import Compaction

from ray_pipeline.errors import Damaged, StoreError
from ray_pipeline.store.files import Folder, folder_at
from ray_pipeline.store.fragments import (
    ENDING,
    SUMS,
    Written,
    damage_of,
    note_checksum,
    options,
    told,
    write_fragment,
)
from ray_pipeline.store.lease import confirm

MANY_FRAGMENTS = 16
READERS = 8  # files whose checksums are taken at once


@dataclass(frozen=True)
class Table:
    """The dataset at `uri`, which need not be there yet."""

    uri: str

    @property
    def name(self) -> str:
        """``features/mfcc-0123…``, as people see it."""
        path = PurePosixPath(self.uri)
        return f"{path.parent.name}/{path.stem}"

    @property
    def folder(self) -> Folder:
        return folder_at(self.uri)

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
        with told(self.uri):
            lance.write_dataset(schema.empty_table(), self.uri, mode="create", storage_options=options(self.uri))

    def recipe(self) -> dict[str, Any]:
        """What the dataset was made with; nothing where that was not written down.

        Raises
        ------
        ValueError
            What stands there is no recipe.
        """
        metadata = self._open().schema.metadata or {}
        found = json.loads(metadata.get(b"recipe", b"{}"))
        if not isinstance(found, dict):
            raise ValueError(f"a JSON mapping is needed, not {type(found).__name__}")
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
        with told(self.uri):
            return self._open().to_table(columns=list(columns) if columns is not None else None)

    def take(self, at: Sequence[int]) -> pa.Table:
        """The rows at these places of `read`, in the order that is given."""
        with told(self.uri):
            return self._open().take(list(at))

    def count(self) -> int:
        return int(self._open().count_rows())

    def commit(self, written: Iterable[Written], *, again: bool = False) -> None:
        """Make fragments visible, all at once. With `again` they may be so already, and those that are are passed over."""
        fragments = [FragmentMetadata.from_json(one.fragment) for one in written]
        if again and fragments:
            there = self.files()
            fragments = [one for one in fragments if not _names(one) <= there]
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
        confirm(self.uri)
        with told(self.uri):
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
        return [problem for _, problems in self._damaged() for problem in problems]

    def files(self) -> set[str]:
        """Names of the data files of the last version."""
        return {name for fragment in self._fragments() for name in _names(fragment.metadata)}

    def compact(self) -> None:
        """Put small fragments together, and let go of former versions and the checksums of their files."""
        if len(self._fragments()) > MANY_FRAGMENTS:
            self._put_together()
        with told(self.uri):
            self._open().cleanup_old_versions(timedelta(0), delete_unverified=True)
        for name in set(self.folder.names(SUMS)) - {f"{name}{ENDING}" for name in self.files()}:
            self.folder.remove(f"{SUMS}/{name}")

    def _put_together(self) -> None:
        """Small fragments into few. A checksum is there before its file is seen: without one it would count as damaged."""
        with told(self.uri):
            dataset = self._open()
            done = [task.execute(dataset) for task in Compaction.plan(dataset, {}).tasks]
        for name in sorted({name for one in done for fragment in one.new_fragments for name in _names(fragment)}):
            note_checksum(self.uri, name)
        confirm(self.uri)
        with told(self.uri):
            Compaction.commit(dataset, done)

    def step_back(self) -> int:
        """Set aside the latest versions that cannot be read, until one can; how many that were."""
        aside = 0
        for manifest in self._manifests():
            if self._is_version(manifest):
                break
            self.folder.move(manifest, str(PurePosixPath(manifest).with_suffix(".damaged")))
            aside += 1
        return aside

    def mend(self) -> int:
        """Drop the fragments whose files are damaged, so that their rows are to do again; how many rows that were."""
        if not self.exists():
            return 0
        bad = [fragment for fragment, problems in self._damaged() if problems]
        if bad:
            ids = [int(fragment.fragment_id) for fragment in bad]
            self._commit(
                lance.LanceOperation.Delete(updated_fragments=[], deleted_fragment_ids=ids, predicate="damaged")
            )
        return sum(int(fragment.metadata.physical_rows or 0) for fragment in bad)

    def _manifests(self) -> list[str]:
        """One file a version, the latest first: Lance counts down in their names."""
        return [f"_versions/{name}" for name in self.folder.names("_versions") if name.endswith(".manifest")]

    def _is_version(self, manifest: str) -> bool:
        """Whether Lance can read a version; looked at in a copy, so that a store out of reach is not taken for damage."""
        with tempfile.TemporaryDirectory() as place:
            copy = Path(place, manifest)
            copy.parent.mkdir()
            copy.write_bytes(self.folder.read(manifest))
            try:
                lance.dataset(place)
            except (OSError, RuntimeError, ValueError):
                return False
        return True

    def _fragments(self) -> list[Any]:
        with told(self.uri):
            return list(self._open().get_fragments())

    def _damaged(self) -> list[tuple[Any, list[str]]]:
        """Every fragment, with what is wrong with its files."""
        fragments = self._fragments()
        with ThreadPoolExecutor(READERS) as pool:
            return list(zip(fragments, pool.map(self._damage_of, fragments), strict=True))

    def _damage_of(self, fragment: Any) -> list[str]:
        problems = (damage_of(self.uri, file.path) for file in fragment.metadata.files)
        return [f"{self.name}: {problem}" for problem in problems if problem]

    def _open(self) -> lance.LanceDataset:
        try:
            with told(self.uri):
                return lance.dataset(self.uri, storage_options=options(self.uri))
        except Damaged:
            if self.exists():
                raise
        raise StoreError(f"{self.name}: there is no such table in this store", hint="run the stage that makes it")

    def _commit(self, operation: Any) -> None:
        confirm(self.uri)
        with told(self.uri):
            lance.LanceDataset.commit(
                self.uri, operation, read_version=self._open().version, storage_options=options(self.uri)
            )


def _names(fragment: FragmentMetadata) -> set[str]:
    """Names of the data files of a fragment."""
    return {PurePosixPath(file.path).name for file in fragment.files}
