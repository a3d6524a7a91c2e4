"""Attached databases and other handles on their files: locks, snapshots, definitions of others, commits that fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kvsh
from btree import StoreError
from sql.joint import JointTransaction


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ours(folder: Path) -> Iterator[kvsh.Connection]:
    connection = _connected("main.db")
    connection.execute("CREATE TABLE t (a)")
    connection.execute("ATTACH 'aux.db' AS aux")
    connection.execute("CREATE TABLE aux.u (a)")
    yield connection
    connection.close()


@pytest.fixture
def other(ours: kvsh.Connection) -> Iterator[kvsh.Connection]:
    """Another handle on the attached file."""
    connection = _connected("aux.db")
    yield connection
    connection.close()


def _connected(path: str, **options: Any) -> kvsh.Connection:
    return kvsh.connect(path, isolation_level=None, timeout=0.05, **options)


def _column(connection: kvsh.Connection, query: str) -> list[Any]:
    return [row[0] for row in connection.execute(query)]


def test_what_others_commit_in_the_file_is_seen(
    ours: kvsh.Connection, other: kvsh.Connection
) -> None:
    query = "SELECT a FROM aux.u ORDER BY a"
    for number in range(5):
        other.execute("INSERT INTO u VALUES (?)", (number,))
        assert _column(ours, query) == list(range(number + 1))
    other.execute("ALTER TABLE u ADD COLUMN b DEFAULT 'new'")
    assert ours.execute("SELECT * FROM u WHERE a = 3").fetchall() == [(3, "new")]
    other.execute("ALTER TABLE u RENAME COLUMN a TO c")
    with pytest.raises(kvsh.OperationalError, match="no such column: a"):
        ours.execute(query)
    other.execute("DROP TABLE u")
    with pytest.raises(kvsh.OperationalError, match=r"no such table: aux\.u"):
        ours.execute(query)
    other.execute("CREATE TABLE u (a)")
    assert _column(ours, query) == []
    ours.execute("INSERT INTO u VALUES (7)")
    assert _column(other, "SELECT a FROM u") == [7]


def test_a_transaction_reads_each_file_as_of_its_begin(
    ours: kvsh.Connection, other: kvsh.Connection
) -> None:
    ours.execute("BEGIN")
    assert _column(ours, "SELECT a FROM aux.u") == []
    other.execute("INSERT INTO u VALUES (1)")
    assert _column(ours, "SELECT a FROM aux.u") == []
    with pytest.raises(kvsh.OperationalError, match="database is locked: another session") as info:
        ours.execute("INSERT INTO aux.u VALUES (2)")
    assert info.value.sqlite_errorname == "SQLITE_BUSY"
    ours.execute("INSERT INTO t VALUES (2)")
    ours.execute("COMMIT")
    assert _column(ours, "SELECT a FROM aux.u") == [1]
    assert _column(ours, "SELECT a FROM t") == [2]


def test_a_file_that_was_not_read_yet_can_be_written_though_others_have_committed(
    ours: kvsh.Connection, other: kvsh.Connection
) -> None:
    ours.execute("BEGIN")
    ours.execute("INSERT INTO t VALUES (1)")
    ours.execute("SAVEPOINT s")
    other.execute("INSERT INTO u VALUES (1)")
    other.execute("CREATE TABLE made (x)")
    ours.execute("INSERT INTO aux.u VALUES (2)")
    ours.execute("INSERT INTO made VALUES (3)")
    assert _column(ours, "SELECT a FROM aux.u ORDER BY a") == [1, 2]
    ours.execute("ROLLBACK TO s")
    assert _column(ours, "SELECT a FROM aux.u") == [1]
    assert _column(ours, "SELECT x FROM made") == []
    ours.execute("COMMIT")
    assert _column(ours, "SELECT a FROM t") == [1]


def test_a_writer_of_one_file_leaves_the_others_to_others(
    ours: kvsh.Connection, other: kvsh.Connection
) -> None:
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO u VALUES (1)")
    ours.execute("INSERT INTO t VALUES (1)")
    ours.execute("INSERT INTO t SELECT count(*) FROM aux.u")
    with pytest.raises(kvsh.OperationalError, match="locked") as info:
        ours.execute("INSERT INTO aux.u VALUES (2)")
    assert info.value.sqlite_errorname == "SQLITE_BUSY"
    with pytest.raises(kvsh.OperationalError, match="locked"):
        ours.execute("BEGIN IMMEDIATE")
    assert not ours.in_transaction
    ours.execute("BEGIN")
    ours.execute("INSERT INTO t VALUES (2)")
    with pytest.raises(kvsh.OperationalError, match="locked"):
        ours.execute("INSERT INTO aux.u SELECT * FROM t")
    assert ours.in_transaction
    other.execute("COMMIT")
    ours.execute("INSERT INTO aux.u SELECT * FROM t")
    ours.execute("COMMIT")
    assert _column(other, "SELECT a FROM u ORDER BY 1") == [0, 1, 1, 2]


def test_two_sessions_with_the_same_files_the_other_way_round(ours: kvsh.Connection) -> None:
    crossed = _connected("aux.db")
    crossed.execute("ATTACH 'main.db' AS aux")
    ours.execute("BEGIN IMMEDIATE")
    with pytest.raises(kvsh.OperationalError, match="locked"):
        crossed.execute("BEGIN IMMEDIATE")
    ours.execute("INSERT INTO t VALUES (1)")
    ours.execute("INSERT INTO u VALUES (1)")
    ours.execute("COMMIT")
    crossed.execute("BEGIN IMMEDIATE")
    assert _column(crossed, "SELECT a FROM t UNION ALL SELECT a FROM main.u") == [1, 1]
    crossed.execute("COMMIT")
    # Each holds what the other waits for: the timeout ends it.
    ours.execute("BEGIN")
    crossed.execute("BEGIN")
    ours.execute("INSERT INTO t VALUES (2)")
    crossed.execute("INSERT INTO u VALUES (2)")
    for connection, table in ((ours, "u"), (crossed, "t")):
        with pytest.raises(kvsh.OperationalError, match="locked"):
            connection.execute(f"INSERT INTO {table} VALUES (3)")
    crossed.execute("ROLLBACK")
    ours.execute("INSERT INTO u VALUES (3)")
    ours.execute("COMMIT")
    crossed.close()


def test_locks_are_taken_in_one_order_whatever_is_compacted(
    ours: kvsh.Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And whatever name a session knows a file by."""
    os.symlink(folder / "main.db", folder / "zz link.db")
    crossed = _connected("zz link.db")
    crossed.execute("ATTACH 'aux.db' AS aux")
    taken: list[str] = []
    upgrade = JointTransaction.upgrade_part

    def noted(joint: Any, number: int, *timeout: Any) -> None:
        taken.append(joint.stores[number].place)
        upgrade(joint, number, *timeout)

    monkeypatch.setattr(JointTransaction, "upgrade_part", noted)
    for compacted in ("main.db", "aux.db", "main.db", "aux.db"):
        with kvsh.open(compacted) as database:
            database.compact()
        for connection in (ours, crossed):
            taken.clear()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("COMMIT")
            files = [os.path.basename(place) for place in taken if place]
            assert files == ["aux.db", "main.db"]
    crossed.close()


