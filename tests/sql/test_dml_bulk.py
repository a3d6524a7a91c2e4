"""Many rows at once: bulk writes leave what sqlite3 leaves, errors and indexes included."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from btree import open_memory
from sql import Session, SqlError
from sql.functions import Function

Row = tuple[Any, ...]
ROWS = 3000

TABLES = {
    "rowids given": "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c REAL)",
    "rowids of its own": "CREATE TABLE t(a INT, b TEXT, c)",
    "two indexes": "CREATE TABLE t(a INT, b TEXT UNIQUE, c REAL); CREATE INDEX tc ON t(c, a)",
    "without rowid": "CREATE TABLE t(a, b TEXT COLLATE NOCASE, c, PRIMARY KEY(b, a)) WITHOUT ROWID",
    "autoincrement": "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT, b, c UNIQUE)",
    "partial": "CREATE TABLE t(a, b, c); CREATE UNIQUE INDEX p ON t(a) WHERE c > 1500;"
    "CREATE INDEX e ON t(a + 1, b COLLATE NOCASE)",
    "generated": "CREATE TABLE t(a, b, c, d AS (a || b) UNIQUE, e INTEGER AS (c) STORED)",
    "checked": "CREATE TABLE t(a INT NOT NULL, b TEXT CHECK(length(b) < 12), c)",
    "strict": "CREATE TABLE t(a INTEGER, b TEXT, c ANY) STRICT",
    "nulls": "CREATE TABLE t(a UNIQUE, b, c, UNIQUE(b, c))",
}


class Engines:
    """kvsh and sqlite3 with the same table."""

    def __init__(self, definition: str) -> None:
        self.session = Session(open_memory(leaf_limit=32))
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        for statement in definition.split(";"):
            self.both(statement)

    def both(self, statement: str) -> None:
        """Run a statement in both; the same changes, or the same message."""
        assert self._ours(statement) == self._theirs(statement)

    def many(self, statement: str, rows: list[Row]) -> None:
        """Run a statement for each of `rows` in one transaction."""
        self.both("BEGIN")
        ours = theirs = ""
        try:
            self.session.execute_many(statement, rows)
        except SqlError as error:
            ours = error.message
        try:
            self.connection.executemany(statement, rows)
        except sqlite3.Error as error:
            theirs = str(error)
        assert ours == theirs
        self.both("COMMIT")

    def _ours(self, statement: str) -> object:
        try:
            result = self.session.execute(statement)
        except SqlError as error:
            return error.message
        return result.rowcount

    def _theirs(self, statement: str) -> object:
        try:
            return self.connection.execute(statement).rowcount
        except sqlite3.Error as error:
            return str(error)

    def compare(self) -> None:
        """The same rows in the same order of keys, and indexes that agree with them."""
        key = "*"
        if "WITHOUT ROWID" not in str(self.session.schema.tables["t"].sql):
            key = "rowid, *"
        query = f"SELECT {key} FROM t ORDER BY {'rowid' if 'rowid' in key else '2, 1'}"
        ours = list(self.session.execute(query))
        theirs = self.connection.execute(query).fetchall()
        assert [list(map(repr, row)) for row in ours] == [list(map(repr, row)) for row in theirs]
        assert list(self.session.execute("PRAGMA integrity_check")) == [("ok",)]

    def close(self) -> None:
        self.session.close()
        self.connection.close()


@pytest.fixture(params=TABLES.values(), ids=TABLES.keys())
def engines(request: pytest.FixtureRequest) -> Iterator[Engines]:
    made = Engines(request.param)
    yield made
    made.close()


def ascending(seed: int) -> list[Row]:
    return [(place + seed, f"text {place}", place * 0.5) for place in range(ROWS)]


def scattered(seed: int, *, of: int) -> list[Row]:
    random = Random(seed)
    return [
        (random.randrange(of), f"Text {random.randrange(of)}", random.randrange(of))
        for _ in range(ROWS)
    ]


COLUMNS = "INTO t(a, b, c) VALUES(?, ?, ?)"


def test_rows_in_order_are_appended(engines: Engines) -> None:
    engines.many(f"INSERT {COLUMNS}", ascending(1))
    engines.many(f"INSERT {COLUMNS}", ascending(1 + ROWS))
    engines.compare()


def test_rows_in_no_order_find_their_places(engines: Engines) -> None:
    engines.many(f"INSERT {COLUMNS}", scattered(1, of=1 << 40))
    engines.many(f"INSERT {COLUMNS}", scattered(2, of=1 << 40))
    engines.compare()


def test_rows_in_the_way_are_kept_under_or_ignore(engines: Engines) -> None:
    engines.many(f"INSERT OR IGNORE {COLUMNS}", scattered(3, of=2000))
    engines.many(f"INSERT OR IGNORE {COLUMNS}", scattered(4, of=2000))
    engines.many(f"INSERT {COLUMNS} ON CONFLICT DO NOTHING", scattered(5, of=2000))
    engines.compare()


def test_rows_in_the_way_give_way_under_or_replace(engines: Engines) -> None:
    engines.many(f"INSERT OR REPLACE {COLUMNS}", scattered(6, of=1500)[:1000])
    engines.many(f"REPLACE {COLUMNS}", scattered(7, of=1500)[:1000])
    engines.compare()


def test_the_rows_before_one_that_fails_stay(engines: Engines) -> None:
    engines.many(f"INSERT {COLUMNS}", ascending(1))
    rows = [*ascending(1 + 2 * ROWS)[:700], (5, "text 4", 2.0), (None, None, None)]
    engines.many(f"INSERT {COLUMNS}", rows)
    engines.compare()


@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR IGNORE", "REPLACE"])
def test_many_chunks_of_growing_size(
    engines: Engines, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sql.session_writes._SETS_AT_ONCE", 100)
    monkeypatch.setattr("sql.dml.insert._SORTED_AT_ONCE", 700)
    of = 1 << 40 if verb == "INSERT" else 2000
    engines.many(f"{verb} {COLUMNS}", scattered(8, of=of))
    rows = scattered(9, of=of)
    engines.many(f"{verb} {COLUMNS}", [*rows[:1850], (1, "in the way", 2), *rows[1850:]])
    engines.many(f"{verb} {COLUMNS}", [*rows[:50], (1, "in the way", 2), (None, None, 7)])
    monkeypatch.setattr("sql.dml.insert._ROWS_AT_ONCE", 300)
    engines.both(f"{verb} INTO t(a, b, c) SELECT a + 100000, b || '+', c + 0.5 FROM t")
    engines.compare()


def test_values_are_converted_column_by_column(engines: Engines) -> None:
    rows = [(str(place), place * 2, str(place * 0.25)) for place in range(1, 500)]
    engines.many(f"INSERT {COLUMNS}", rows)
    engines.compare()


def test_a_query_fills_a_table_from_itself(engines: Engines) -> None:
    engines.many(f"INSERT {COLUMNS}", ascending(1)[:400])
    engines.both("INSERT INTO t(a, b, c) SELECT a + 10000, b || 'x', c + 20000 FROM t")
    engines.both("INSERT INTO t(a, b, c) SELECT a, b, c FROM t ORDER BY a")
    engines.compare()


def test_updates_in_bulk_keep_indexes_true(engines: Engines) -> None:
    engines.many(f"INSERT {COLUMNS}", ascending(1)[:1200])
    engines.both("UPDATE t SET c = c + 0.25")
    engines.both("UPDATE t SET b = b || 'y' WHERE c > 200")
    engines.both("UPDATE t SET c = 'new', b = c WHERE a BETWEEN 100 AND 120")
    engines.both("UPDATE t SET a = a + 100000 WHERE c > 250")
    engines.both("UPDATE t SET b = 'text 3' WHERE a IN (5, 6)")
    engines.compare()


def test_deletes_in_bulk_keep_indexes_true(engines: Engines) -> None:
    engines.many(f"INSERT {COLUMNS}", scattered(8, of=1 << 40)[:1500])
    engines.both("DELETE FROM t WHERE c % 3 = 0")
    engines.both("DELETE FROM t WHERE a > 500000000000")
    engines.many("DELETE FROM t WHERE a = ?", [(row[0],) for row in scattered(8, of=1 << 40)[:300]])
    engines.compare()
    engines.both("DELETE FROM t")
    engines.compare()


def test_an_index_made_later_holds_every_row(engines: Engines) -> None:
    engines.many(f"INSERT {COLUMNS}", scattered(9, of=1 << 40)[:1500])
    engines.both("CREATE INDEX later ON t(b COLLATE NOCASE, c)")
    engines.both("CREATE UNIQUE INDEX single ON t(a)")
    engines.both("UPDATE t SET c = 1 WHERE a % 2 = 0")
    engines.both("CREATE UNIQUE INDEX double ON t(c)")
    engines.compare()


@pytest.mark.parametrize(
    "values",
    [
        "(?, ?, 7)",
        "(upper(?), ? || lower('X'), abs(-5))",
        "(coalesce(?, 1), length(?2) + 1, 'p[0]')",
        "(?1, 'a' || ?1, ?2), (?2, NULL, date('2024-01-31', '+1 month')), (1, 2, 3)",
        "(CASE WHEN ?1 > 'k' THEN ?2 ELSE 'p' END, instr('xyz', ?), round(2.5))",
    ],
)
def test_expressions_of_values_are_computed_for_each_set(values: str) -> None:
    engines = Engines("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b TEXT DEFAULT 'q', c REAL)")
    words = ["a", "z", "Zebra", None, 5, 2.5, b"x", "ý"]
    sets = [(word, other) for word in words for other in reversed(words)] * 3
    engines.many(f"INSERT INTO t(a, b, c) VALUES {values}", sets)
    engines.compare()
    engines.close()


def test_what_is_one_moment_or_another_value_each_time() -> None:
    session = Session(open_memory())
    session.execute("CREATE TABLE t(a, b DEFAULT CURRENT_TIMESTAMP, c DEFAULT (random()), d)")
    calls: list[object] = []

    def counted(value: object) -> object:
        calls.append(value)
        return value

    session.functions.register(Function("counted", counted, 1, 1, builtin=False), 1)
    session.execute_many("INSERT INTO t(a, d) VALUES (?, counted(5))", [(n,) for n in range(500)])
    found = list(session.execute("SELECT count(*), count(DISTINCT b), count(DISTINCT c) FROM t"))
    assert found == [(500, 1, 500)]
    assert calls == [5] * 500


GENERATED = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b REAL, c TEXT AS (upper(e) || a) STORED,"
    " d INTEGER AS (a * b), e AS (a + id) STORED, f TEXT AS (b) VIRTUAL NOT NULL)"
)


def test_generated_columns_of_many_rows_that_need_each_other() -> None:
    engines = Engines(GENERATED)
    values = [1, 2.5, "12", "x", None, b"y", 1 << 62, 0.25, "1e3"]
    rows = [(a, b) for a in values for b in values if b is not None]
    for kinds in ({int}, {int, float}, {str}, set(map(type, values))):  # one kind, then another
        chosen = [row for row in rows if {*map(type, row)} <= kinds] * 9
        if chosen:
            engines.many("INSERT INTO t(a, b) VALUES (?, ?)", chosen)
            engines.both("UPDATE t SET a = a || '1', b = b + 1 WHERE id % 3 = 0")
            engines.both("UPDATE t SET b = 3 - b WHERE id % 2 = 0")
    engines.many("INSERT INTO t(a, b) VALUES (?, ?)", [*rows, (1, None), *rows])
    engines.compare()
    engines.close()


CHECKED = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a CHECK(a < 100 OR a IS NULL), b CHECK(b),"
    " CONSTRAINT both CHECK(a + b <> 13), CHECK(id < 5000))"
)


@pytest.mark.parametrize("broken", [(100, 1), (5, 0), (6, 7), (None, "x"), ("z", 1), (1, None)])
def test_one_row_of_many_breaks_a_check(broken: Row) -> None:
    engines = Engines(CHECKED)
    good = [(n % 50, n % 7 + 40) for n in range(300)]
    engines.many("INSERT INTO t(a, b) VALUES (?, ?)", [*good, broken, *good])
    engines.many("INSERT OR IGNORE INTO t(a, b) VALUES (?, ?)", [*good, broken, *good])
    engines.both("UPDATE t SET a = a + 40, b = b + 0.5")
    engines.both("UPDATE t SET a = a + 40, b = b - 0.5 WHERE a < 30")
    engines.both("UPDATE t SET id = id + 4800 WHERE id > 190")
    engines.compare()
    engines.close()


def test_a_check_that_fails_to_tell_is_met_in_the_order_of_rows() -> None:
    definition = "CREATE TABLE t(a CHECK(json_extract(a, '$.x') < 5))"
    for last in ("{", '{"x": 9}'):
        engines = Engines(definition)
        rows = [(f'{{"x": {n % 5}}}',) for n in range(50)]
        engines.many("INSERT INTO t VALUES (?)", [*rows, ('{"x": 7}',), *rows, (last,)])
        engines.many("INSERT INTO t VALUES (?)", [*rows, ("{",), *rows, ('{"x": 7}',)])
        engines.compare()
        engines.close()


@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR IGNORE", "REPLACE", "INSERT OR FAIL"])
@pytest.mark.parametrize(
    "definition",
    [
        "CREATE TABLE t(a INT, b TEXT UNIQUE, c); CREATE INDEX tc ON t(c, a);"
        "CREATE INDEX p ON t(b COLLATE NOCASE) WHERE a > 50; CREATE INDEX e ON t(abs(a) + 1)",
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c); CREATE INDEX tc ON t(c DESC, b)",
        "CREATE TABLE t(a, b TEXT, c, PRIMARY KEY(a)) WITHOUT ROWID; CREATE INDEX tc ON t(c)",
        "CREATE TEMP TABLE t(a INTEGER PRIMARY KEY, b TEXT, c); CREATE INDEX temp.tc ON t(c)",
    ],
)
def test_indexes_are_built_anew_for_many_rows(
    definition: str, verb: str, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sql.dml.bulk.REBUILT_MIN", 500)
    engines = Engines(definition)
    rows = ascending(3)
    Random(3).shuffle(rows)
    engines.many(f"{verb} INTO t(a, b, c) VALUES (?, ?, ?)", rows)
    assert "tc" in built or verb == "REPLACE"
    built.clear()
    engines.compare()
    engines.many(f"{verb} INTO t(a, b, c) VALUES (?, ?, ?)", ascending(50_000)[:400])
    assert not built
    engines.compare()
    engines.many(f"{verb} INTO t(a, b, c) VALUES (?, ?, ?)", [*ascending(70_000), rows[0]])
    engines.both(f"{verb} INTO t(a, b, c) SELECT a + 200000, b || 'q', c FROM t")
    engines.compare()
    engines.close()


@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR FAIL", "INSERT OR ROLLBACK"])
@pytest.mark.parametrize(
    "definition",
    [
        "CREATE TABLE t(a INT, b TEXT UNIQUE, c)",
        "CREATE TABLE t(b TEXT PRIMARY KEY, a INTEGER UNIQUE, c); CREATE INDEX tc ON t(c)",
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT COLLATE NOCASE UNIQUE, c, UNIQUE(c, b))",
        "CREATE TABLE t(a, b TEXT, c, PRIMARY KEY(a, b)) WITHOUT ROWID; CREATE UNIQUE INDEX tb ON t(b)",
        "CREATE TABLE t(a, b, c); CREATE UNIQUE INDEX p ON t(b || '-') WHERE a > 50",
    ],
)
def test_unique_indexes_are_built_anew_and_tell_what_is_twice(
    definition: str, verb: str, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sql.dml.bulk.REBUILT_MIN", 500)
    engines = Engines(definition)
    rows = ascending(3)
    random = Random(4)
    random.shuffle(rows)
    insert = f"{verb} INTO t(a, b, c) VALUES (?, ?, ?)"
    more = [(a, f"more {b}", -c) for a, b, c in ascending(70_000)]
    random.shuffle(more)
    new = [(a + 500_000, b, c) for a, b, c in rows[700:710]]
    loads = (rows, [*more[:900], new[0], *more[900:]], more[900:2200], [*more[2200:], *new])
    for number, some in enumerate(loads):
        built.clear()
        engines.many(insert, some)
        assert built or number
        engines.compare()
        engines.both("INSERT OR IGNORE INTO t(a, b, c) VALUES (-1, 'after', 1)")
    inner = [(a, f"inner {b}", c + 0.25) for a, b, c in ascending(90_000)]
    inner += [(300_000, None, None), (300_001, None, None)]
    random.shuffle(inner)
    engines.many(insert, [*inner, inner[5]])
    engines.compare()
    engines.many(insert, inner)
    engines.compare()
    engines.close()


def test_values_in_order_are_put_behind_those_of_an_index(built: list[str]) -> None:
    engines = Engines("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT UNIQUE, c)")
    rows = [(None, f"{number:06}", number) for number in range(6000)]
    engines.many("INSERT INTO t VALUES (?, ?, ?)", rows)
    assert not built
    engines.compare()
    engines.many("INSERT INTO t VALUES (?, ?, ?)", rows[::-1])
    engines.compare()
    engines.close()


def test_a_load_that_is_interrupted_while_an_index_is_built_leaves_nothing() -> None:
    session = Session(open_memory())
    session.execute("CREATE TABLE t(a, b)")
    session.execute("CREATE INDEX ta ON t(a)")
    session.execute("INSERT INTO t VALUES (1, 1)")
    values = ", ".join(["(?, ?)"] * 5000)

    def stop() -> bool:
        """While the rows are there, and not all of their entries."""
        return session.current is not None and len(session.current.tree(table.tree_id)) > 2

    table = session.schema.tables["t"]
    session.execute("BEGIN")
    session.execute("INSERT INTO t VALUES (2, 2)")
    session.cancellation.progress = stop
    with pytest.raises(SqlError):
        session.execute(f"INSERT INTO t VALUES {values}", tuple(range(10_000, 0, -1)))
    session.cancellation.progress = None
    assert list(session.execute("SELECT count(*) FROM t")) == [(2,)]
    session.execute("COMMIT")
    assert list(session.execute("PRAGMA integrity_check")) == [("ok",)]
