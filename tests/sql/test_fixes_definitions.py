"""Definitions that once did otherwise than sqlite3's: temporary triggers, names in triggers, tables made of queries;
and the order in which an upsert's clauses are looked at."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.sql.engines import KvshEngine, SqliteEngine, outcome, same_answers

_TEMPORARY = "SELECT type, name, tbl_name, sql FROM sqlite_temp_master ORDER BY rowid"

SCRIPTS: dict[str, list[str]] = {
    "a temporary trigger stays with the table that it was made for": [
        "CREATE TABLE t (a, b)",
        "CREATE TABLE log (x, y)",
        "CREATE TEMP TRIGGER seen AFTER INSERT ON main.t BEGIN INSERT INTO log VALUES (new.a, 1); END",
        "INSERT INTO t VALUES (1, 1)",
        "CREATE TEMP TABLE t (x, y, z)",
        "CREATE TEMP TRIGGER also AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.x, 2); END",
        "INSERT INTO t VALUES (2, 2, 2)",
        "INSERT INTO main.t VALUES (3, 3)",
        "SELECT * FROM log",
        "ALTER TABLE main.t RENAME a TO aa",
        "ALTER TABLE main.t RENAME TO s",
        _TEMPORARY,
        "INSERT INTO s VALUES (4, 4)",
        "INSERT INTO t VALUES (5, 5, 5)",
        "SELECT * FROM log",
        "DROP TABLE s",
        _TEMPORARY,
        "INSERT INTO t VALUES (6, 6, 6)",
        "SELECT * FROM log",
        "DROP TABLE t",
        _TEMPORARY,
    ],
    "a temporary trigger stays with the view that it was made for": [
        "CREATE TABLE t (a)",
        "CREATE TABLE log (x, y)",
        "CREATE VIEW v AS SELECT a FROM t",
        "CREATE TEMP TRIGGER seen INSTEAD OF INSERT ON v BEGIN INSERT INTO log VALUES (new.a, 1); END",
        "CREATE TEMP VIEW v AS SELECT a AS x FROM t",
        "CREATE TEMP TRIGGER also INSTEAD OF INSERT ON v BEGIN INSERT INTO log VALUES (new.x, 2); END",
        "INSERT INTO v VALUES (1)",
        "INSERT INTO main.v VALUES (2)",
        "SELECT * FROM log",
        "DROP VIEW main.v",
        _TEMPORARY,
        "INSERT INTO v VALUES (3)",
        "SELECT * FROM log",
    ],
    "a table's temporary triggers are dropped with it": [
        "CREATE TABLE t (a)",
        "CREATE TEMP TRIGGER seen AFTER INSERT ON t BEGIN SELECT 1; END",
        "DROP TABLE t",
        _TEMPORARY,
        "CREATE TABLE t (a)",
        "CREATE TEMP TRIGGER seen AFTER INSERT ON t BEGIN SELECT 1; END",
    ],
    "a column is renamed in ORDER BY of a compound and in UPDATE FROM": [
        "CREATE TABLE t (a, b, c)",
        "CREATE TABLE u (d, e, f)",
        "CREATE TRIGGER one AFTER INSERT ON t BEGIN"
        " SELECT a, b FROM t EXCEPT SELECT a, b FROM t ORDER BY a; END",
        "CREATE TRIGGER two AFTER INSERT ON t BEGIN"
        " SELECT d, e FROM u UNION SELECT a, b FROM t ORDER BY a, d; END",
        "CREATE TRIGGER three AFTER INSERT ON t BEGIN"
        " SELECT a AS d, e FROM u, t UNION SELECT a, b FROM t ORDER BY a, d; END",
        "CREATE TRIGGER four INSERT ON t BEGIN UPDATE t SET a = u.d FROM u WHERE f = d; END",
        "CREATE VIEW v AS SELECT a, b FROM t UNION ALL SELECT d, e FROM u ORDER BY a, 2",
        "ALTER TABLE t RENAME a TO aa",
        "ALTER TABLE u RENAME d TO dd",
        "SELECT sql FROM sqlite_master ORDER BY rowid",
        "INSERT INTO t VALUES (1, 2, 3)",
        "SELECT * FROM v",
    ],
    "triggers that insert into their own AUTOINCREMENT table": [
        "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT, b)",
        "CREATE TRIGGER before BEFORE INSERT ON t BEGIN"
        " INSERT INTO t (b) VALUES ('x'); DELETE FROM t WHERE b = 'x'; END",
        "CREATE TRIGGER after AFTER INSERT ON t BEGIN INSERT INTO t (b) VALUES ('after'); END",
        "INSERT INTO t (b) VALUES ('q'), ('r')",
        "SELECT * FROM t",
        "SELECT * FROM sqlite_sequence",
        "UPDATE sqlite_sequence SET seq = 3",
        "INSERT INTO t (b) VALUES ('s')",
        "SELECT * FROM t",
        "SELECT * FROM sqlite_sequence",
        "DELETE FROM sqlite_sequence",
        "INSERT INTO t (b) VALUES ('u')",
        "SELECT * FROM t",
        "SELECT * FROM sqlite_sequence",
    ],
    "the columns of a table made of a query have names and affinities of its expressions": [
        "CREATE TABLE t (a TEXT, n INT, r REAL)",
        "INSERT INTO t VALUES ('1', 2, 3)",
        "CREATE TABLE one AS SELECT CAST(a AS INT) AS x, CAST(n AS TEXT) AS y, +n, n + 1, CAST(n AS REAL),"
        " CAST(n AS NUMERIC), (SELECT n), a COLLATE nocase, n COLLATE nocase, max(n), CAST(n AS BLOB) FROM t",
        "CREATE TABLE two AS SELECT * FROM (SELECT CAST(a AS INT) AS x, (n), +n AS z, n COLLATE rtrim FROM t)",
        "CREATE TABLE three AS SELECT CAST(a AS INT) AS x FROM t UNION SELECT a FROM t",
        "CREATE TABLE four AS WITH c (q) AS (SELECT r FROM t) SELECT q, n, (n), n FROM c, t",
        "CREATE TABLE five AS VALUES (1, 'a')",
        "SELECT sql FROM sqlite_master ORDER BY rowid",
        "INSERT INTO one (x, y) VALUES ('7', 7)",
        "SELECT typeof(x), typeof(y) FROM one",
        "CREATE VIEW v AS SELECT a COLLATE nocase, +n, (n), n COLLATE nocase FROM t",
        "PRAGMA table_info(v)",
        "SELECT a, n FROM (SELECT a COLLATE nocase, n FROM t)",
        "SELECT * FROM (SELECT a COLLATE nocase FROM t) JOIN t USING (a)",
    ],
    "a foreign key of a generated column": [
        "PRAGMA foreign_keys = ON",
        "CREATE TABLE t (a PRIMARY KEY, b, c AS (a + b - d) REFERENCES t, d)",
        "INSERT INTO t VALUES (0, 0, 0), (11, 5, 5)",
        "UPDATE t SET b = a, d = a",
        "UPDATE t SET b = a, d = a + 1",
        "UPDATE t SET d = a + 1 WHERE a = 11",
        "SELECT * FROM t",
        "CREATE TABLE p (a INTEGER PRIMARY KEY, b, c AS (b + 1) UNIQUE)",
        "CREATE TABLE c (x REFERENCES p (c) ON UPDATE CASCADE)",
        "INSERT INTO p VALUES (1, 10), (2, 20)",
        "INSERT INTO c VALUES (11)",
        "UPDATE p SET b = b + 5",
        "SELECT * FROM c",
        "CREATE TABLE d (x REFERENCES p (c))",
        "INSERT INTO d VALUES (26)",
        "UPDATE p SET b = 77 WHERE a = 2",
        "UPDATE p SET b = 30 WHERE a = 1",
        "SELECT * FROM c",
    ],
    "a child that is dropped waits for no parents": [
        "PRAGMA foreign_keys = ON",
        "CREATE TABLE p (a PRIMARY KEY)",
        "CREATE TABLE c (x REFERENCES p)",
        "CREATE TABLE d (x REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO p VALUES (1), (2)",
        "INSERT INTO c VALUES (1), (2)",
        "INSERT INTO d VALUES (1)",
        "BEGIN",
        "PRAGMA defer_foreign_keys = ON",
        "DELETE FROM p",
        "DROP TABLE c",
        "COMMIT",
        "DROP TABLE d",
        "COMMIT",
        "SELECT * FROM p",
    ],
    "foreign keys that fit no key of their parent": [
        "PRAGMA foreign_keys = ON",
        "CREATE TABLE p (a, b)",
        "CREATE TABLE c (x REFERENCES p (a))",
        "CREATE TABLE d (x REFERENCES p)",
        "INSERT INTO p VALUES (1, 2)",
        "REPLACE INTO p VALUES (1, 1)",
        "UPDATE p SET b = 3",
        "UPDATE p SET a = 3",
        "DELETE FROM p",
        "SELECT * FROM p",
    ],
    "what is refused": [
        "CREATE TABLE t (a, b)",
        "INSERT INTO t VALUES (1, 2)",
        "CREATE TRIGGER sqlite_x BEFORE INSERT ON t BEGIN SELECT 1; END",
        "ALTER TABLE t ADD COLUMN c CHECK (a <> 1)",
        "ALTER TABLE t ADD COLUMN c AS (NULL) NOT NULL",
    ],
    "a name in quotes that is renamed before another one": [
        "CREATE TABLE t ('a'\"b\", c)",
        "ALTER TABLE t RENAME a TO x",
        "SELECT sql FROM sqlite_master",
        "SELECT x, c FROM t",
    ],
    "a text in double quotes stays one where a column gets the name": [
        'CREATE TABLE t (a, b, CHECK (b <> "x"))',
        'CREATE INDEX i ON t ("x" = b)',
        "INSERT INTO t VALUES ('p', 'p'), ('q', 'q')",
        "ALTER TABLE t RENAME a TO x",
        "PRAGMA integrity_check",
        "SELECT sql FROM sqlite_master",
        "INSERT INTO t VALUES ('x', 'y')",
        "INSERT INTO t VALUES ('y', 'x')",
        "SELECT * FROM t",
    ],
    "a CTE of the name of the table that is written": [
        "CREATE TABLE t (x)",
        "CREATE TABLE u (y)",
        "INSERT INTO t VALUES (1), (102)",
        "INSERT INTO u VALUES (2)",
        "WITH t AS (SELECT y + 100 AS x FROM u) DELETE FROM t WHERE x IN (SELECT x FROM t)",
        "SELECT * FROM t",
        "WITH t AS (SELECT y + 100 AS x FROM u) UPDATE t SET x = (SELECT x FROM t)",
        "SELECT * FROM t",
        "WITH t AS (SELECT 5 AS x) UPDATE t SET x = x + 1 FROM u WHERE u.y = 2",
        "WITH t AS (SELECT 5 AS x) INSERT INTO t SELECT x FROM t",
        "WITH t (x) AS (SELECT 77) UPDATE t SET x = 1 WHERE x = 5 RETURNING x, (SELECT x FROM t)",
        "SELECT * FROM t",
    ],
    "ANALYZE may name the catalog": [
        "ANALYZE sqlite_schema",
        "ANALYZE main.sqlite_master",
        "ANALYZE nothing",
    ],
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_definitions_do_as_those_of_sqlite3(script: list[str]) -> None:
    same_answers(*script)


@pytest.mark.parametrize(
    "table",
    [
        "t (a INTEGER PRIMARY KEY, b, c UNIQUE, d UNIQUE)",
        "t (a INT PRIMARY KEY, b, c UNIQUE, d UNIQUE)",
        "t (d UNIQUE, c UNIQUE, a INTEGER PRIMARY KEY, b)",
        "t (a INT PRIMARY KEY, b, c UNIQUE, d UNIQUE) WITHOUT ROWID",
    ],
)
def test_clauses_of_an_upsert_are_looked_at_in_their_order(table: str) -> None:
    script = [f"CREATE TABLE {table}"]
    for count in (1, 2, 3):
        for names in permutations("acd", count):
            clauses = " ".join(f"ON CONFLICT ({name}) DO UPDATE SET b = '{name}'" for name in names)
            for taken in ("a", "c", "d", "ac", "ad", "cd", "acd"):
                values = ", ".join(
                    str(place + 1 if name in taken else 9) for place, name in enumerate("acd")
                )
                script += [
                    "DELETE FROM t",
                    "INSERT INTO t (a, b, c, d) VALUES (1, 0, 2, 3)",
                    f"INSERT INTO t (a, c, d) VALUES ({values}) {clauses}",
                    "SELECT a, b, c, d FROM t",
                ]
    same_answers(*script)


def test_the_query_of_a_new_table_may_have_parameters() -> None:
    script: list[tuple[str, tuple[object, ...]]] = [
        ("CREATE TABLE t AS SELECT ? AS a, 'x' AS b, ?1 + 1 AS c", (1,)),
        ("CREATE TABLE u AS VALUES (?, ?), (3, 4)", ("x", b"y")),
        ("CREATE TEMP TABLE v AS SELECT count(*) AS n FROM t WHERE a = ? GROUP BY b", (1,)),
        ("CREATE TABLE IF NOT EXISTS t AS SELECT ?", (2,)),
        ("SELECT *, typeof(a) FROM t, u, v", ()),
        ("SELECT sql FROM sqlite_master", ()),
        ("CREATE TABLE w (a DEFAULT (?))", (1,)),
        ("CREATE TABLE w (a CHECK (a > ?))", (1,)),
    ]
    ours, theirs = KvshEngine(), SqliteEngine()
    for statement, values in script:
        mine, expected = (repr(outcome(engine, statement, values)) for engine in (ours, theirs))
        assert (statement, mine) == (statement, expected)
    ours.close()
    theirs.close()


def test_which_defaults_an_added_column_of_a_table_with_rows_may_have() -> None:
    defaults = (
        "(-5)", "(- - 5)", "(+5)", "(-(-9223372036854775808))", "(~5)", "(1 + 1)", "(('y'))", "(-'5')",
        "(-'abc')", "(-x'35')", "(-NULL)", "(NULL)", "(CAST(5 AS TEXT))", "(CAST('5x' AS INT))",
        "(CAST(-5 AS TEXT))", "(5 COLLATE NOCASE)", "CURRENT_TIMESTAMP", "(0x10)",
        "(abs(1))", "(1 IS TRUE)",
    )  # fmt: skip
    columns = [f"c{number} {kind} DEFAULT {default}" for number, (kind, default) in enumerate(
        (kind, default) for default in defaults for kind in ("", "INTEGER", "TEXT")
    )]  # fmt: skip
    same_answers(
        "CREATE TABLE t (a)",
        "INSERT INTO t VALUES (1)",
        *(f"ALTER TABLE t ADD COLUMN {column}" for column in columns),
        "INSERT INTO t (a) VALUES (2)",
        at_end="SELECT * FROM t",
    )


@pytest.mark.parametrize(
    "more",
    [
        "CREATE INDEX no_more ON log (m)",
        "CREATE TRIGGER r BEFORE INSERT ON t BEGIN INSERT INTO log VALUES (new.a); END",
        "CREATE TRIGGER r BEFORE UPDATE ON t BEGIN INSERT INTO log VALUES (new.a); END",
    ],
)
@pytest.mark.parametrize("generated", ["", ", g INT AS (a + 1)", ", g INT AS (a + 1) STORED"])
@pytest.mark.parametrize("key", ["INTEGER", "INT"])
def test_types_of_a_strict_table_are_checked_before_its_generated_columns_and_triggers(
    key: str, generated: str, more: str
) -> None:
    wrong = [
        "INSERT INTO t (id, a, b) VALUES (1, 'x', NULL)",
        "INSERT INTO t (id, a, b) VALUES ('x', 1, NULL)",
        "INSERT INTO t (id, a, b) VALUES ('x', 1, 1)",
        "INSERT OR IGNORE INTO t (id, a, b) VALUES (7, 'x', 1)",
        "INSERT INTO t (id, a, b) SELECT 8, 'x', NULL UNION ALL SELECT 9, NULL, 1",
        "UPDATE t SET a = 'x', b = NULL",
        "UPDATE t SET b = NULL, a = 1",
        "UPDATE OR IGNORE t SET a = 'x'",
        "REPLACE INTO t (id, a, b) VALUES (5, 'x', NULL)",
    ]
    same_answers(
        "CREATE TABLE log (m)",
        f"CREATE TABLE t (id {key} PRIMARY KEY, a INT, b ANY NOT NULL{generated}) STRICT",
        more,
        "INSERT INTO t (id, a, b) VALUES (5, 5, 5), (6, NULL, 6)",
        *wrong,
        after_each="SELECT total_changes(), (SELECT count(*) FROM log)",
        at_end="SELECT * FROM t",
    )


_QUOTED = (
    'CREATE TABLE t (a, b, c, CHECK (b <> "foo"), d AS (b || "it\'s"))',
    'CREATE TABLE u (x, "foo")',
    'CREATE INDEX i ON t (b) WHERE c <> "foo"',
    'CREATE VIEW v AS SELECT a, "foo" AS s, "b" FROM t',
    'CREATE VIEW v2 AS SELECT "foo" FROM t',
    'CREATE VIEW v3 AS SELECT "foo" FROM v2',
    'CREATE VIEW v4 AS WITH q("foo") AS (SELECT "bar" FROM t) SELECT "foo", "bar" FROM q ORDER BY "zip"',
    'CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET b = "foo" WHERE a = NEW.a AND "c" = 2;'
    ' INSERT INTO u SELECT "foo", count(*) FROM t WHERE a <> "q""r"; END',
    'CREATE TRIGGER n INSTEAD OF INSERT ON v BEGIN INSERT INTO u SELECT "foo", NEW."b"; END',
    "INSERT INTO t (a, b, c) VALUES ('x', 'y', 2), ('z', 'w', 3)",
)


@pytest.mark.parametrize(
    "change", ["RENAME COLUMN a TO foo", "RENAME COLUMN c TO e", "DROP COLUMN a"]
)
def test_a_text_in_double_quotes_stays_one_when_a_column_gets_its_name(change: str) -> None:
    """A view showed the column, and a trigger wrote it, where the text had stood."""
    definitions = _QUOTED if "DROP" not in change else (*_QUOTED[:3], _QUOTED[4], _QUOTED[5])
    same_answers(
        *definitions,
        f"ALTER TABLE t {change}",
        "INSERT INTO t (b, c) VALUES ('bar', 2)" if "TO foo" not in change else "VALUES (1)",
        "INSERT INTO t (foo, b) VALUES ('new', 'more')",
        "INSERT INTO v (s) VALUES (1)",
        "SELECT sql FROM sqlite_master WHERE type <> 'trigger'",
        "SELECT * FROM t",
        "SELECT * FROM u",
        "SELECT * FROM v",
        "SELECT * FROM v3",
        "SELECT * FROM v4",
    )


@pytest.mark.parametrize(
    "definition",
    [
        'CREATE VIEW v AS WITH k AS (SELECT "x", b FROM t), l AS (SELECT "y" FROM k) SELECT a FROM t',
        "CREATE VIEW v AS WITH k AS (SELECT nope) SELECT a FROM t",
        'CREATE VIEW v AS SELECT a FROM (WITH k AS (SELECT "x") SELECT a FROM t)',
        'CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET nope = "q" WHERE "x" = 1; END',
        'CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO t (nope) VALUES ("q"); END',
    ],
)
def test_texts_in_double_quotes_are_found_where_nothing_reads_them(definition: str) -> None:
    """A CTE that no FROM names was not looked at, nor was what a trigger gives to a column that is not there."""
    same_answers(
        "CREATE TABLE t (a, b)",
        definition,
        "ALTER TABLE t RENAME b TO z",
        "SELECT sql FROM sqlite_master",
    )


@pytest.mark.parametrize(
    "definition",
    [
        'CREATE INDEX i ON t (a) WHERE "c" > 1',
        "CREATE INDEX i ON t (a, \"c\" || '1')",
        'CREATE TABLE t (a, b, c, CHECK ("c" > 1))',
        'CREATE TABLE t (a, b, c, g AS ("c" || 1))',
        'CREATE VIEW v AS SELECT a, "c" AS k FROM t',
    ],
)
def test_a_dropped_columns_name_in_double_quotes_becomes_no_text(definition: str) -> None:
    """DROP COLUMN left an index of a text where it had been one of the column; a view does show the text then."""
    table = () if "TABLE" in definition else ("CREATE TABLE t (a, b, c)",)
    same_answers(
        *table,
        definition,
        "INSERT INTO t VALUES (1, 2, 3)",
        "ALTER TABLE t DROP COLUMN c",
        "SELECT sql FROM sqlite_master",
        "SELECT * FROM t",
        "SELECT * FROM v",
        "PRAGMA integrity_check",
    )


def test_definitions_are_looked_at_after_a_table_is_renamed() -> None:
    """A view that the new name makes one of itself was left circular."""
    definitions = (
        "SELECT name, sql FROM sqlite_master UNION ALL SELECT name, sql FROM sqlite_temp_master"
    )
    same_answers(
        "CREATE TABLE t (a, b)",
        "CREATE TEMP VIEW v AS SELECT a FROM t",
        "ALTER TABLE t RENAME TO v",
        definitions,
        "ALTER TABLE t RENAME TO y",
        definitions,
        "SELECT * FROM v",
    )


def test_renaming_a_table_leaves_what_names_its_namesake_in_another_database() -> None:
    """A temporary view of `main.t` was made one of `main.x` when `temp.t` became x."""
    same_answers(
        "CREATE TABLE t (a)",
        "CREATE TEMP TABLE t (a, b)",
        "CREATE TEMP VIEW v AS SELECT a, main.t.a AS m FROM main.t WHERE a IN (SELECT a FROM temp.t)",
        "ALTER TABLE temp.t RENAME TO x",
        "SELECT sql FROM sqlite_temp_master",
        "SELECT * FROM v",
    )


@pytest.mark.parametrize("own, asked", [("", "NOCASE"), ("COLLATE NOCASE", "BINARY")])
def test_a_clustered_key_has_the_collations_that_its_primary_key_names(
    own: str, asked: str
) -> None:
    """PRIMARY KEY (c COLLATE NOCASE) of a WITHOUT ROWID table had its column's own collation: it took both 'a' and 'A'."""
    same_answers(
        "PRAGMA foreign_keys = ON",
        f"CREATE TABLE t (c TEXT {own}, d, PRIMARY KEY (c COLLATE {asked})) WITHOUT ROWID",
        "CREATE INDEX i ON t (d)",
        "INSERT INTO t VALUES ('a', 1), ('B', 2), ('c', 3)",
        "INSERT INTO t VALUES ('A', 4)",
        "INSERT INTO t VALUES ('A', 4), ('b', 5), ('b', 6) ON CONFLICT (c) DO UPDATE SET d = d + 10",
        f"INSERT INTO t VALUES ('A', 0) ON CONFLICT (c COLLATE {asked}) DO NOTHING",
        "INSERT INTO t VALUES ('A', 0) ON CONFLICT (c COLLATE RTRIM) DO NOTHING",
        "SELECT d FROM t ORDER BY c, d",
        "SELECT c, d FROM t ORDER BY c COLLATE BINARY DESC",
        "SELECT c, d FROM t ORDER BY c COLLATE NOCASE, d",
        "SELECT d FROM t WHERE c = 'A' ORDER BY d",
        "SELECT d FROM t WHERE c = 'A' COLLATE NOCASE ORDER BY d",
        "SELECT d FROM t WHERE c > 'B' ORDER BY d",
        "SELECT d, c FROM t WHERE d > 10 ORDER BY d",
        "SELECT x.d, y.d FROM t AS x JOIN t AS y ON x.c = y.c ORDER BY 1, 2",
        "UPDATE t SET c = 'C' WHERE d = 3",
        "UPDATE t SET c = 'A' WHERE d = 3",
        "CREATE TABLE u (c REFERENCES t, n)",
        "INSERT INTO u VALUES ('A', 1)",
        "INSERT INTO u VALUES ('a', 2)",
        "INSERT INTO u VALUES ('x', 3)",
        "CREATE TABLE v (c REFERENCES t (c))",
        "INSERT INTO v VALUES ('a')",
        "SELECT * FROM u",
        "PRAGMA index_xinfo(sqlite_autoindex_t_1)",
        "PRAGMA index_xinfo(i)",
        "PRAGMA integrity_check",
    )