def test_the_same_file_twice(ours: kvsh.Connection) -> None:
    ours.execute("ATTACH 'aux.db' AS twin")
    ours.execute("INSERT INTO aux.u VALUES (1)")
    assert _column(ours, "SELECT a FROM twin.u") == [1]
    ours.execute("INSERT INTO twin.u VALUES (2)")
    ours.execute("BEGIN")
    ours.execute("INSERT INTO aux.u VALUES (3)")
    with pytest.raises(kvsh.OperationalError, match="locked"):
        ours.execute("INSERT INTO twin.u VALUES (4)")
    ours.execute("COMMIT")
    assert _column(ours, "SELECT a FROM twin.u ORDER BY a") == [1, 2, 3]


def test_read_only_files_are_attached_read_only(ours: kvsh.Connection, folder: Path) -> None:
    ours.execute("INSERT INTO aux.u VALUES (1)")
    ours.execute("DETACH aux")
    if os.geteuid() != 0:  # to whom no file is read-only
        os.chmod("aux.db", 0o444)
        ours.execute("ATTACH 'aux.db' AS aux")
        with pytest.raises(kvsh.OperationalError, match="attempt to write a readonly database"):
            ours.execute("INSERT INTO aux.u VALUES (2)")
        ours.execute("DETACH aux")
        os.chmod("aux.db", 0o644)
    reader = _connected("main.db", readonly=True)
    reader.execute("ATTACH 'aux.db' AS aux")
    assert _column(reader, "SELECT a FROM u") == [1]
    for statement in ("INSERT INTO u VALUES (2)", "CREATE TABLE aux.v (a)", "DROP TABLE u"):
        with pytest.raises(kvsh.OperationalError, match="attempt to write a readonly database"):
            reader.execute(statement)
    with pytest.raises(kvsh.OperationalError, match=r"unable to open database: none\.db"):
        reader.execute("ATTACH 'none.db' AS none")
    reader.execute("ATTACH ':memory:' AS scratch")
    reader.execute("CREATE TABLE scratch.t AS SELECT * FROM u")
    reader.execute("BEGIN IMMEDIATE")
    reader.execute("INSERT INTO scratch.t VALUES (2)")
    reader.execute("COMMIT")
    assert _column(reader, "SELECT a FROM scratch.t") == [1, 2]
    reader.close()


