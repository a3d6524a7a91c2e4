"""What repair makes of a database's trees becomes a database of SQL again."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from btree import CATALOG_TREE_ID, Store, open_memory
from kvsh.environment import Environment, Options
from sql import Session, mend
from tests.shell.running import kvsh
from tests.sql.scripts import run_script

SCRIPT = """
    CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b);
    CREATE INDEX ta ON t (a);
    CREATE UNIQUE INDEX tb ON t (b);
    CREATE TABLE w (x, y, PRIMARY KEY (x, y)) WITHOUT ROWID;
    CREATE VIEW v AS SELECT a FROM t;
    CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO w VALUES (new.id, new.a); END;
    INSERT INTO t VALUES (1, 'one', 1.5), (2, 'two', x'00'), (9, 'nine', NULL);
    INSERT INTO w VALUES ('k', 'v');
"""


def made() -> tuple[Store, Session]:
    store = open_memory()
    session = Session(store)
    run_script(session, SCRIPT)
    return store, session


def forget(session: Session, *names: str) -> dict[str, int]:
    """Take rows out of the catalog, as if their page were lost; the trees they named."""
    trees = {}
    with session.writing() as transaction:
        catalog = transaction.tree(CATALOG_TREE_ID)
        rows = [entry for keys, rows in catalog.batches() for entry in zip(keys, rows, strict=True)]
        for rowid, row in rows:
            if row[1] in names:
                trees[row[1]] = row[3]
                catalog.delete(rowid)
    session.forget_plans()
    return trees


def answers(session: Session, sql: str) -> list[tuple[object, ...]]:
    return list(session.execute(sql).fetch_all())


def test_a_whole_database_stays_as_it_is() -> None:
    _, session = made()
    before = answers(session, "SELECT * FROM sqlite_master")
    assert mend(session) == ["2 indexes made anew"]
    assert answers(session, "SELECT * FROM sqlite_master") == before
    assert answers(session, "SELECT id FROM t WHERE a = 'two'") == [(2,)]


def test_rows_of_tables_whose_names_are_lost_are_found() -> None:
    """They were in the repaired file, and nothing led to them."""
    store, session = made()
    trees = forget(session, "t", "w")
    assert sorted(mend(session)) == [
        f"3 rows of a table whose name is lost are in lost_and_found_{trees['t']}",
        f"4 rows of a table whose name is lost are in lost_and_found_{trees['w']}",
        "index ta is left out: its table t is lost",
        "index tb is left out: its table t is lost",
        "trigger r is left out: its table t is lost",
    ]
    found = f"lost_and_found_{trees['t']}"
    assert answers(session, f"SELECT rowid, * FROM {found}") == [
        (1, 1, "one", 1.5),
        (2, 2, "two", b"\0"),
        (9, 9, "nine", None),
    ]
    rows = answers(session, f"SELECT * FROM lost_and_found_{trees['w']}")
    assert set(rows) == {(1, "one"), (2, "two"), (9, "nine"), ("k", "v")}
    with session.reading() as transaction:
        assert len(transaction.tree_ids()) == 4  # the keys, the catalog, and the two
    assert store.check() == []
    assert answers(session, "PRAGMA integrity_check") == [("ok",)]
    assert mend(session) == []


def test_an_index_whose_name_is_lost_is_told_of() -> None:
    """It went without a word."""
    _, session = made()
    forget(session, "tb")
    assert mend(session) == [
        "an index of 3 entries whose name and columns are lost is left out",
        "1 index made anew",
    ]
    assert answers(session, "PRAGMA integrity_check") == [("ok",)]


def test_a_table_without_rows_whose_name_is_lost_is_told_of() -> None:
    _, session = made()
    run_script(session, "CREATE TABLE e(a)")
    forget(session, "e")
    assert mend(session) == [
        "a table without rows whose name is lost is left out",
        "2 indexes made anew",
    ]


def test_indexes_name_the_rows_that_there_are() -> None:
    """An index that still named rows that were lost led to answers that no scan would have given."""
    _, session = made()
    table = session.schema.find_table("t")
    assert table is not None
    with session.writing() as transaction:
        transaction.tree(table.tree_id).delete(2)
        transaction.tree(table.tree_id).put(5, (5, "five", 2.5))
    assert answers(session, "PRAGMA integrity_check") != [("ok",)]
    assert mend(session) == ["2 indexes made anew"]
    assert answers(session, "PRAGMA integrity_check") == [("ok",)]
    assert answers(session, "SELECT id FROM t WHERE a IN ('two', 'five')") == [(5,)]


def test_an_index_that_cannot_be_unique_any_more_is_told_of() -> None:
    _, session = made()
    table = session.schema.find_table("t")
    assert table is not None
    with session.writing() as transaction:
        transaction.tree(table.tree_id).put(5, (5, "five", 1.5))
    assert mend(session) == [
        "index tb could not be made anew: UNIQUE constraint failed: t.b",
        "1 index made anew",
    ]


def test_names_whose_trees_are_lost_go() -> None:
    _, session = made()
    table, index = session.schema.find_table("w"), session.schema.find_index("ta")
    assert table is not None and index is not None
    with session.writing() as transaction:
        transaction.drop_tree(table.tree_id)
        transaction.drop_tree(index.tree_id)
    assert mend(session) == ["index ta is lost", "table w is lost", "1 index made anew"]
    assert answers(session, "SELECT name FROM sqlite_master ORDER BY 1") == [
        ("r",),
        ("t",),
        ("tb",),
        ("v",),
    ]


def test_repair_brings_the_rows_back_of_a_file_whose_catalog_is_damaged(tmp_path: Path) -> None:
    """Hundreds of tables are named by a page or two: without them nothing of the file was to be had by SQL."""
    script = "".join(
        f"create table t{number} (id integer primary key, text, more);\n"
        f"create index i{number} on t{number} (more);\n"
        f"insert into t{number} values (1, 'text {number}', {number});\n"
        for number in range(40)
    )
    path = tmp_path / "a.db"
    assert kvsh(path, stdin=script + ".compact\n").status == 0
    damaged = bytearray(path.read_bytes())
    damaged[5500:5600] = bytes(100)  # behind the directory come the catalog's leaves
    path.write_bytes(damaged)
    assert kvsh(path, "SELECT * FROM t0").status == 1
    done = kvsh(path, ".repair", tmp_path / "b.db")
    assert done.status == 0 and "lost_and_found_" in done.out
    assert kvsh(tmp_path / "b.db", ".check") == (0, "ok\n", "")
    names = kvsh(tmp_path / "b.db", ".tables").out.split()
    query = " UNION ALL ".join(f"SELECT * FROM {name}" for name in names)
    done = kvsh(
        tmp_path / "b.db",
        f"SELECT count(*), sum(c) FROM (SELECT 0 a, 0 b, 0 c WHERE 0 UNION ALL {query})",
    )
    assert done == (0, f"40|{sum(range(40))}\n", "")


def test_a_repair_that_is_ended_leaves_no_database_that_is_not_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had its name before its indexes were made anew: killed between, it was a database whose check failed."""
    path, target = tmp_path / "a.db", tmp_path / "b.db"
    assert kvsh(path, "create table t (a); create index ta on t (a)").status == 0
    whole = path.stat().st_size
    assert kvsh(path, "insert into t values (1)").status == 0
    damaged = bytearray(path.read_bytes())
    damaged[whole + 20] ^= 1
    path.write_bytes(damaged)
    found: list[list[str]] = []

    def ended(session: Session) -> list[str]:
        found.append([name for name in os.listdir(tmp_path) if not name.endswith("-salvage")])
        assert mend(session) == ["1 index made anew"]
        raise KeyboardInterrupt

    environment = Environment(None, Options(), out=io.BytesIO(), err=io.StringIO())
    monkeypatch.setattr("sql.mend", ended)
    with pytest.raises(KeyboardInterrupt):
        environment.run_words([".repair", str(path), str(target)])
    assert found == [["a.db"]]
    assert os.listdir(tmp_path) == ["a.db"]
    done = kvsh(path, ".repair", target)
    assert done.status == 0 and done.out.endswith("1 index made anew\n")
    assert kvsh(target, ".check") == (0, "ok\n", "")