def test_on_conflict_with_a_collation_is_no_row_id() -> None:
    same_answers(
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b)",
        "INSERT INTO t VALUES (1, 2) ON CONFLICT (a COLLATE NOCASE) DO NOTHING",
        "INSERT INTO t VALUES (1, 2) ON CONFLICT (a) DO NOTHING",
        "SELECT * FROM t",
    )


def test_an_upsert_of_a_clustered_table_means_the_newest_of_the_keys_that_it_names() -> None:
    """ON CONFLICT (a) was the PRIMARY KEY, also where a newer unique index is on the same column under another collation."""
    same_answers(
        "CREATE TABLE t (a TEXT PRIMARY KEY, b) WITHOUT ROWID",
        "CREATE UNIQUE INDEX i ON t (a COLLATE NOCASE)",
        "INSERT INTO t VALUES ('A', 1)",
        "INSERT INTO t VALUES ('a', 2) ON CONFLICT (a) DO UPDATE SET b = b + 10",
        "INSERT INTO t VALUES ('A', 2) ON CONFLICT (a) DO UPDATE SET b = b + 10",
        "INSERT INTO t VALUES ('A', 2) ON CONFLICT (a COLLATE BINARY) DO UPDATE SET b = b + 100",
        "INSERT INTO t VALUES ('a', 2) ON CONFLICT (a COLLATE BINARY) DO UPDATE SET b = b + 100",
        "SELECT * FROM t",
        "CREATE TABLE u (a, b, c, PRIMARY KEY (a, b) ON CONFLICT REPLACE, UNIQUE (b, a)) WITHOUT ROWID",
        "INSERT INTO u VALUES (1, 2, 3)",
        "INSERT INTO u VALUES (1, 2, 4) ON CONFLICT (a, b) DO UPDATE SET c = 9",
        "SELECT * FROM u",
    )


