"""VACUUM: what it takes away besides dead bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from btree import RAW_TREE_ID, KeySpace, Store, open_memory, open_store
from sql import Session, SqlError
from tests.sql.dml_scripts import compare

LONG_AGO, FAR_AHEAD = 1_000, 1 << 50


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = open_memory() if request.param == "memory" else open_store(str(tmp_path / "a.kvsh"))
    yield store
    store.close()


def _put(store: Store, expiries: dict[bytes, int | None]) -> None:
    writing = store.begin(write=True)
    for key, expires_ms in expiries.items():
        KeySpace(writing).put(key, b"value", expires_ms)
    writing.commit()


def _entries(store: Store) -> list[bytes]:
    """All raw keys that the tree holds, expired ones too."""
    reading = store.begin()
    found = [key for keys, _ in reading.tree(RAW_TREE_ID).batches() for key in keys]
    reading.rollback()
    return found


def test_vacuum_takes_expired_keys_away(store: Store) -> None:
    session = Session(store)
    _put(store, {b"a": LONG_AGO, b"b": None, b"c": FAR_AHEAD, b"d": LONG_AGO})
    assert _entries(store) == [b"a", b"b", b"c", b"d"]
    assert list(session.execute("SELECT key FROM kv")) == [("b",), ("c",)]
    session.execute("VACUUM")
    assert _entries(store) == [b"b", b"c"]
    assert list(session.execute("SELECT key FROM kv")) == [("b",), ("c",)]
    session.close()


def test_vacuum_without_expiries_writes_nothing_of_its_own(store: Store) -> None:
    session = Session(store)
    _put(store, {b"a": None})
    with session.reading() as transaction:
        before = transaction.commit_number
    session.execute("VACUUM")
    with session.reading() as transaction:
        assert transaction.commit_number == before
    session.close()


def test_vacuum_waits_for_no_writer_longer_than_the_session_does(store: Store) -> None:
    session = Session(store, busy_timeout=0.01)
    _put(store, {b"a": LONG_AGO})
    writing = store.begin(write=True)
    with pytest.raises(Exception, match="locked"):
        session.execute("VACUUM")
    writing.rollback()
    assert _entries(store) == [b"a"]
    session.close()


def test_a_row_of_kinds_that_its_tree_does_not_tell_of_is_found(store: Store) -> None:
    session = Session(store)
    session.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n CHECK (n + 1 > 0))")
    session.execute("CREATE INDEX by_n ON t (n + 1)")
    session.execute("INSERT INTO t VALUES (1, 5)")
    assert session.execute("PRAGMA integrity_check").fetch_all() == [("ok",)]
    writing = store.begin(write=True)
    writing.tree(session.schema.tables["t"].tree_id).put(2, (2, "text"))
    writing.commit()
    found = [row[0] for row in session.execute("PRAGMA integrity_check").fetch_all()]
    assert "row 2 of t has a kind of value in n that the tree does not tell of" in found


def test_rows_and_indexes_that_disagree_are_told_of_in_the_order_of_the_rows(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their entries are looked up many at a time, those of one kind together."""
    monkeypatch.setattr("sql.dml.indexing._CHECKED_AT_ONCE", 7)
    session = Session(store)
    session.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b NOT NULL, c INT)")
    session.execute("CREATE INDEX tb ON t(b)")
    session.execute("CREATE INDEX tc ON t(c) WHERE c <> 3")
    session.execute("CREATE UNIQUE INDEX tu ON t(b, a)")
    values = [None, 7, "x", 2.5, b"x", "7"]
    for n in range(1, 41):
        session.execute("INSERT INTO t VALUES (?, ?, ?)", [n, values[n % 5 + 1], n % 6])
    assert session.execute("PRAGMA integrity_check").fetch_all() == [("ok",)]
    writing = store.begin(write=True)
    table = writing.tree(session.schema.tables["t"].tree_id)
    tb, tc, tu = (writing.tree(session.schema.indexes[name].tree_id) for name in ("tb", "tc", "tu"))
    for tree, entry in (
        (tb, ("x", 1)),
        (tb, (2.5, 2)),
        (tu, (2.5, 2, 2)),
        (tc, (5, 5)),
        (tb, ("7", 39)),
    ):
        assert tree.delete(entry)
    table.widen((0, 1, 0))
    table.put(12, (12, None, 0))
    tu.put(("x", 1, 3))
    writing.commit()
    assert [row[0] for row in session.execute("PRAGMA integrity_check").fetch_all()] == [
        "row 1 missing from index tb",
        "row 2 missing from index tu",
        "row 2 missing from index tb",
        "row 5 missing from index tc",
        "NULL value in t.b",
        "row 12 missing from index tu",
        "row 12 missing from index tb",
        "row 39 missing from index tb",
        "non-unique entry in index tu",
        "wrong # of entries in index tc",
        "wrong # of entries in index tb",
    ]


def test_vacuum_into_makes_a_copy_at_the_value_of_an_expression(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "a.kvsh"))
    session = Session(store)
    session.execute("CREATE TABLE t (a)")
    session.execute("INSERT INTO t VALUES (5)")
    for number, (name, values) in enumerate(
        ((f"'{tmp_path}/0'", ()), (f"'{tmp_path}/' || 1", ()), ("?", (f"{tmp_path}/2",)))
    ):
        session.execute(f"VACUUM INTO {name}", values)
        copy = open_store(str(tmp_path / str(number)))
        assert Session(copy).execute("SELECT a FROM t").fetch_all() == [(5,)]
        copy.close()
    with pytest.raises(SqlError, match="output file already exists"):
        session.execute(f"VACUUM INTO '{tmp_path}/0'")
    with pytest.raises(SqlError, match="non-text filename"):
        session.execute("VACUUM INTO 5")
    session.close()
    store.close()


def test_checks_that_are_ignored_are_not_told_of() -> None:
    compare(
        """
        create table t(a check(a < 5));
        pragma ignore_check_constraints=on;
        insert into t values(9);
        pragma integrity_check; pragma quick_check;
        pragma ignore_check_constraints=off;
        pragma integrity_check; pragma quick_check;
        delete from t;
        """
    )
