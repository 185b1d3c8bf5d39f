"""Tables: what is not committed is not there, what is damaged is told and made again, what is open stays readable."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lance.fragment import write_fragments

from ray_pipeline.errors import Damaged, StoreError
from ray_pipeline.store import Run, Store, Table, digest, write_fragment
from ray_pipeline.store import table as table_of
from ray_pipeline.store.export import export
from ray_pipeline.store.fragments import told
from ray_pipeline.store.verify import verify

SCHEMA = pa.schema(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        ("vector", pa.list_(pa.float32(), 4)),
    ]
)


def rows(*ids: str, value: float = 1.0) -> pa.Table:
    return pa.table(
        {"track_id": ids, "content_hash": [f"c{i}" for i in ids], "vector": [[value] * 4] * len(ids)}, schema=SCHEMA
    )


def ids(table: Table) -> list[str]:
    return sorted(table.read(["track_id"])["track_id"].to_pylist())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def table(store: Store) -> Table:
    """Three fragments of two rows each."""
    table = store.table("features", "x")
    table.create(SCHEMA, {"stage": "test"})
    for i in range(3):
        table.append(rows(f"{i}a", f"{i}b"))
    return table


def _manifests(table: Table) -> list[Path]:
    return sorted((Path(table.uri) / "_versions").glob("*.manifest"))


def _first_data_file(table: Table) -> Path:
    return sorted((Path(table.uri) / "data").iterdir())[0]


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped": _flip,
    "cut short": lambda path: os.truncate(path, 50),
    "empty": lambda path: os.truncate(path, 0),
    "gone": lambda path: path.unlink(),
}


def test_uncommitted_fragment_is_not_read(table: Table) -> None:
    written = write_fragment(rows("new"), table.uri)
    assert "new" not in ids(table)
    table.commit([written])
    assert "new" in ids(table)


def test_killed_while_writing_leaves_the_table_as_it_was(table: Table) -> None:
    before, version = ids(table), table.version()
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[2]); from test_store import rows\n"
        "from ray_pipeline.store import write_fragment\n"
        "write_fragment(rows('new'), sys.argv[1]); os.kill(os.getpid(), 9)"
    )
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", code, table.uri, here], capture_output=True, check=False)
    assert done.returncode == -9
    assert (ids(table), table.version(), table.damage()) == (before, version, [])


def test_create_again_changes_nothing(table: Table) -> None:
    version = table.version()
    table.create(SCHEMA, {"stage": "another"})
    assert (table.version(), table.recipe()) == (version, {"stage": "test"})


def test_ctrl_c_below_lance_stays_ctrl_c(table: Table) -> None:
    """Lance calls back for each batch it writes, and gives what was raised there back as an error of its own."""

    def batches() -> Iterator[pa.RecordBatch]:
        yield from rows("x").to_batches()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), told(table.uri):
        write_fragments(pa.RecordBatchReader.from_batches(SCHEMA, batches()), table.uri)


def test_empty_commits_make_no_version(table: Table) -> None:
    version = table.version()
    table.append(rows())
    table.commit([])
    table.delete_keys("track_id", [])
    assert table.version() == version


def test_fragments_that_are_there_are_not_committed_again(table: Table) -> None:
    """Whoever was interrupted amid a commit, or whose answer was lost, does not know whether it came about."""
    first, second = write_fragment(rows("new"), table.uri), write_fragment(rows("newer"), table.uri)
    table.commit([first])
    table.commit([first, second], again=True)
    table.commit([first, second], again=True)
    assert ids(table)[-2:] == ["new", "newer"] and table.count() == 8


def test_putting_together_can_be_interrupted_anywhere(
    store: Store, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_of, "MANY_FRAGMENTS", 2)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    for name in ("note_checksum", "confirm"):
        with monkeypatch.context() as struck, pytest.raises(KeyboardInterrupt):
            struck.setattr(table_of, name, interrupted)
            table.compact()
        assert table.damage() == [] and table.mend() == 0 and table.count() == 6
    table.compact()
    assert table.damage() == [] and len(table.files()) == 1 and ids(table) == ["0a", "0b", "1a", "1b", "2a", "2b"]


def test_replace_is_one_version_and_keeps_the_recipe(table: Table) -> None:
    version = table.version()
    table.replace(rows("only"))
    assert (ids(table), table.version(), table.recipe()) == (["only"], version + 1, {"stage": "test"})


def test_row_22_reader_keeps_the_version_it_opened(table: Table, cost: Callable[..., None]) -> None:
    opened = table._open()
    table.replace(rows("only"))
    read = opened.to_table()["track_id"].to_pylist()
    cost("all rows are replaced while they are read", "a table", read, 6)
    assert opened.count_rows() == 6
    assert len(set(read)) == 6


def test_keys_with_quotes_are_deleted_and_no_others(table: Table) -> None:
    hostile = "x'); DROP TABLE features; --"
    table.append(rows(hostile, "x"))
    table.delete_keys("track_id", [hostile, "0a"])
    assert ids(table) == ["0b", "1a", "1b", "2a", "2b", "x"]


def test_thousands_of_keys_are_deleted(store: Store) -> None:
    table = store.table("features", "many")
    table.create(SCHEMA)
    names = [f"{i:05d}" for i in range(2500)]
    table.append(rows(*names))
    table.delete_keys("track_id", names[1:])
    assert ids(table) == ["00000"]


def test_rows_are_taken_where_they_were_read(table: Table) -> None:
    table.delete_keys("track_id", ["0b", "1a"])
    read = table.read()
    for places in ([3, 0, 2], [1, 1], []):
        assert table.take(places).equals(read.take(pa.array(places, pa.int64())))


def test_missing_table_says_so(store: Store) -> None:
    with pytest.raises(StoreError, match="no such table"):
        store.table("features", "never").read()


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_file_is_named_and_only_its_rows_are_dropped(
    store: Store, table: Table, damage: Callable[[Path], object]
) -> None:
    file = _first_data_file(table)
    damage(file)
    problems = verify(store)
    assert len(problems) == 1
    assert file.name in problems[0]
    assert table.mend() == 2
    assert len(ids(table)) == 4
    assert verify(store) == []


def test_lost_checksum_is_damage(store: Store, table: Table) -> None:
    next((Path(table.uri) / "_checksums").iterdir()).unlink()
    assert "is gone" in verify(store)[0]


@pytest.mark.parametrize("damage", [_flip, lambda path: os.truncate(path, 20)], ids=["flipped", "cut short"])
def test_unreadable_version_is_told_and_set_aside(store: Store, table: Table, damage: Callable[[Path], object]) -> None:
    damage(_manifests(table)[0])
    with pytest.raises(Damaged, match="cannot be read"):
        table.read()
    assert table.uri in verify(store)[0]
    assert table.step_back() == 1
    assert ids(table) == ["0a", "0b", "1a", "1b"]
    table.append(rows("2a", "2b"))
    assert ids(table) == ["0a", "0b", "1a", "1b", "2a", "2b"]


def test_sound_table_does_not_step_back(table: Table) -> None:
    assert table.step_back() == 0
    assert len(ids(table)) == 6


def test_table_without_a_version_is_no_table(table: Table) -> None:
    for manifest in _manifests(table):
        manifest.unlink()
    assert not table.exists()
    table.create(SCHEMA)
    assert ids(table) == []


def test_verify_finds_a_key_that_stands_twice(store: Store, table: Table) -> None:
    table.append(rows("0a"))
    assert verify(store) == ["features/x: track_id '0a' stands there 2 times"]


def test_two_processes_that_append_lose_nothing(table: Table) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from test_store import rows\n"
        "from ray_pipeline.store import Table\n"
        "for i in range(8): Table(sys.argv[1]).append(rows(f'{sys.argv[3]}{i}'))"
    )
    here = str(Path(__file__).parent)
    writers = [subprocess.Popen([sys.executable, "-c", code, table.uri, here, name]) for name in "pq"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert len(ids(table)) == 6 + 16


def test_recipe_digest_ignores_order_and_nothing_else() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1, "b": [1, 2]}) != digest({"a": 1, "b": [2, 1]})
    assert digest({"a": 1}) != digest({"a": 1.5})


def _exported(store: Store, tables: dict[str, list[Table]], folder: Path) -> None:
    run = Run("run", {}, tables={name: [store.address(one) for one in some] for name, some in tables.items()})
    export(store, run, folder)


def test_export_joins_features_by_key_not_by_position(store: Store, tmp_path: Path) -> None:
    made = {}
    for name, order in {"tracks": "abc", "mfcc": "cab", "chroma": "bca"}.items():
        array = pa.field(name, pa.list_(pa.float32(), 1))
        schema = SCHEMA.remove(2).append(array) if name != "tracks" else SCHEMA.remove(2)
        made[name] = store.table("tracks" if name == "tracks" else "features", name)
        made[name].create(schema)
        columns = {"track_id": list(order), "content_hash": list(order), name: [[float(ord(c))] for c in order]}
        made[name].append(pa.table({key: columns[key] for key in schema.names}, schema=schema))
    # A row of one feature that the other does not have yet, and one of a track that is no more.
    made["mfcc"].append(
        pa.table({"track_id": ["z"], "content_hash": ["z"], "mfcc": [[0.0]]}, schema=made["mfcc"].schema())
    )
    made["chroma"].delete_keys("track_id", ["b"])
    _exported(store, {"tracks": [made["tracks"]], "features": [made["mfcc"], made["chroma"]]}, tmp_path / "out")
    found = duckdb.sql(f"SELECT track_id, mfcc[1], chroma[1] FROM '{tmp_path}/out/features.parquet'").fetchall()
    assert found == [("a", 97.0, 97.0), ("c", 99.0, 99.0)]


def test_export_has_fixed_size_vectors_and_no_metadata_of_ours(store: Store, table: Table, tmp_path: Path) -> None:
    tracks = store.table("tracks", "x")
    tracks.create(SCHEMA)
    tracks.append(table.read())
    _exported(store, {"tracks": [tracks], "features": [table]}, tmp_path / "out")
    written = pq.read_table(tmp_path / "out/features.parquet")
    assert written.schema.field("vector").type == pa.list_(pa.float32(), 4)
    assert written.num_rows == 6


def test_export_to_a_file_istold(store: Store, table: Table, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="File exists") as told:
        _exported(store, {"tracks": [table]}, tmp_path / "file")
    assert "--to DIR" in told.value.hint
