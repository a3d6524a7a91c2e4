"""Dumps that sqlite3 loads and that come out the same again, and copies of whole databases."""

from __future__ import annotations

import sqlite3

from btree import KeySpace, open_memory
from sql import Session, copy_database, dump_statements
from tests.sql.scripts import run_script

SCRIPT = """
create table "a b" as select 1 as x, 'it''s
two' as "y z" union all select 2.5, x'00ff' union all select null, 1e100
  union all select 9e999, -9e999 union all select 'a' || char(0) || 'b', 1.0;
create table plain(a integer primary key, b text not null default 'x', c as (a + 1));
create view v as select * from "a b";
create trigger tr after insert on plain begin select 1; end;
create index i on plain(b);
create table "index"("table" blob);
"""


def filled_session() -> Session:
    session = Session(open_memory())
    run_script(session, SCRIPT)
    return session


def loaded(dump: list[str]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript("\n".join(dump))
    return connection


def test_sqlite3_loads_a_dump_and_has_the_same_rows() -> None:
    session = filled_session()
    theirs = loaded(list(dump_statements(session)))
    query = 'select x, "y z", typeof(x), typeof("y z") from "a b"'
    assert theirs.execute(query).fetchall() == session.execute(query).fetch_all()
    master = "select type, name, tbl_name, sql from sqlite_master order by type, name"
    assert theirs.execute(master).fetchall() == session.execute(master).fetch_all()


def test_a_dump_is_what_iterdump_gives() -> None:
    session = filled_session()
    dump = list(dump_statements(session))
    theirs = list(loaded(dump).iterdump())
    # iterdump writes infinity as Inf, which is no SQL, and ends text at a NUL; ours can be loaded.
    odd = ("1e999", "char(0)")
    assert [line for line in dump if not any(word in line for word in odd)] == [
        line for line in theirs if "Inf" not in line and "('a'," not in line
    ]


def test_texts_survive_readers_that_change_line_ends() -> None:
    texts = ["a\r\nb", "\r", "\0\r\0", "\\r\r_", "\\r_\r\\\r", "it's\r", "\r\n" * 3_000, "\\\0\\0"]
    session = Session(open_memory())
    session.execute("create table t(a)")
    for text in texts:
        session.execute("insert into t values (?)", (text,))
    dump = list(dump_statements(session))
    assert "\r" not in "".join(dump)
    theirs = loaded(dump)
    theirs.text_factory = lambda data: data.decode()
    assert [text for (text,) in theirs.execute("select a from t")] == texts
    again = Session(open_memory())
    run_script(again, "\n".join(dump))
    assert [text for (text,) in again.execute("select a from t")] == texts


def test_raw_keys_are_in_the_dump_only_where_there_are_any() -> None:
    session = Session(open_memory())
    assert list(dump_statements(session)) == ["BEGIN TRANSACTION;", "COMMIT;"]
    with session.writing() as transaction:
        space = KeySpace(transaction)
        space.put(b"user:1", b"Ada")
        space.put(b"\xff", b"\x00")
    theirs = loaded(list(dump_statements(session)))
    rows = theirs.execute("select key, value from kv order by key").fetchall()
    assert rows == [("user:1", "Ada"), (b"\xff", "\x00")]
    assert rows == session.execute("select key, value from kv order by key").fetch_all()


def test_a_copy_has_everything_and_nothing_else() -> None:
    source, target = filled_session(), Session(open_memory())
    with source.writing() as transaction:
        KeySpace(transaction).put(b"forever", b"v")
        KeySpace(transaction).put(b"for a while", b"v", 1 << 50)
    target.execute("create table old(a unique)")
    with target.writing() as transaction:
        KeySpace(transaction).put(b"old", b"v")
    assert copy_database(source, target) > 0
    assert list(dump_statements(target)) == list(dump_statements(source))
    with target.reading() as transaction:
        space = KeySpace(transaction)
        assert [key for key, _ in space.scan()] == [b"for a while", b"forever"]
        assert space.ttl(b"forever") is None
        assert space.ttl(b"for a while") is not None
    assert target.store.check() == []


def test_what_sqlite_dumps_of_its_statistics_is_passed_over() -> None:
    """The shell's dump of a database that was analyzed inserts into sqlite_stat1: it could not be read at all."""
    theirs = sqlite3.connect(":memory:")
    theirs.executescript(
        "create table t(a, b); create index i on t(a); insert into t values (1, 2);"
    )
    theirs.execute("analyze")
    script = "\n".join(theirs.iterdump()) + "\ninsert into sqlite_stat4 values (1, 2, 3, 4, 5, 6);"
    assert "sqlite_stat1" in script
    session = Session(open_memory())
    run_script(session, script)
    assert session.execute("select * from t").fetch_all() == [(1, 2)]
