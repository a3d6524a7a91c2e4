"""Files whose checksums are right and that make no sense all the same, as a faulty program or an ill-meaning one leaves
them: one clear error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

import kvsh
from btree import CorruptionError, TreeKind, repair
from btree.codec import FORMAT, HEAD_BYTES, LARGE_LEVEL, decode_node, encode_node
from btree.directory import DIRECTORY_PAGE
from btree.large_values import decode_large
from btree.node import new_leaf
from btree.redo import decode_redo
from engine import PageStore

encode = msgspec.msgpack.encode

ARRAYS_WITHIN_ARRAYS = b"\x91" * 100_000


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
        [0, 3, [1, {9: 1}]],  # columns that there are none
        [0, 3, [1, {-1: 1}]],
        [0, 3, [1, {"a": 1}]],
        [0, 3, [1000, {1: 1}]],  # of no row
        [0, 3, [1, False, 1, {1: 1}]],
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


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM t INDEXED BY tb WHERE b = 3",
        "SELECT * FROM t INDEXED BY tb WHERE b >= 3 ORDER BY b",
        "SELECT * FROM t INDEXED BY tb WHERE b >= 3 ORDER BY b DESC LIMIT 2",
        "SELECT sum(length(c)) FROM t INDEXED BY tb WHERE b = 3",
        "UPDATE t INDEXED BY tb SET a = a + 10000 WHERE b = 3",
    ],
)
def test_an_index_that_leads_to_no_row_is_one_clear_error(tmp_path: Path, sql: str) -> None:
    """What took the row apart found None in its place."""
    path = tmp_path / "db"
    with kvsh.connect(path, isolation_level=None) as con:
        con.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b, c)")
        con.execute("CREATE INDEX tb ON t(b)")
        con.executemany("INSERT INTO t VALUES (?, ?, 'c')", [(at, at % 7) for at in range(1000)])
    con.close()
    with PageStore.open(path) as store:
        store.begin().commit_redo(encode([[0, 4, [[3, 1234], None, [8, 1234], None]]])).wait()
    con = kvsh.connect(path, isolation_level=None)
    for _ in range(2):
        with pytest.raises(kvsh.DatabaseError, match="row 1234 is missing from its table"):
            con.execute(sql).fetchall()
    assert con.execute("PRAGMA integrity_check").fetchall() != [("ok",)]
    con.close()


@pytest.mark.parametrize("sql", ["SELECT * FROM t WHERE a = 40", "DELETE FROM t WHERE a = 40"])
def test_a_leaf_whose_texts_are_none_is_named_by_its_page(tmp_path: Path, sql: str) -> None:
    """Its columns are decoded by the look-up alone, behind the checks of the page."""
    path = tmp_path / "db"
    with kvsh.connect(path, isolation_level=None) as con:
        con.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
        con.executemany("INSERT INTO t VALUES (?, ?)", [(at, "b" * 50) for at in range(100)])
    con.close()
    with kvsh.open(path) as db:
        db.checkpoint()
    with PageStore.open(path) as store:
        writer = store.begin()
        for page in store.live_pages():
            content = writer.read(page, writer.locate(page))
            writer.put(page, content.replace(b"b" * 50, b"\xff" * 50))
        writer.commit_pages().wait()
    con = kvsh.connect(path, isolation_level=None)
    with pytest.raises(kvsh.DatabaseError, match=r"page \d+: .*utf-8"):
        con.execute(sql).fetchall()
    con.close()


@pytest.mark.parametrize("kind", TreeKind)
def test_arrays_within_arrays_are_no_node_no_large_value_and_no_redo(kind: TreeKind) -> None:
    for level in (0, 1):
        for form in range(8):
            page = bytes((FORMAT, kind, level, form)) + ARRAYS_WITHIN_ARRAYS
            with pytest.raises(CorruptionError, match="page 7: "):
                decode_node(kind, page, 7, 0)
    with pytest.raises(CorruptionError, match="page 7: "):
        decode_large(kind, bytes((FORMAT, kind, LARGE_LEVEL, 0)) + ARRAYS_WITHIN_ARRAYS, 7)
    with pytest.raises(CorruptionError):
        decode_redo(b"\x91\x93\0" + bytes((kind,)) + ARRAYS_WITHIN_ARRAYS)


def test_pages_of_arrays_within_arrays_are_clear_errors_and_repaired(tmp_path: Path) -> None:
    path = _made(tmp_path / "db")
    with PageStore.open(path) as store:
        writer = store.begin()
        for page in store.live_pages():
            head = writer.read(page, writer.locate(page))[:HEAD_BYTES]
            if page != DIRECTORY_PAGE and head[1] == TreeKind.INDEX:
                writer.put(page, head[:-1] + b"\0" + ARRAYS_WITHIN_ARRAYS)
        writer.commit_pages().wait()
    con = kvsh.connect(path)
    with pytest.raises(kvsh.DatabaseError, match=r"page \d+: not a node"):
        con.execute("SELECT * FROM t INDEXED BY tb WHERE b = 3").fetchall()
    con.close()
    with kvsh.open(path) as db:
        assert any("not a node" in sentence for sentence in db.check())
    assert any("is damaged" in sentence for sentence in repair(path, tmp_path / "new"))


def test_a_program_that_comes_deep_itself_is_not_told_of_damage() -> None:
    leaf = new_leaf([1], [("a", None, 2)], None)
    page = encode_node(TreeKind.TABLE, leaf)

    def deeper() -> None:
        decode_node(TreeKind.TABLE, page, 7, 0)
        deeper()

    with pytest.raises(RecursionError):
        deeper()
