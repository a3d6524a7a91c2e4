"""Relations that are no stored tables: kv, the catalog, generate_series."""

from __future__ import annotations

import pytest

from btree import KeySpace, open_memory
from sql import Session, SqlError

KEYS = [
    b"",
    b"a",
    b"a\xff",
    b"b",
    b"user:1",
    b"user:10",
    b"user:2",
    b"user;",
    b"\x80",
    b"\xff",
    "é".encode(),
]


@pytest.fixture
def session() -> Session:
    made = Session(open_memory())
    with made.writing() as transaction:
        space = KeySpace(transaction)
        for key in KEYS:
            space.put(key, b"v" + key)
    return made


def rows(session: Session, query: str) -> list[tuple[object, ...]]:
    return session.execute(query).fetch_all()


def oracle() -> list[str | bytes]:
    """The keys as SQL values, in SQL's order: text by code point, then blobs."""
    texts, blobs = [], []
    for key in KEYS:
        try:
            texts.append(key.decode())
        except UnicodeDecodeError:
            blobs.append(key)
    return [*sorted(texts), *sorted(blobs)]


def test_keys_are_text_where_they_are_utf8_and_blobs_elsewhere(session: Session) -> None:
    assert [row[0] for row in rows(session, "select key from kv order by key")] == oracle()
    assert rows(session, "select value, typeof(value) from kv where key = 'user:1'") == [
        ("vuser:1", "text")
    ]
    assert rows(session, "select key, typeof(key) from kv where key = x'80'") == [(b"\x80", "blob")]
    assert rows(session, "select key from kv where key = x'61'") == []


@pytest.mark.parametrize("op", ["=", "<", "<=", ">", ">="])
@pytest.mark.parametrize("bound", ["'user:1'", "''", "'é'", "x'80'", "x''", "null", "'zz'"])
def test_a_range_of_keys_is_what_comparing_gives(session: Session, op: str, bound: str) -> None:
    """The range is only a way to look at fewer keys; a unary plus keeps the planner from using it."""
    found = rows(session, f"select key from kv where key {op} {bound} order by key")
    assert found == rows(session, f"select key from kv where +key {op} {bound} order by key")


def test_prefixes_and_limits_are_ranges_too(session: Session) -> None:
    like = "select key from kv where key like 'user:%' order by key"
    assert rows(session, like) == [("user:1",), ("user:10",), ("user:2",)]
    assert rows(session, "select key from kv where key between 'a' and 'b' order by key") == [
        ("a",),
        ("b",),
    ]
    assert rows(session, "select count(*) from kv") == [(len(KEYS),)]
    assert rows(session, "select key from kv where key > 'b' order by key limit 2") == [
        ("user:1",),
        ("user:10",),
    ]


def test_expired_keys_are_gone_from_sql_as_well(session: Session) -> None:
    with session.writing() as transaction:
        KeySpace(transaction).put(b"short", b"v", 1)
        KeySpace(transaction).put(b"long", b"v", 1 << 50)
    assert rows(session, "select key from kv where key in ('short', 'long')") == [("long",)]


def test_raw_keys_join_with_tables(session: Session) -> None:
    session.execute("create table t as select value as n from generate_series(1, 3)")
    query = "select n, kv.value from t join kv on kv.key = 'user:' || n order by n"
    assert rows(session, query) == [(1, "vuser:1"), (2, "vuser:2")]


def test_generate_series_counts_both_ways() -> None:
    session = Session(open_memory())
    assert rows(session, "select value from generate_series(1, 10, 4)") == [(1,), (5,), (9,)]
    assert rows(session, "select value from generate_series(3, 1, -1)") == [(3,), (2,), (1,)]
    assert rows(session, "select value from generate_series(3, 1)") == []
    assert rows(session, "select value, start, stop, step from generate_series(2, 3)") == [
        (2, 2, 3, 1),
        (3, 2, 3, 1),
    ]
    assert rows(session, "select value from generate_series(7) limit 2") == [(7,), (8,)]
    with pytest.raises(SqlError, match="generate_series"):
        rows(session, "select * from generate_series")


def test_numbers_are_keys_by_their_text() -> None:
    session = Session(open_memory())
    with session.writing() as transaction:
        KeySpace(transaction).put(b"5", b"five")
        KeySpace(transaction).put(b"10", b"ten")
    assert rows(session, "select value from kv where key = 5") == [("five",)]
    assert rows(session, "select value from kv where key > 2") == [("five",)]
    assert rows(session, "select value from kv where key < 5") == [("ten",)]