def test_renaming_reaches_what_temporary_triggers_of_other_tables_do() -> None:
    """A temporary trigger on a table of main went on to name a temporary table and its columns as they were called before."""
    shown = "SELECT sql FROM sqlite_temp_master WHERE type = 'trigger'"
    same_answers(
        "CREATE TABLE log (x)",
        "CREATE TABLE u (a INTEGER PRIMARY KEY, b, d)",
        "INSERT INTO u VALUES (1, 2, 3)",
        "CREATE TABLE t (a, b)",
        "CREATE TEMP TABLE t (a, b)",
        "CREATE TEMP TRIGGER r1 BEFORE UPDATE OF a ON main.u WHEN NEW.a > 1"
        " BEGIN INSERT INTO log SELECT b IN (5, a) FROM t WHERE a = NEW.a; END",
        "CREATE TEMP TRIGGER r2 BEFORE UPDATE ON u BEGIN INSERT INTO t (a) VALUES (NEW.a);"
        " UPDATE t SET a = 2 WHERE a = OLD.a; INSERT INTO log SELECT a FROM temp.t; END",
        'ALTER TABLE t RENAME COLUMN a TO "b c"',
        shown,
        "UPDATE u SET a = 5",
        'ALTER TABLE t RENAME TO "x y"',
        shown,
        "UPDATE u SET a = 7",
        "SELECT * FROM log",
        'SELECT * FROM "x y"',
        "SELECT * FROM t",
    )
