"""UPDATE and DELETE by rowid with parameters: the short way to one row leaves what sqlite3 leaves."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

import kvsh
from tests.sql.dml_scripts import contents
from tests.sql.engines import COUNTERS, KvshEngine, SqliteEngine, outcome

TABLES = {
    "alias": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c)",
    "rowid": "CREATE TABLE t(id INT, a INT, b TEXT, c)",
    "not null": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT NOT NULL, b TEXT NOT NULL DEFAULT 'd', c)",
    "indexes": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT COLLATE NOCASE, c);"
    " CREATE INDEX ta ON t(a, b); CREATE UNIQUE INDEX tb ON t(b)",
    "partial": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c);"
    " CREATE UNIQUE INDEX ta ON t(a) WHERE c > 3; CREATE INDEX tb ON t(b)",
    "expression": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c);"
    " CREATE UNIQUE INDEX ta ON t(a % 50, b)",
    "generated": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c, d AS (a + 1) UNIQUE)",
    "checked": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT CHECK(a < 30), b TEXT, c)",
    "strict": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c ANY) STRICT",
    "numeric": "CREATE TABLE t(id INTEGER PRIMARY KEY, a DECIMAL(10, 2), b DATETIME, c REAL)",
    "numeric, not null": "CREATE TABLE t(id INTEGER PRIMARY KEY, a DECIMAL NOT NULL, b DATE NOT NULL, c REAL);"
    " CREATE INDEX ta ON t(a)",
    "strict, not null": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT NOT NULL, b TEXT, c REAL) STRICT",
    "trigger": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c); CREATE TABLE log(x);"
    " CREATE TRIGGER u AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (NEW.a); END;"
    " CREATE TRIGGER d BEFORE DELETE ON t BEGIN INSERT INTO log VALUES (OLD.a); END",
    "referenced": "PRAGMA foreign_keys = ON; CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c);"
    " CREATE TABLE u(x REFERENCES t(id)); ",
    "children": "PRAGMA foreign_keys = ON; CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c);"
    " CREATE TABLE u(x INT REFERENCES t(id)); CREATE INDEX ux ON u(x);"
    " CREATE TABLE v(x INTEGER PRIMARY KEY REFERENCES t(id));"
    " CREATE TABLE w(x INT REFERENCES t(id) ON DELETE CASCADE, y); CREATE INDEX wx ON w(x, y)",
    "cascade": "PRAGMA foreign_keys = ON; CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c);"
    " CREATE TABLE w(x INT REFERENCES t(id) ON DELETE CASCADE, y); CREATE INDEX wx ON w(x, y);"
    " CREATE TABLE u(x INT REFERENCES t(id) ON DELETE SET NULL); CREATE INDEX ux ON u(x)",
    "parents": "PRAGMA foreign_keys = ON; CREATE TABLE p(k INTEGER PRIMARY KEY, n TEXT UNIQUE);"
    " CREATE TABLE t(id INTEGER PRIMARY KEY, a INT REFERENCES p, b TEXT REFERENCES p(n), c); CREATE INDEX ta ON t(a)",
    "own parents": "PRAGMA foreign_keys = ON;"
    " CREATE TABLE t(id INTEGER PRIMARY KEY, a INT REFERENCES t(id), b TEXT, c); CREATE INDEX ta ON t(a)",
    "deferred": "PRAGMA foreign_keys = ON; CREATE TABLE p(k INTEGER PRIMARY KEY, n TEXT UNIQUE);"
    " CREATE TABLE t(id INTEGER PRIMARY KEY, a INT REFERENCES p DEFERRABLE INITIALLY DEFERRED, b TEXT, c)",
    "index": "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c); CREATE INDEX ta ON t(a); CREATE INDEX tc ON t(c, b)",
    "without rowid": "CREATE TABLE t(id INT PRIMARY KEY, a INT, b TEXT, c) WITHOUT ROWID",
}
STATEMENTS = [
    ("UPDATE t SET a = ? WHERE id = ?", 2),
    ("UPDATE t SET a = a + ? WHERE rowid = ?", 2),
    ("UPDATE t AS x SET b = ?, c = x.a WHERE ? = x.id", 2),
    ("UPDATE t SET (b, c) = (c, b), a = ? WHERE id = ?", 2),
    ("UPDATE t SET a = (SELECT max(a) FROM t) + ? WHERE id = ?", 2),
    ("UPDATE OR IGNORE t SET b = ? WHERE id = ?", 2),
    ("UPDATE OR REPLACE t SET b = ?, a = 3 WHERE id = ?", 2),
    ("UPDATE t SET id = ? WHERE id = ?", 2),
    ("UPDATE t SET c = ? WHERE id = ? AND a < 40", 2),
    ("UPDATE t SET c = ? WHERE id = ? RETURNING a, c", 2),
    ("DELETE FROM t WHERE id = ?", 1),
    ("DELETE FROM t AS x WHERE ? = x._rowid_", 1),
    ("DELETE FROM t WHERE id = ? RETURNING *", 1),
    ("UPDATE t SET c = a + ? WHERE a = ?", 2),
    ("UPDATE t SET a = ?, b = b || 'x' WHERE a = ?", 2),
    ("UPDATE t SET c = ? WHERE c = ? AND b > 'b 1' RETURNING *, id + 1", 2),
    ("UPDATE t AS x SET c = ? WHERE x.a = ? AND (x.c IS NULL OR x.id > 4)", 2),
    ("DELETE FROM t WHERE a = ?", 1),
    ("DELETE FROM t WHERE c = ? AND id % 3 = 1", 1),
    ("DELETE FROM t AS x WHERE x.c = ? AND x.a > 3 RETURNING id, a", 1),
    ("DELETE FROM t WHERE id = ? AND a < 12", 1),
    ("INSERT INTO t(id, a, b, c) VALUES (?, ?, ?, ?)", 4),
    ("INSERT OR IGNORE INTO t(id, a, b, c) VALUES (?, ?, ?, ?)", 4),
    ("INSERT INTO t(id, a, b, c) VALUES (?, ?, upper(?), ? || 1)", 4),
]
OTHERS = [
    ("INSERT INTO u VALUES (?)", 1),
    ("INSERT INTO v VALUES (?)", 1),
    ("INSERT INTO w VALUES (?, 1)", 1),
    ("INSERT INTO p VALUES (?, 'b ' || ?)", 2),
    ("UPDATE u SET x = ? WHERE rowid = ?", 2),
    ("DELETE FROM p WHERE k = ?", 1),
]
"""About other tables, where there are such."""
KEYS: list[Any] = [*range(1, 30), "7", "x", 7.0, 7.5, None, b"7", 1 << 62]
VALUES: list[Any] = [*range(12), "3", "three", "b 5", 2.0, 2.5, None, b"\0"]


class Pair:
    """kvsh and sqlite3 with the same tables."""

    def __init__(self, definition: str) -> None:
        self.ours, self.theirs = KvshEngine(leaf_limit=4), SqliteEngine()
        self.is_strict = definition.endswith("STRICT")
        self.others = [
            item
            for item in OTHERS
            if f"CREATE TABLE {item[0].split()[1 if item[0][0] == 'U' else 2]}(" in definition
        ]
        for engine in (self.ours, self.theirs):
            text = ""
            for part in definition.split(";"):
                text += part + ";"
                if "CREATE TRIGGER" not in text or part.strip() == "END":
                    engine.execute(text)
                    text = ""
            if "REFERENCES p" in definition:
                for number in range(1, 31):
                    engine.execute("INSERT INTO p VALUES (?, ?)", (number, f"b {number}"))
            for number in range(1, 21):
                engine.execute(
                    "INSERT INTO t(id, a, b, c) VALUES (?, ?, ?, ?)",
                    (number, number, f"b {number}", number % 7),
                )

    def run(self, statement: str, parameters: tuple[Any, ...] = ()) -> None:
        """The same outcome and the same counters."""
        mine = outcome(self.ours, statement, parameters)
        assert (statement, parameters, mine) == (
            statement,
            parameters,
            outcome(self.theirs, statement, parameters),
        )
        assert self.ours.execute(COUNTERS) == self.theirs.execute(COUNTERS)

    def compare(self) -> None:
        """The same tables, and indexes that agree with them."""
        assert contents(self.ours) == contents(self.theirs)
        assert self.ours.execute("PRAGMA integrity_check") == [("ok",)]

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@pytest.fixture(params=TABLES.values(), ids=TABLES.keys())
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    made = Pair(request.param)
    yield made
    made.close()


def test_statements_by_key_with_values_of_all_kinds(pair: Pair) -> None:
    numbers = random.Random(11)
    for number in range(400):
        statement, count = numbers.choice(STATEMENTS)
        if pair.is_strict and count == 4:
            continue  # which of two errors comes first is not the same
        if number % 4 == 3 and pair.others:
            statement, count = numbers.choice(pair.others)
        values = [numbers.choice(VALUES) for _ in range(count)]
        values[0 if count == 4 else -1] = numbers.choice(KEYS)
        if number % 50 == 10:
            pair.run("BEGIN")
        pair.run(statement, tuple(values))
        if number % 50 == 40:
            pair.run("ROLLBACK" if number % 100 == 40 else "COMMIT")
            pair.compare()
    pair.compare()


def test_a_failing_statement_leaves_the_row_and_its_index_entries() -> None:
    pair = Pair(TABLES["indexes"])
    pair.run("BEGIN")
    pair.run("UPDATE t SET b = ?, a = 100 WHERE id = ?", ("B 3", 2))
    pair.run("UPDATE t SET b = ?, a = 100 WHERE id = ?", ("B 2", 2))  # its own, in another case
    pair.run("COMMIT")
    pair.compare()
    pair.close()


def test_what_is_created_later_is_heeded() -> None:
    pair = Pair(TABLES["alias"])
    update, delete = "UPDATE t SET a = ? WHERE id = ?", "DELETE FROM t WHERE id = ?"
    pair.run(update, (5, 1))
    pair.run(delete, (2,))
    pair.run("BEGIN")
    pair.run("CREATE UNIQUE INDEX later ON t(a)")
    pair.run(update, (6, 1))  # 6 has it
    pair.run("CREATE TABLE log(x)")
    pair.run("CREATE TRIGGER u AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (NEW.a); END")
    pair.run("CREATE TRIGGER d AFTER DELETE ON t BEGIN INSERT INTO log VALUES (OLD.a); END")
    pair.run(update, (60, 1))
    pair.run(delete, (3,))
    pair.run("COMMIT")
    assert pair.ours.execute("SELECT x FROM log") == [(60,), (3,)]
    pair.compare()
    pair.close()


def test_the_scan_is_made_anew_where_the_short_way_has_kept_the_plan() -> None:
    """The scan was compiled when `a` held integers only; it is not used until it meets texts."""
    pair = Pair(TABLES["rowid"])
    statement = "UPDATE t SET c = a + 1, b = ? WHERE rowid = ?"
    pair.run(statement, ("x", 1))
    pair.run("UPDATE t SET a = 'text' WHERE rowid = ?", (4,))
    pair.run("UPDATE t SET a = NULL WHERE rowid = ?", (5,))
    pair.run(statement, (1.5, 4))
    pair.run(statement, (b"", "5"))
    pair.run(statement, ("y", 5))
    pair.compare()
    pair.close()


def test_a_program_s_function_is_called_once_for_a_row() -> None:
    """Its value is a text that becomes an integer: the short way would have to give up after the call."""
    connection = kvsh.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a INT)")
    connection.execute("INSERT INTO t VALUES (1, 0)")
    calls: list[object] = []
    connection.create_function("called", 1, lambda value: calls.append(value) or str(value))
    for value in (5, "6"):
        connection.execute("UPDATE t SET a = called(?) WHERE id = ?", (value, 1))
    assert calls == [5, "6"]
    assert connection.execute("SELECT a FROM t").fetchall() == [(6,)]
    connection.close()


def test_many_executions_can_be_cancelled_in_between() -> None:
    connection = kvsh.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a INT)")
    connection.execute("CREATE INDEX ta ON t(a)")
    connection.executemany("INSERT INTO t VALUES (?, 0)", [(number,) for number in range(500)])
    asked = []
    connection.set_progress_handler(lambda: asked.append(1) or len(asked) > 3)
    with pytest.raises(kvsh.OperationalError, match="interrupted"):
        connection.executemany(
            "UPDATE t SET a = ? WHERE id = ? AND a >= 0", [(1, n) for n in range(500)]
        )
    connection.set_progress_handler(None)
    assert connection.execute("SELECT sum(a) FROM t").fetchall() == [(0,)]
    connection.close()


@pytest.mark.parametrize(
    "definition", ["alias", "rowid", "not null", "indexes", "strict", "checked", "trigger"]
)
def test_many_sets_of_parameters(definition: str) -> None:
    """Rowids in any order, twice, missing, of other kinds; an error keeps the sets before it."""
    rng = random.Random(4)
    for number in range(60):
        ours = kvsh.connect(":memory:", isolation_level=None)
        theirs = sqlite3.connect(":memory:", isolation_level=None)
        for connection in (ours, theirs):
            connection.executescript(TABLES[definition])
            connection.executemany(
                "INSERT INTO t(id, a, b, c) VALUES (?, ?, ?, ?)",
                [(n, n % 30, f"b {n}", n % 7) for n in range(1, 41)],
            )
        statement, count = STATEMENTS[(0, 1, 2, 3, 10, 11)[number % 6]]
        keys: list[Any] = rng.sample(range(45), rng.randrange(1, 40))
        if number % 4 == 1:
            keys += rng.choices(keys, k=30)
        if number % 4 == 2:
            keys.insert(rng.randrange(len(keys)), rng.choice(KEYS))
        plain = number % 3 == 0
        sets = [
            (*[rng.randrange(29) if plain else rng.choice(VALUES)] * (count - 1), key)
            for key in keys
        ]
        results = []
        for connection, error in ((ours, kvsh.Error), (theirs, sqlite3.Error)):
            message, changed = "", 0
            try:
                changed = connection.executemany(statement, sets).rowcount
            except error as raised:
                message = str(raised)
            rows = connection.execute("SELECT rowid, * FROM t ORDER BY rowid").fetchall()
            results.append((message, changed, connection.total_changes, repr(rows)))
        assert (statement, sets, results[0]) == (statement, sets, results[1])
        assert ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        ours.close()
        theirs.close()


RUNS = {
    "index": "CREATE TABLE t(x INT, y INT, z TEXT, n); CREATE INDEX tx ON t(x, y)",
    "folded": "CREATE TABLE t(x TEXT COLLATE NOCASE, y INT, z TEXT, n); CREATE INDEX tx ON t(x)",
    "descending": "CREATE TABLE t(x INT, y INT, z TEXT, n); CREATE INDEX tx ON t(x DESC, y); CREATE INDEX tn ON t(n)",
    "unique": "CREATE TABLE t(x INT, y INT, z TEXT, n); CREATE INDEX tx ON t(x); CREATE UNIQUE INDEX tz ON t(z)",
    "key": "CREATE TABLE t(x INT, y INT, z TEXT, n, PRIMARY KEY (x, y)) WITHOUT ROWID",
    "key of three": "CREATE TABLE t(x INT, y INT, z TEXT, n, PRIMARY KEY (y DESC, x, z)) WITHOUT ROWID;"
    " CREATE INDEX tn ON t(n)",
    "index without rowids": "CREATE TABLE t(x INT, y INT, z TEXT, n, PRIMARY KEY (y, x)) WITHOUT ROWID; CREATE INDEX tx ON t(x, n)",
}
RUN_STATEMENTS = [
    "UPDATE t SET n = ?1 WHERE x = ?2",
    "UPDATE t SET n = n || ?1, z = z || x WHERE x = ?2 AND y = ?3",
    "UPDATE t SET z = ?1 WHERE y = ?3",
    "UPDATE t SET x = ?1 WHERE x = ?2",
    "DELETE FROM t WHERE x = ?2 AND ?1 IS NOT ?3",
    "DELETE FROM t WHERE x = ?2 OR ?1 = -?3",
    "DELETE FROM t WHERE x = ?",
    "DELETE FROM t WHERE y = ?",
    "DELETE FROM t WHERE x = ? AND y = ?",
]


@pytest.mark.parametrize("definition", RUNS.values(), ids=RUNS.keys())
def test_many_sets_of_which_each_means_some_rows(definition: str) -> None:
    """Found by the beginning of an index's entries, or of the keys of a WITHOUT ROWID table."""
    rng = random.Random(5)
    for number in range(6 * len(RUN_STATEMENTS)):
        statement = RUN_STATEMENTS[number % len(RUN_STATEMENTS)]
        ours = kvsh.connect(":memory:", isolation_level=None)
        theirs = sqlite3.connect(":memory:", isolation_level=None)
        rows = rng.choice((300, 6000))
        values: list[Any] = [*range(40), 3.0, "5", "a", "B", None, 2.5]
        keys = rng.choices(values if number % 2 else range(40), k=rng.choice((5, 60)))
        sets = [
            tuple([key, rng.randrange(9)][: statement.count("?")])
            if "?1" not in statement and "?2" not in statement
            else (f"v{rng.randrange(20)}", key, rng.randrange(9))
            for key in keys
        ]
        results = []
        for connection, error in ((ours, kvsh.Error), (theirs, sqlite3.Error)):
            connection.executescript(definition)
            connection.executemany(
                "INSERT INTO t VALUES (?, ?, ?, ?)",
                [(n % 31, n // 31, f"z{n}", n % 11) for n in range(rows)],
            )
            message, changed = "", 0
            try:
                changed = connection.executemany(statement, sets).rowcount
            except error as raised:
                message = str(raised)
            found = connection.execute("SELECT * FROM t ORDER BY x, y, z").fetchall()
            results.append((message, changed, connection.total_changes, repr(found)))
        assert (statement, sets, results[0]) == (statement, sets, results[1])
        assert ours.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        ours.close()
        theirs.close()


def test_sets_that_each_mean_many_rows_are_not_held_together() -> None:
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    for connection in (ours, theirs):
        connection.execute("CREATE TABLE t(x INT, y INT, PRIMARY KEY (x, y)) WITHOUT ROWID")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(n % 9, n) for n in range(30000)])
        connection.executemany("DELETE FROM t WHERE x = ?", [(n,) for n in range(8)])
    rows = [connection.execute("SELECT * FROM t").fetchall() for connection in (ours, theirs)]
    assert rows[0] == rows[1]
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE t SET a = CASE WHEN ?1 IS NULL THEN NULL ELSE a + 1 END WHERE id = ?2",
        "INSERT INTO t(a) SELECT CASE WHEN ?1 IS NULL THEN NULL ELSE a + 1 END FROM t WHERE id = ?2",
        "DELETE FROM t WHERE a + 1 > ?1 AND id = ?2",
    ],
)
def test_many_sets_of_which_some_put_values_of_a_new_kind(statement: str) -> None:
    """What is compiled for integers alone is compiled anew once there is a NULL."""
    sets = [(3, 2), (None, 1), (None, 20), (1, 1), (1, 2), (1, 21), (1, 22)]
    tables = []
    for connection in (kvsh.connect(":memory:"), sqlite3.connect(":memory:")):
        connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
        connection.execute("CREATE TABLE log(x)")
        connection.execute(
            "CREATE TRIGGER u AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (NEW.a); END"
        )
        connection.execute(
            "CREATE TRIGGER d AFTER DELETE ON t BEGIN UPDATE t SET a = NULL WHERE id = OLD.id + 1; END"
        )
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(n, n) for n in range(1, 21)])
        connection.executemany(statement, sets)
        tables.append(connection.execute("SELECT * FROM t").fetchall())
        connection.close()
    assert tables[0] == tables[1]
