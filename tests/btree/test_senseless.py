"""Files whose checksums are right and that make no sense all the same, as a faulty program or an ill-meaning one leaves
them: one clear error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

import kvsh
from engine import PageStore

encode = msgspec.msgpack.encode


def _made(path: Path) -> Path:
    """A database with a table (tree 3, its index 4) and a raw key, in pages."""
    with kvsh.connect(path, isolation_level=None) as con:
        con.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
        con.execute("CREATE INDEX tb ON t(b)")
        con.executemany("INSERT INTO t VALUES (?, ?)", [(at, at % 7) for at in range(100)])
        con.execute("INSERT INTO kv VALUES ('k', 'v')")
    with kvsh.open(path) as db:
        db.checkpoint()
    return path


def _read(path: Path) -> None:
    with kvsh.connect(path) as con:
        con.execute("SELECT * FROM t").fetchall()
        con.execute("SELECT * FROM t WHERE b = 3").fetchall()
        con.execute("SELECT * FROM kv").fetchall()


@pytest.mark.parametrize("many", [False, True])  # many are replayed in another way
@pytest.mark.parametrize(
    "operation",
    [
        [0, 99, [1, [2]]],  # no such tree
        [0, 3, 7],  # no keys and values
        [0, 3, None],
        [0, 3, []],
        [0, 1, [b"a", b"b", b"c"]],  # a key without a value
        [0, 3, [1, [1, 2], 2]],
        [0, 3, [[1], 5, {}, 5]],  # keys that no table has
        [1, 99, "x"],  # no kind of tree
        [1, 99, [1]],
        [2, 99, None],
        [3, 3, [1, "x"]],
        [3, 99, [1]],
        [4, 2**63, None],
        [5, 99, [2, [3]]],
        [5, 3, 7],
        [9, 3, None],
    ],
)
def test_redo_that_makes_no_sense_is_one_clear_error(
    tmp_path: Path, operation: list[Any], many: bool
) -> None:
    path = _made(tmp_path / "db")
    record = [[0, 1, [b"before", b"1"]], operation]
    with PageStore.open(path) as store:
        for _ in range(30 if many else 1):
            store.begin().commit_redo(encode(record)).wait()
    with pytest.raises(kvsh.DatabaseError):
        _read(path)


@pytest.mark.parametrize(
    "row",
    [
        ["tabel", "t", "t", 3, "", b""],
        ["table", "t", "t", 3, "", b"\x91"],
        ["table", "t", "t", 3, "", 5],
        ["table"],
        [],
        [7, 7, 7, 7, 7, 7],
    ],
)
def test_a_catalog_that_makes_no_sense_is_one_clear_error(tmp_path: Path, row: list[Any]) -> None:
    path = _made(tmp_path / "db")
    with PageStore.open(path) as store:
        store.begin().commit_redo(encode([[0, 2, [1, row]]])).wait()
    with pytest.raises(kvsh.DatabaseError):
        _read(path)


def test_a_directory_without_a_tree_of_the_catalog_is_one_clear_error(tmp_path: Path) -> None:
    path = _made(tmp_path / "db")
    with PageStore.open(path) as store:
        store.begin().commit_redo(encode([[2, 3, None]])).wait()
    with pytest.raises(kvsh.DatabaseError, match="there is no tree 3"):
        _read(path)