def test_uris(folder: Path) -> None:
    _connected("aux.db").execute("CREATE TABLE u (a)").connection.close()
    connection = _connected("file:main.db", uri=True)
    connection.execute("ATTACH 'file:aux.db?mode=ro' AS aux")
    connection.execute("ATTACH 'file:x?mode=memory' AS scratch")
    with pytest.raises(kvsh.OperationalError, match="attempt to write a readonly database"):
        connection.execute("INSERT INTO u VALUES (2)")
    for name in ("file:none.db?mode=rw", "file:none.db?mode=ro"):
        with pytest.raises(kvsh.OperationalError):
            connection.execute("ATTACH ? AS x", (name,))
    connection.execute("CREATE TABLE scratch.t (a)")
    assert sorted(os.listdir()) == ["aux.db", "main.db"]
    connection.close()


def test_no_detaching_under_a_result(ours: kvsh.Connection) -> None:
    ours.executemany("INSERT INTO aux.u VALUES (?)", [(number,) for number in range(5000)])
    cursor = ours.execute("SELECT a FROM aux.u")
    assert cursor.fetchone() == (0,)
    with pytest.raises(kvsh.OperationalError, match="database aux is locked"):
        ours.execute("DETACH aux")
    assert len(cursor.fetchall()) == 4999
    ours.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(5000)])
    cursor = ours.execute("SELECT a FROM t")
    assert cursor.fetchone() == (0,)
    ours.execute("DETACH aux")
    ours.execute("ATTACH 'aux.db' AS aux")
    assert len(cursor.fetchall()) == 4999
    assert _column(ours, "SELECT count(*) FROM aux.u") == [5000]


