"""Shapes: lifting literals must never change what a statement means."""

from __future__ import annotations

import random
import sqlite3

import pytest

from sql.parse import lift_literals, parse_statement

TEXT, REAL = "?/*t*/", "?/*r*/"


@pytest.mark.parametrize(
    ("statement", "shape", "values"),
    [
        ("INSERT INTO t VALUES (1, 'x', 2.5)", f"INSERT INTO t VALUES (?, {TEXT}, {REAL})", (1, "x", 2.5)),
        ("REPLACE INTO t VALUES (-1, 'it''s')", f"REPLACE INTO t VALUES (-?, {TEXT})", (1, "it's")),
        ("SELECT a FROM t WHERE id = 7", "SELECT a FROM t WHERE id = ?", (7,)),
        ("SELECT a + 1 FROM t1 WHERE id = 7", "SELECT a + 1 FROM t1 WHERE id = ?", (7,)),
        ("SELECT a FROM t LIMIT 5 OFFSET 6", "SELECT a FROM t LIMIT ? OFFSET ?", (5, 6)),
        ("SELECT a FROM t ORDER BY 1 LIMIT 5", "SELECT a FROM t ORDER BY 1 LIMIT ?", (5,)),
        ("UPDATE t SET a = 1 WHERE b = 'x'", f"UPDATE t SET a = ? WHERE b = {TEXT}", (1, "x")),
        ("DELETE FROM t WHERE a BETWEEN 1 AND 2", "DELETE FROM t WHERE a BETWEEN ? AND ?", (1, 2)),
        ("SELECT a FROM t WHERE b LIKE 'x%'", f"SELECT a FROM t WHERE b LIKE {TEXT}", ("x%",)),
        ("SELECT a FROM t WHERE a IN (1, -2, 'x') OR b = 3", f"SELECT a FROM t WHERE a IN (?, -?, {TEXT}) OR b = ?", (1, 2, "x", 3)),
        ("SELECT a FROM t WHERE (a NOT IN (1, 2) AND f(b IN (3)))", "SELECT a FROM t WHERE (a NOT IN (?, ?) AND f(b IN (3)))", (1, 2)),
        ("SELECT a FROM t WHERE a IN (1, b, 2) AND b = 3", "SELECT a FROM t WHERE a IN (1, b, 2) AND b = ?", (3,)),
        ("UPDATE t SET a = 1 WHERE b IN (2.5)", f"UPDATE t SET a = ? WHERE b IN ({REAL})", (1, 2.5)),
        ("DELETE FROM t WHERE b IN (2, 3)", "DELETE FROM t WHERE b IN (?, ?)", (2, 3)),
        ("SELECT a FROM t WHERE f(1) = 2", "SELECT a FROM t WHERE f(1) = ?", (2,)),
        ("SELECT a FROM t WHERE b ->> '$.x' = 2", "SELECT a FROM t WHERE b ->> '$.x' = ?", (2,)),
        ("SELECT a FROM t WHERE a = (SELECT b FROM u WHERE c = 1)", "SELECT a FROM t WHERE a = (SELECT b FROM u WHERE c = ?)", (1,)),
        ("SELECT a FROM t WHERE a = 1 UNION SELECT 1 FROM t", "SELECT a FROM t WHERE a = ? UNION SELECT 1 FROM t", (1,)),
        ("SELECT a FROM t WHERE a = 1 UNION SELECT 2 FROM t WHERE a = 3 ORDER BY 1 LIMIT 4", "SELECT a FROM t WHERE a = ? UNION SELECT 2 FROM t WHERE a = ? ORDER BY 1 LIMIT ?", (1, 3, 4)),
        ("WITH c AS (SELECT 1) SELECT * FROM c WHERE 1 = 1", "WITH c AS (SELECT 1) SELECT * FROM c WHERE 1 = ?", (1,)),
        ("WITH c AS (SELECT a FROM t WHERE b > 1.5) SELECT 'x' FROM c", f"WITH c AS (SELECT a FROM t WHERE b > {REAL}) SELECT 'x' FROM c", (1.5,)),
        ("SELECT s.a FROM (SELECT a, 1 FROM t WHERE b = 'x') AS s WHERE f((SELECT 1 FROM t WHERE a < 3)) > 2", f"SELECT s.a FROM (SELECT a, 1 FROM t WHERE b = {TEXT}) AS s WHERE f((SELECT 1 FROM t WHERE a < ?)) > ?", ("x", 3, 2)),
        ("DELETE FROM t WHERE a IN (SELECT b FROM u WHERE c = 1)", "DELETE FROM t WHERE a IN (SELECT b FROM u WHERE c = ?)", (1,)),
        ("SELECT a FROM t WHERE a IS DISTINCT FROM b AND c = 1", "SELECT a FROM t WHERE a IS DISTINCT FROM b AND c = ?", (1,)),
        ("INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 'x', c = c + 2 WHERE c > 3", f"INSERT INTO t VALUES (?) ON CONFLICT (a) DO UPDATE SET b = {TEXT}, c = c + ? WHERE c > ?", (1, "x", 2, 3)),
        ("UPDATE t SET a = a - 2, b = 3 * (b + -1.5) || 'x' WHERE a + 4 > 5", f"UPDATE t SET a = a - ?, b = ? * (b + -{REAL}) || {TEXT} WHERE a + 4 > ?", (2, 3, 1.5, "x", 5)),
        ("INSERT INTO t VALUES (1, 'x') RETURNING id, 2 AS three, 'y'", f"INSERT INTO t VALUES (?, {TEXT}) RETURNING id, 2 AS three, 'y'", (1, "x")),
        ("UPDATE t SET a = 1 WHERE b = 2 RETURNING a + 1", "UPDATE t SET a = ? WHERE b = ? RETURNING a + 1", (1, 2)),
        ("DELETE FROM t WHERE b = 2 RETURNING (SELECT a FROM u WHERE c = 3)", "DELETE FROM t WHERE b = ? RETURNING (SELECT a FROM u WHERE c = 3)", (2,)),
        ("INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 2 RETURNING 3", "INSERT INTO t VALUES (?) ON CONFLICT (a) DO UPDATE SET b = ? RETURNING 3", (1, 2)),
        ("UPDATE t SET a = f(a, 1) + 2, b = c -> '$.x', d = CASE 1 WHEN b THEN 2 ELSE 3 END", "UPDATE t SET a = f(a, 1) + ?, b = c -> '$.x', d = CASE 1 WHEN b THEN 2 ELSE 3 END", (2,)),
        ("INSERT INTO t VALUES (1) ON CONFLICT (a + 1) WHERE b = 2 DO UPDATE SET b = 3", "INSERT INTO t VALUES (?) ON CONFLICT (a + 1) WHERE b = 2 DO UPDATE SET b = ?", (1, 3)),
        ("INSERT INTO t VALUES (1, 2) ON CONFLICT DO NOTHING", "INSERT INTO t VALUES (?, ?) ON CONFLICT DO NOTHING", (1, 2)),
        ("UPDATE t SET a = 1 -- it's\n WHERE b /* 2 */ = '--' -- so", f"UPDATE t SET a = ?  \n WHERE b   = {TEXT}  ", (1, "--")),
        ("SELECT \"a\" FROM [t] WHERE `b` = 1 AND \"t\".\"c\" > 2.0", f"SELECT \"a\" FROM [t] WHERE `b` = ? AND \"t\".\"c\" > {REAL}", (1, 2.0)),
        ("INSERT INTO \"t\" (\"a\", \"b\") VALUES (1, 'x')", f"INSERT INTO \"t\" (\"a\", \"b\") VALUES (?, {TEXT})", (1, "x")),
        ("SELECT a FROM t WHERE \"f\"(1) = 2", "SELECT a FROM t WHERE \"f\"(1) = ?", (2,)),
    ],
)  # fmt: skip
def test_values_are_lifted(statement: str, shape: str, values: tuple[object, ...]) -> None:
    found_shape, found = lift_literals(statement)
    assert (found_shape, found) == (shape, values)
    assert len(parse_statement(shape).parameter_names) == len(values)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1, 'x'",
        "SELECT a FROM t ORDER BY 1",
        "SELECT a FROM t GROUP BY 1 HAVING count(*) > 1",
        "SELECT a AS 'x' FROM t",
        "SELECT a FROM 't'",
        "SELECT a FROM t WHERE a IN 't'",
        f"SELECT a FROM t WHERE a IN ({', '.join(map(str, range(17)))})",
        "SELECT a FROM t WHERE 't'.a",
        "SELECT a FROM t WHERE a = 't'.b",
        "SELECT a FROM t WHERE a = x'31'",
        "INSERT INTO t VALUES (x'31')",
        "INSERT INTO t VALUES (CAST(1 AS VARCHAR(10)))",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) WHERE b = 1 DO NOTHING",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1 ON CONFLICT (c) WHERE b = 1 DO UPDATE SET b = 1",
        "INSERT INTO t VALUES (x'31') -- 5",
        "INSERT INTO 't' VALUES (1)",
        "INSERT INTO t SELECT 1",
        "INSERT INTO t VALUES (?, 1)",
        "CREATE TABLE t (a VARCHAR(10) DEFAULT 1)",
        "PRAGMA user_version = 1",
        "SELECT a FROM t WHERE a = 9223372036854775808",
        "SELECT a FROM t WHERE \"a'b\" = 'c\"d'",
        "SELECT a FROM t WHERE a = 1 -- comment's",
        "SELECT a FROM t WHERE a = 1; SELECT 2",
        "SELECT (SELECT b FROM u WHERE c = 1) FROM t",
        "SELECT a FROM t GROUP BY a HAVING a = (SELECT b FROM u WHERE c = 1)",
        "SELECT a FROM t ORDER BY (SELECT b FROM u WHERE c = 1)",
        "SELECT a FROM t WHERE (SELECT (SELECT b FROM u WHERE c = 1) = a)",
        "SELECT a FROM t WHERE a IN (SELECT b FROM u ORDER BY 1 LIMIT 2)",
        "SELECT a FROM t JOIN u ON b = 1",
        "SELECT a FROM t WHERE a = 1)",
        'SELECT a FROM t WHERE "a 1" = b',
        'SELECT a FROM t WHERE "a 1" = 2',
        "SELECT a FROM t WHERE [a 1] = 2 AND `b",
        "WITH c AS (SELECT 1 AS a) DELETE FROM t WHERE a = 1",
        "EXPLAIN SELECT a FROM t WHERE a = 1",
    ],
)
def test_nothing_is_lifted_where_a_literal_is_more_than_a_value(statement: str) -> None:
    assert lift_literals(statement) == (statement, ())