def test_a_file_whose_directory_is_lost_comes_back_whole(tmp_path: Path) -> None:
    """Columns that came after the rows stood nowhere but in the directory: their defaults are in the catalog."""
    path = tmp_path / "a.db"
    script = """
        CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);
        CREATE INDEX ta ON t (a);
        CREATE TABLE empty (a, b);
        CREATE TABLE w (x, y, PRIMARY KEY (x, y)) WITHOUT ROWID;
        INSERT INTO t SELECT value, 'row ' || value FROM generate_series(1, 3000);
        INSERT INTO w SELECT value % 7, value FROM generate_series(1, 3000);
        ALTER TABLE t ADD COLUMN b INTEGER DEFAULT '5';
        ALTER TABLE t ADD COLUMN c;
        INSERT INTO t (id, a, b, c) VALUES (5000, 'new', 6, 'c');
        INSERT INTO kv VALUES ('key', 'value');
        .compact
    """
    assert kvsh(path, stdin=script).status == 0
    asked = (
        "SELECT count(*), sum(id), min(a), sum(b), max(c) FROM t",
        "SELECT b, c, typeof(b) FROM t WHERE id IN (1, 5000)",
        "SELECT id FROM t WHERE a = 'row 77'",
        "SELECT * FROM empty",
        "SELECT count(*), sum(x * y) FROM w",
        "SELECT * FROM kv",
    )
    before = [kvsh(path, query) for query in asked]
    damaged = bytearray(path.read_bytes())
    damaged[4096 + 40] ^= 1  # the directory is the first page
    path.write_bytes(damaged)
    assert kvsh(path, asked[0]).status == 1
    done = kvsh(path, ".repair", tmp_path / "b.db")
    assert done.status == 0 and "no directory" in done.out
    assert "rows of t got the defaults of columns added later" in done.out
    assert [kvsh(tmp_path / "b.db", query) for query in asked] == before
    assert kvsh(tmp_path / "b.db", ".check") == (0, "ok\n", "")