def test_plans_are_those_of_what_is_attached(ours: kvsh.Connection) -> None:
    ours.execute("INSERT INTO aux.u VALUES ('first')")
    other = _connected("other.db")
    other.execute("CREATE TABLE u (b, a INT)")
    other.execute("INSERT INTO u VALUES (0, 'second')")
    other.close()
    for _ in range(3):
        for _ in range(3):
            assert _column(ours, "SELECT a FROM aux.u") == ["first"]
            assert _column(ours, "SELECT a FROM u") == ["first"]
        ours.execute("DETACH aux")
        with pytest.raises(kvsh.OperationalError, match="no such table: u"):
            ours.execute("SELECT a FROM u")
        ours.execute("ATTACH 'other.db' AS aux")
        for _ in range(3):
            assert _column(ours, "SELECT a FROM aux.u") == ["second"]
            assert _column(ours, "SELECT a FROM u") == ["second"]
        ours.execute("DETACH aux")
        ours.execute("ATTACH 'aux.db' AS aux")
    ours.execute("DETACH aux")
    for number in range(5):  # and everything is as it was before
        ours.execute("INSERT INTO t VALUES (?)", (number,))
        assert _column(ours, "SELECT count(*) FROM t") == [number + 1]


def test_many_rows_by_one_statement_over_databases(ours: kvsh.Connection) -> None:
    ours.execute("CREATE INDEX aux.by_a ON u (a)")
    rows = [(number * 7919 % 20000,) for number in range(20000)]
    ours.executemany("INSERT INTO t VALUES (?)", rows)
    ours.execute("INSERT INTO aux.u SELECT a FROM t")
    ours.execute("UPDATE aux.u SET a = -a WHERE a IN (SELECT a FROM t WHERE a % 2)")
    ours.execute("DELETE FROM t WHERE a IN (SELECT a FROM aux.u WHERE a > 10000)")
    assert _column(ours, "SELECT count(*) FROM u WHERE a < 0") == [10000]
    assert _column(ours, "SELECT count(*) FROM t") == [20000 - 4999]
    ours.execute("CREATE TABLE aux.copied AS SELECT * FROM t ORDER BY a")
    ours.execute("INSERT INTO t SELECT * FROM copied")
    assert _column(ours, "SELECT count(*) FROM t") == [2 * 15001]
    query = "SELECT count(*) FROM t JOIN aux.u AS u ON t.a = u.a JOIN aux.copied AS c ON c.a = t.a"
    assert _column(ours, query) == [2 * 5001]
    assert _column(ours, "PRAGMA integrity_check") == ["ok"]


