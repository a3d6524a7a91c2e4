"""Databases in memory that connections share by a URI's name, beside the sqlite3 module's."""

from __future__ import annotations

import gc
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import kvsh

URI = "file:shared?mode=memory&cache=shared"
MODULES: list[Any] = [kvsh, sqlite3]


@pytest.fixture(params=MODULES, ids=["kvsh", "sqlite3"])
def module(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def opened(module: Any) -> Iterator[Any]:
    """`connect` with URIs; what it gave is closed at the end."""
    connections = []

    def connect(uri: str = URI, **options: Any) -> Any:
        connections.append(module.connect(uri, uri=True, timeout=0.05, **options))
        return connections[-1]

    yield connect
    for connection in connections:
        connection.close()


def rows(connection: Any, sql: str = "SELECT a FROM t ORDER BY a") -> Any:
    return connection.execute(sql).fetchall()


def filled(connection: Any) -> Any:
    connection.execute("CREATE TABLE t(a)")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.commit()
    return connection


def test_connections_of_one_name_see_what_the_others_commit(opened: Any) -> None:
    one, other = opened(), opened()
    filled(one)
    assert rows(other) == [(1,)]
    other.execute("INSERT INTO t VALUES (2)")
    other.commit()
    assert rows(one) == [(1,), (2,)]
    one.execute("ALTER TABLE t ADD COLUMN b DEFAULT 5")
    assert rows(other, "SELECT * FROM t WHERE a = 1") == [(1, 5)]
    other.execute("CREATE INDEX i ON t(b)")
    one.execute("DROP TABLE t")
    with pytest.raises(Exception, match="no such table: t"):
        rows(other)


def test_it_is_gone_with_the_last_connection(opened: Any) -> None:
    one = filled(opened())
    other = opened()
    one.close()
    assert rows(other) == [(1,)]
    other.close()
    assert rows(opened(), "SELECT name FROM sqlite_master") == []


def test_a_connection_that_is_dropped_lets_go_as_one_that_is_closed(module: Any) -> None:
    connection = filled(module.connect(URI, uri=True))
    del connection
    gc.collect()
    fresh = module.connect(URI, uri=True)
    assert rows(fresh, "SELECT name FROM sqlite_master") == []
    fresh.close()


@pytest.mark.parametrize(
    ("uri", "is_shared"),
    [
        (URI, True),
        (f"{URI}#fragment", True),
        ("file:%73hared?mode=memory&cache=shared", True),
        ("file:shared?cache=shared&mode=memory", True),
        ("file:shared?mode=memory", False),
        ("file:shared?mode=memory&cache=private", False),
        ("file:Shared?mode=memory&cache=shared", False),
        ("file:/shared?mode=memory&cache=shared", False),
        ("file::memory:?cache=shared", False),
        (":memory:", False),
        ("file:?mode=memory&cache=shared", False),
    ],
)
def test_what_is_the_same_database(opened: Any, uri: str, is_shared: bool) -> None:
    filled(opened())
    assert bool(rows(opened(uri), "SELECT name FROM sqlite_master")) is is_shared


@pytest.mark.parametrize(
    ("uri", "is_shared"),
    [
        ("file::memory:?cache=shared", True),
        ("file::memory:?mode=memory&cache=shared", True),
        ("file:/one?vfs=memdb", True),
        ("file:one?vfs=memdb", False),
        ("file:?mode=memory&cache=shared", False),
        ("file::memory:", False),
    ],
)
def test_other_ways_to_say_it(opened: Any, uri: str, is_shared: bool) -> None:
    filled(opened(uri))
    assert bool(rows(opened(uri), "SELECT name FROM sqlite_master")) is is_shared


@pytest.mark.parametrize(
    "uri",
    [
        "file:x?mode=MEMORY",
        "file:x?mode=",
        "file:x?mode=memory&cache=both",
        "file:x?mode=memory&cache=",
        "file:x?vfs=none",
        "file://elsewhere/x?mode=memory",
        "file:none/none?mode=rw",
    ],
)
def test_wrong_uris_have_the_same_messages(uri: str) -> None:
    messages = []
    for module in MODULES:
        with pytest.raises(module.OperationalError) as caught:
            module.connect(uri, uri=True)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_another_writer_is_waited_for(opened: Any, module: Any) -> None:
    one, other = filled(opened()), opened()
    one.execute("INSERT INTO t VALUES (2)")
    with pytest.raises(module.OperationalError, match="locked"):
        other.execute("INSERT INTO t VALUES (3)")
    one.rollback()
    other.execute("INSERT INTO t VALUES (3)")
    other.commit()
    assert rows(one) == [(1,), (3,)]


def test_readers_see_the_commit_that_they_began_at() -> None:
    one, other = kvsh.connect(URI, uri=True), kvsh.connect(URI, uri=True)
    filled(one)
    other.execute("BEGIN")
    assert rows(other) == [(1,)]
    one.execute("INSERT INTO t VALUES (2)")
    assert rows(other) == [(1,)]
    one.commit()
    assert rows(other) == [(1,)]
    with pytest.raises(kvsh.OperationalError) as caught:
        other.execute("INSERT INTO t VALUES (3)")
    assert caught.value.sqlite_errorname == "SQLITE_BUSY"
    other.rollback()
    assert rows(other) == [(1,), (2,)]
    one.close()
    other.close()


def test_attached_databases_are_shared_too(opened: Any, module: Any) -> None:
    one, other = opened(), opened(":memory:")
    filled(one)
    other.execute(f"ATTACH '{URI}' AS s")
    assert rows(other, "SELECT a FROM s.t") == [(1,)]
    other.execute("INSERT INTO s.t VALUES (2)")
    other.commit()
    assert rows(one) == [(1,), (2,)]
    one.close()
    assert rows(other, "SELECT a FROM s.t") == [(1,), (2,)]
    with pytest.raises(module.OperationalError, match="database is already attached"):
        other.execute(f"ATTACH '{URI}' AS again")
    with pytest.raises(module.OperationalError, match="database is already attached"):
        opened().execute(f"ATTACH '{URI}' AS main_again")
    other.execute("DETACH s")


def test_private_databases_may_be_attached_at_will(opened: Any) -> None:
    connection = opened("file:own?mode=memory")
    for name in ("a", "b"):
        connection.execute(f"ATTACH 'file:own?mode=memory' AS {name}")
        connection.execute(f"CREATE TABLE {name}.{name}(x)")
    assert rows(connection, "SELECT name FROM b.sqlite_master") == [("b",)]


def test_threads_with_connections_of_their_own() -> None:
    first = filled(kvsh.connect(URI, uri=True))
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            own = kvsh.connect(URI, uri=True, timeout=30)
            for step in range(50):
                own.execute("INSERT INTO t VALUES (?)", (1000 * number + step,))
                own.commit()
                assert own.execute("SELECT count(*) FROM t").fetchone()[0] > step
            own.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert rows(first, "SELECT count(*), count(DISTINCT a) FROM t") == [(201, 201)]
    first.close()


def test_a_shared_one_may_be_opened_to_read_alone() -> None:
    one = filled(kvsh.connect(URI, uri=True))
    reader = kvsh.connect(URI, uri=True, readonly=True)
    with pytest.raises(kvsh.OperationalError, match=r"read-?only"):
        reader.execute("INSERT INTO t VALUES (2)")
    reader.rollback()
    one.execute("INSERT INTO t VALUES (2)")
    one.commit()
    assert rows(reader) == [(1,), (2,)]
    reader.close()
    one.close()


def test_memory_takes_the_options_that_files_take() -> None:
    for connect in (kvsh.open, kvsh.connect):
        with pytest.raises(kvsh.OperationalError, match="full, normal or off, not 'bogus'"):
            connect(":memory:", durability="bogus")  # type: ignore[arg-type]
        with pytest.raises(kvsh.OperationalError, match="no earlier commits: at=3"):
            connect(":memory:", at=3)
        with pytest.raises(TypeError, match="timeout is a number of seconds"):
            connect(":memory:", timeout="5")  # type: ignore[arg-type]
    for durability in ("full", "normal", "off"):
        kvsh.open(":memory:", durability=durability).close()
    with kvsh.open(":memory:", readonly=True) as db:
        assert db.get("a") is None
        with pytest.raises(kvsh.OperationalError, match="read-only"):
            db.put("a", "b")