def test_rows_that_lack_columns_get_their_defaults_and_what_is_computed_of_them() -> None:
    store = open_memory()
    session = Session(store)
    run_script(
        session,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b REAL DEFAULT 2, c AS (a || b), d DEFAULT (-1));"
        "INSERT INTO t (a) VALUES ('x'), ('y'), ('z')",
    )
    table = session.schema.find_table("t")
    assert table is not None
    with session.writing() as transaction:
        tree = transaction.tree(table.tree_id)
        tree.put(2, (2, "y"))
        tree.put(3, (3, "z", 7.0))
    assert mend(session) == ["2 rows of t got the defaults of columns added later"]
    assert answers(session, "SELECT * FROM t") == [
        (1, "x", 2.0, "x2.0", -1),
        (2, "y", 2.0, "y2.0", -1),
        (3, "z", 7.0, "z7.0", -1),
    ]
    assert mend(session) == []


def test_rows_with_more_columns_than_their_table_keep_them() -> None:
    """The catalog was found as of before ALTER TABLE ADD COLUMN: nothing could be asked of the table."""
    store, session = made()
    run_script(session, "CREATE TABLE u (a, c3); INSERT INTO u VALUES (1, 2)")
    with session.writing() as transaction:
        catalog = transaction.tree(CATALOG_TREE_ID)
        trees = {row[1]: row[3] for _, rows in catalog.batches() for row in rows}
        transaction.tree(trees["t"]).put(5, (5, "five", 5, "more", 7.5))
        transaction.tree(trees["t"]).widen([2, 8, 2, 8, 4])
        transaction.tree(trees["u"]).put(5, (1, 2, 3, 4))
        transaction.tree(trees["u"]).widen([2, 2, 2, 2])
    notes = mend(session)
    assert "t got the columns c3, c4 that its rows have" in notes
    assert "u got the columns c2, c4 that its rows have" in notes
    assert answers(session, "SELECT id, c3, c4 FROM t") == [
        (1, None, None),
        (2, None, None),
        (5, "more", 7.5),
        (9, None, None),
    ]
    assert answers(session, "SELECT * FROM u") == [(1, 2, None, None), (1, 2, 3, 4)]
    assert answers(session, "PRAGMA integrity_check") == [("ok",)]
    assert store.check() == []