def test_a_commit_that_fails_in_one_file_tells_so(
    ours: kvsh.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours.execute("ATTACH 'third.db' AS third")
    ours.execute("CREATE TABLE third.v (a)")
    ours.execute("BEGIN")
    for table in ("t", "u", "v"):
        ours.execute(f"INSERT INTO {table} VALUES (1)")
    session = ours.session
    assert session.begun is not None
    part: Any = session.part_of(session.begun, "aux")

    def fail() -> None:
        part.rollback()
        raise StoreError("the disk is full")

    monkeypatch.setattr(type(part), "commit", _only_for(part, fail, type(part).commit))
    with pytest.raises(
        kvsh.OperationalError,
        match=r"^what was written to main is committed, but what was written to aux is not: the disk is full$",
    ):
        ours.execute("COMMIT")
    assert not ours.in_transaction
    counts = [_column(ours, f"SELECT count(*) FROM {table}")[0] for table in ("t", "u", "v")]
    assert counts == [1, 0, 0]
    ours.execute("INSERT INTO third.v SELECT a FROM t")
    assert _column(ours, "SELECT a FROM v") == [1]


def test_the_locks_of_what_is_left_are_free_behind_a_commit_that_failed(
    ours: kvsh.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while somebody holds the error, with all that its traceback refers to."""
    ours.execute("ATTACH 'third.db' AS third")
    ours.execute("CREATE TABLE third.v (a)")
    ours.execute("BEGIN")
    for table in ("t", "u", "v"):
        ours.execute(f"INSERT INTO {table} VALUES (1)")
    session = ours.session
    assert session.begun is not None
    part: Any = session.part_of(session.begun, "main")

    def fail() -> None:
        part.rollback()
        raise StoreError("the disk is full")

    monkeypatch.setattr(type(part), "commit", _only_for(part, fail, type(part).commit))
    with pytest.raises(kvsh.OperationalError, match=r"^the disk is full$"):
        ours.execute("COMMIT")
    for name, table in (("main", "t"), ("aux", "u"), ("third", "v")):
        another = _connected(f"{name}.db")
        another.execute(f"INSERT INTO {table} VALUES (2)")
        assert _column(another, f"SELECT a FROM {table}") == [2]
        another.close()


def test_a_savepoint_stays_that_of_its_moment_if_its_database_is_made_writable_again(
    ours: kvsh.Connection,
) -> None:
    """As it is where Ctrl-C came the first time."""
    ours.execute("BEGIN")
    ours.execute("SAVEPOINT a")
    ours.execute("INSERT INTO aux.u VALUES (1)")
    begun = ours.session.begun
    assert isinstance(begun, JointTransaction)
    begun.upgrade_part(2)
    ours.execute("INSERT INTO aux.u VALUES (2)")
    ours.execute("ROLLBACK TO a")
    ours.execute("COMMIT")
    assert _column(ours, "SELECT count(*) FROM aux.u") == [0]


def test_savepoints_of_one_database_are_those_of_several_once_there_are(folder: Path) -> None:
    session = _connected("main.db")
    session.execute("CREATE TABLE t (a)")
    session.execute("BEGIN")
    session.execute("INSERT INTO t VALUES (1)")
    session.execute("SAVEPOINT a")
    session.execute("INSERT INTO t VALUES (2)")
    session.execute("SAVEPOINT b")
    session.execute("CREATE TEMP TABLE x (a)")
    session.execute("INSERT INTO t VALUES (3)")
    session.execute("INSERT INTO x VALUES (3)")
    session.execute("ROLLBACK TO b")
    assert _column(session, "SELECT a FROM t") == [1, 2]
    session.execute("RELEASE b")
    session.execute("ROLLBACK TO a")
    session.execute("COMMIT")
    assert _column(session, "SELECT a FROM t") == [1]
    assert _column(session, "SELECT name FROM temp.sqlite_master") == []
    session.close()


def _only_for(part: Any, instead: Any, original: Any) -> Any:
    def commit(self: Any) -> None:
        if self is part:
            instead()
        else:
            original(self)

    return commit


def test_what_a_trigger_wrote_elsewhere_is_undone_with_its_statement(ours: kvsh.Connection) -> None:
    """Few rows are noted one by one: in the right database, whose trees have the same ids as those of others."""
    ours.execute("CREATE TABLE aux.log (a UNIQUE)")
    ours.execute("CREATE TEMP TABLE noted (a)")
    ours.execute("INSERT INTO t VALUES (1)")
    ours.execute(
        "CREATE TEMP TRIGGER tr AFTER UPDATE ON main.t BEGIN"
        " UPDATE log SET a = NEW.a; INSERT INTO noted VALUES (NEW.a);"
        " UPDATE noted SET a = a + 1; DELETE FROM u; SELECT RAISE(ABORT, 'no') WHERE NEW.a = 5; END"
    )
    ours.execute("INSERT INTO log VALUES (0)")
    ours.execute("INSERT INTO u VALUES ('kept')")
    for _ in range(2):
        with pytest.raises(kvsh.IntegrityError, match="no"):
            ours.execute("UPDATE t SET a = 5")
    state = [
        ours.execute(f"SELECT * FROM {name}").fetchall() for name in ("t", "log", "noted", "u")
    ]
    assert state == [[(1,)], [(0,)], [], [("kept",)]]
    ours.execute("UPDATE t SET a = 6")
    state = [
        ours.execute(f"SELECT * FROM {name}").fetchall() for name in ("t", "log", "noted", "u")
    ]
    assert state == [[(6,)], [(6,)], [(7,)], []]
    assert _column(ours, "PRAGMA integrity_check") == ["ok"]


def test_raw_keys_of_attached_databases(ours: kvsh.Connection, other: kvsh.Connection) -> None:
    ours.execute("INSERT INTO kv VALUES ('key', 'of main')")
    ours.execute("INSERT INTO aux.kv VALUES ('key', 'of aux'), ('other', '2')")
    assert _column(ours, "SELECT value FROM kv") == ["of main"]
    assert _column(ours, "SELECT value FROM aux.kv WHERE key >= 'key'") == ["of aux", "2"]
    assert _column(other, "SELECT value FROM kv WHERE key = 'key'") == ["of aux"]
    ours.execute("UPDATE aux.kv SET value = 'changed' WHERE key = 'key'")
    ours.execute("DELETE FROM aux.kv WHERE key = 'other'")
    assert other.execute("SELECT * FROM kv").fetchall() == [("key", "changed")]
    assert _column(ours, "SELECT value FROM main.kv") == ["of main"]
    ours.execute("BEGIN")
    ours.execute("DELETE FROM aux.kv")
    ours.execute("ROLLBACK")
    assert _column(ours, "SELECT value FROM aux.kv") == ["changed"]


def test_whole_databases_and_blobs_by_name(ours: kvsh.Connection) -> None:
    ours.execute("INSERT INTO aux.u VALUES (x'010203')")
    goal = kvsh.connect(":memory:")
    ours.backup(goal, name="aux")
    assert goal.execute("SELECT a FROM u").fetchall() == [(b"\1\2\3",)]
    with pytest.raises(kvsh.OperationalError, match="unknown database nope"):
        ours.backup(goal, name="nope")
    data = ours.serialize(name="aux")
    copy = kvsh.connect(":memory:")
    copy.deserialize(data)
    assert copy.execute("SELECT a FROM u").fetchall() == [(b"\1\2\3",)]
    with ours.blobopen("u", "a", 1, name="aux") as blob:
        blob.write(b"\7")
    assert _column(ours, "SELECT a FROM u") == [b"\7\2\3"]
    ours.execute("ATTACH ':memory:' AS scratch")
    ours.deserialize(data, name="scratch")
    assert _column(ours, "SELECT a FROM scratch.u") == [b"\1\2\3"]
    assert list(ours.iterdump()) == ["BEGIN TRANSACTION;", "CREATE TABLE t (a);", "COMMIT;"]
    for name in ("nope", "temp"):
        with pytest.raises(kvsh.OperationalError, match=f"unknown database {name}"):
            ours.serialize(name=name)


def test_implicit_transactions_and_with_blocks(folder: Path) -> None:
    connection = kvsh.connect("main.db")
    connection.execute("ATTACH 'aux.db' AS aux")
    connection.execute("CREATE TABLE aux.u (a)")
    with pytest.raises(ZeroDivisionError), connection:
        connection.execute("INSERT INTO aux.u VALUES (1)")
        assert connection.in_transaction
        raise ZeroDivisionError
    with connection:
        connection.executemany("INSERT INTO aux.u VALUES (?)", [(2,), (3,)])
    connection.executescript("INSERT INTO u VALUES (4); INSERT INTO u VALUES (5);")
    connection.close()
    assert _column(_connected("aux.db"), "SELECT a FROM u") == [2, 3, 4, 5]


def test_a_view_in_a_file_may_not_name_another_database(ours: kvsh.Connection) -> None:
    """The text of a view in another file may name main: there that was its own."""
    ours.execute("CREATE VIEW v AS SELECT * FROM main.t")
    other = _connected("aux.db")
    other.execute("ATTACH 'main.db' AS beside")
    assert _column(ours, "SELECT count(*) FROM v") == [0]
    with pytest.raises(
        kvsh.OperationalError, match="view v cannot reference objects in database main"
    ):
        other.execute("SELECT * FROM v")
    other.close()