def test_types_are_part_of_the_shape() -> None:
    shapes = {lift_literals(f"INSERT INTO t VALUES ({value})")[0] for value in ("1", "'1'", "1.0")}
    assert len(shapes) == 3
    assert lift_literals("DELETE FROM t WHERE a = 1") != lift_literals("DELETE FROM t WHERE a = 2")
    assert (
        lift_literals("DELETE FROM t WHERE a = 1")[0]
        == lift_literals("DELETE FROM t WHERE a = 2")[0]
    )


LITERALS = ["1", "2", "-3", "2.5", "'a'", "'1'", "'A%'", "NULL", "0x10", "x'61'", "''", "1e2"]


def random_statement(random_: random.Random) -> str:
    def literal() -> str:
        return random_.choice(LITERALS)

    def condition() -> str:
        column = random_.choice(["a", "b", "c", "a + 1", "b || 'x'", "abs(-2)", "substr(b, 1, 1)"])
        return random_.choice(
            [
                f"{column} = {literal()}",
                f"{column} BETWEEN {literal()} AND {literal()}",
                f"{column} IN ({literal()}, {literal()})",
                f"{column} NOT IN ({literal()})",
                f"{column} LIKE {literal()}",
                f"NOT ({column} <> {literal()} OR {literal()} < {column})",
                f"{column} IS {literal()}",
                f"{column} >= {literal()} AND {literal()}",
                f"CASE {column} WHEN {literal()} THEN {literal()} ELSE {literal()} END = {literal()}",
                f"CAST({column} AS VARCHAR(10)) = {literal()}",
            ]
        )

    def where() -> str:
        return " WHERE " + random_.choice([" AND ", " OR "]).join(
            condition() for _ in range(random_.randrange(1, 4))
        )

    return random_.choice(
        [
            lambda: f"SELECT a, {literal()}, b || {literal()} FROM t{where()} ORDER BY 1, 2, 3 LIMIT 3",
            lambda: f"SELECT * FROM t{where()} ORDER BY a, b, c LIMIT 2, 3",
            lambda: f"SELECT a + 1, count(*) FROM t{where()} GROUP BY a + 1 HAVING count(*) > 0 ORDER BY 1",
            lambda: f"SELECT a FROM t WHERE a IN (SELECT a FROM t{where()}) OR EXISTS (SELECT 1 FROM t AS u{where()}) ORDER BY a",
            lambda: f"SELECT x.a, (SELECT max(a) FROM t{where()}), (SELECT 1 WHERE 1 = {literal()}) FROM (SELECT a, b FROM t{where()}) AS x WHERE x.b <> {literal()} ORDER BY 1",
            lambda: f"SELECT a FROM t{where()} UNION ALL SELECT {literal()} FROM t{where()} EXCEPT SELECT a FROM t WHERE a = {literal()} ORDER BY 1 LIMIT 4",
            lambda: f"WITH w AS (SELECT a, b, c FROM t{where()}) SELECT count(*), max(a) FROM w{where()} AND a > {literal()}",
            lambda: f'SELECT "a", [b], `c` FROM "t" WHERE "a" = {literal()} OR [t].[b] >= {literal()} AND "b" <> "c" ORDER BY 1, 2',
            lambda: f"DELETE FROM t WHERE a IN (SELECT a FROM t{where()} LIMIT 1)",
            lambda: f"UPDATE t SET a = {literal()}, b = b || {literal()}{where()}",
            lambda: f"INSERT INTO t VALUES ({literal()}, {literal()}, 1 + {literal()}), (1, 2, {literal()})",
            lambda: f"DELETE FROM t{where()} AND rowid % 5 = 1",
            lambda: f"INSERT INTO k VALUES ({literal()}, {literal()}) ON CONFLICT (a) DO UPDATE SET b = {literal()} WHERE a <> {literal()} OR b IS {literal()}",
            lambda: f"INSERT INTO k VALUES ({literal()}, {literal()}) -- {literal()}\n ON CONFLICT (a) DO UPDATE SET b = /* '-- */ excluded.b || b || {literal()}",
        ]
    )()  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_a_shape_with_its_values_means_the_statement(seed: int) -> None:
    random_ = random.Random(seed)
    plain, shaped = sqlite3.connect(":memory:"), sqlite3.connect(":memory:")
    for connection in (plain, shaped):
        connection.execute("CREATE TABLE t (a INTEGER, b TEXT, c)")
        connection.execute("CREATE TABLE k (a UNIQUE, b)")
        connection.execute(
            "INSERT INTO t VALUES (1, 'a', 2.5), (2, '1', NULL), (NULL, 'ab', x'61')"
        )
    lifted = 0
    for _ in range(500):
        statement = random_statement(random_)
        shape, values = lift_literals(statement)
        lifted += len(values)
        first, second = plain.execute(statement), shaped.execute(shape, values)
        assert first.fetchall() == second.fetchall(), statement
        assert first.description == second.description
        assert first.rowcount == second.rowcount
    assert lifted > 300
    plain.close()
    shaped.close()
