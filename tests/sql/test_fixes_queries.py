"""Queries that were once refused, or answered otherwise than by sqlite3: names in joins, rowids, literals."""

from __future__ import annotations

import pytest

from tests.sql.engines import EngineError, KvshEngine, same_answers

_TABLES = [
    "CREATE TABLE t (a, b)",
    "INSERT INTO t VALUES (1, 2), (3, 4), (3, 5)",
    "CREATE TABLE u (x INTEGER PRIMARY KEY, y, z)",
    "CREATE INDEX u_y ON u (y)",
    "INSERT INTO u VALUES (1, 1, 1), (2, 3, 1), (3, 3, 2), (4, NULL, 1)",
]

SCRIPTS: dict[str, list[str]] = {
    "ON of an inner join may name a relation to its right": [
        "CREATE TABLE a (a)",
        "CREATE TABLE b (b)",
        "CREATE TABLE c (c)",
        "INSERT INTO a VALUES (1), (2)",
        "INSERT INTO b VALUES (1), (3)",
        "INSERT INTO c VALUES (1), (4)",
        "SELECT * FROM a JOIN c ON a = b JOIN b ON b = c",
        "SELECT * FROM a JOIN c ON a = b LEFT JOIN b ON b = c",
        "SELECT * FROM a JOIN c ON a = b.b, b",
        "SELECT * FROM a JOIN c ON EXISTS (SELECT 1 FROM c WHERE b = c) JOIN b",
        "SELECT * FROM a JOIN c ON a = x JOIN b ON b = c",
        "SELECT a.a FROM a, c JOIN b ON d = 1 JOIN (SELECT 1 AS d) ORDER BY 1",
    ],
    "a LEFT JOIN's right side that nothing reads": [
        *_TABLES,
        *(
            f"SELECT {what} FROM t LEFT JOIN {right}"
            for what in ("t.rowid", "1", "a")
            for right in (
                "(SELECT 2) ON 1",
                "(SELECT b FROM t) ON 1",
                "(SELECT 2 UNION SELECT 3) ON 1",
                "json_each('[1, 2]') ON 1",
                "t AS s ON 1",
                "u ON 1",
                "u ON y = a",
                "u ON z = a",
                "u ON x > a",
                "u ON b > 3",
                "(u JOIN u AS w) ON 1",
                "u ON 1 LEFT JOIN t AS s ON 1",
            )
        ),
        "WITH c (q) AS (SELECT 1 UNION ALL SELECT q + 1 FROM c LEFT JOIN t ON 1 WHERE q < 3) SELECT * FROM c",
        "SELECT count(*), (SELECT 1 FROM t LEFT JOIN u ON 1) FROM t LEFT JOIN u ON 1",
    ],
    "rowids of relations that are no tables": [
        *_TABLES,
        "SELECT rowid, value FROM json_each('[7, 8, 9]')",
        "SELECT rowid, oid, _rowid_, j.rowid FROM json_tree('[7, [8], 9]') AS j WHERE j.rowid > 1",
        "SELECT rowid FROM t, json_each('[7]')",
        "SELECT * FROM json_each('[7, 8]') WHERE rowid = 1",
        "SELECT a.rowid, b.rowid FROM json_each('[1, 2]') AS a"
        " LEFT JOIN json_each('[1]') AS b ON a.rowid = b.rowid",
        "SELECT rowid, name FROM pragma_table_info('t')",
        "SELECT name FROM sqlite_master ORDER BY rowid",
        "SELECT name FROM sqlite_master WHERE rowid = 0",
        "PRAGMA table_info(sqlite_master)",
        "SELECT * FROM json_each('[1]') NATURAL JOIN json_each('[1]')",
        "WITH c (q) AS (SELECT a FROM t) SELECT rowid FROM t, c WHERE a = q",
    ],
    "a column of a subquery is no JSON, also where the subquery is merged": [
        "CREATE TABLE t (x)",
        "INSERT INTO t VALUES ('[1]')",
        "CREATE VIEW v AS SELECT json(x) AS b, json_extract(x, '$[0]') AS c, x -> '$[0]' AS d FROM t",
        "SELECT json_array(b), json_quote(b), json_array(coalesce(b, 1), c, d) FROM v",
        "SELECT json_array(CASE WHEN 1 THEN b END), json_array(json(b)) FROM v",
        "SELECT json_group_array(b), json_group_object(b, b) FROM v",
        "SELECT * FROM v WHERE json_quote(b) = '[1]'",
        "SELECT * FROM v, t WHERE NOT json_quote(b)",
        "SELECT json_array(q) FROM (SELECT b AS q FROM v)",
        "SELECT b || 'x', typeof(b), b = '[1]', -b, +d FROM v WHERE c = 1 ORDER BY b",
        "SELECT json_array(value) FROM (SELECT value FROM json_each('[[1]]'))",
    ],
    "other columns of min() and max() where there are only NULLs": [
        "CREATE TABLE t (p, q)",
        "INSERT INTO t VALUES (7, NULL), (8, NULL)",
        "SELECT p, max(q) FROM t",
        "SELECT p, min(q) FROM t",
        "SELECT p, min(q), count(*) FROM t GROUP BY p > 7",
        "SELECT p, max(q) FROM t WHERE p = 7",
        "SELECT p, max(q) FROM t WHERE p = 9",
        "CREATE INDEX t_q ON t (q)",
        "SELECT p, max(q) FROM t",
        "SELECT p > 6, min(q) FROM t",
        "INSERT INTO t VALUES (9, 1), (10, 2), (11, NULL)",
        "SELECT p, max(q) FROM t",
        "SELECT p, min(q) FROM t",
        "SELECT p, max(q), count(*) FROM t",
        "SELECT min(q) FROM t",
    ],
    "names of the result in ON, and of its aggregates in a subquery of HAVING": [
        *_TABLES,
        "SELECT (a = 1) AS q, b FROM t JOIN u ON q AND y = a",
        "SELECT a, avg(b) AS m FROM t GROUP BY a HAVING NOT EXISTS"
        " (SELECT x, avg(z) AS n FROM u GROUP BY x HAVING m < n + 2)",
        "SELECT a, avg(b) AS m FROM t GROUP BY a HAVING (SELECT m > 2)",
        "SELECT a FROM t UNION SELECT count(*) FROM u ORDER BY count(*) DESC",
        "SELECT a, count(*) FROM t GROUP BY a UNION SELECT x, y FROM u ORDER BY count(*), a",
    ],
    "collations of what aggregates and windows give": [
        "CREATE TABLE c (id INTEGER PRIMARY KEY, b COLLATE NOCASE, t TEXT)",
        "INSERT INTO c VALUES (1, 'abcd', 'ABCD'), (2, 'BCDE', 'x'), (3, 'cdef', 'CDEF'), (4, 'DEFG', 'D')",
        *(
            f"SELECT {what}"
            for what in (
                "max(t) = b, b = max(t), max(b) = 'ABCD', max(b) = max(t) FROM c GROUP BY id",
                "max(t) OVER (PARTITION BY id) = b FROM c",
                "max(t) BETWEEN b AND b FROM c GROUP BY id",
                "id FROM c GROUP BY id HAVING max(t) = b",
                "id FROM c GROUP BY id HAVING max(t) IN (SELECT b FROM c)",
                "id, max(t COLLATE nocase) FROM c GROUP BY id ORDER BY max(t COLLATE nocase) || ''",
                "id, max(t COLLATE nocase) AS m FROM c GROUP BY id ORDER BY m",
                "max(t COLLATE nocase) = 'Abcd' FROM c GROUP BY id",
                "min(t COLLATE nocase) OVER (PARTITION BY id) AS x FROM c ORDER BY x",
                "group_concat(t COLLATE nocase) AS g FROM c GROUP BY id HAVING g = 'abcd'",
                "max(m) FROM (SELECT max(b COLLATE nocase) AS m FROM c GROUP BY id)",
                "m FROM (SELECT max(t COLLATE nocase) AS m FROM c GROUP BY id) WHERE m = 'abcd'",
                "DISTINCT max(t COLLATE nocase) FROM c GROUP BY id ORDER BY 1",
                "t FROM c GROUP BY id UNION SELECT max(t COLLATE nocase) FROM c ORDER BY 1",
            )
        ),
    ],
    "what a join and an aggregate may not have": [
        *_TABLES,
        "SELECT * FROM t NATURAL JOIN u USING (a)",
        "SELECT * FROM t NATURAL LEFT JOIN u USING (x)",
        "SELECT count(DISTINCT) FROM t",
    ],
    "literals": [
        "SELECT 0.5 IS TRUE COLLATE NOCASE, 0.5 IS NOT TRUE COLLATE NOCASE, 2 IS (TRUE COLLATE RTRIM)",
        "SELECT -00009223372036854775808, typeof(-009223372036854775809), 0000000000000000000000000001",
    ],
    "a column that has a name of its own is not called as the column below its COLLATE": [
        *_TABLES,
        "WITH w (n) AS (SELECT b COLLATE NOCASE FROM t) SELECT n FROM w",
        "SELECT n FROM (WITH w (n) AS (SELECT b COLLATE NOCASE FROM t) SELECT * FROM w)",
        "WITH w (n) AS (SELECT b COLLATE NOCASE FROM t), v AS (SELECT * FROM w) SELECT n FROM v",
        "WITH w AS (SELECT b COLLATE NOCASE FROM t) SELECT b FROM w",
        "CREATE VIEW v (n) AS SELECT b COLLATE NOCASE FROM t",
        "SELECT n, v.n FROM v",
        "SELECT n FROM (SELECT * FROM v)",
        "SELECT n FROM (SELECT n COLLATE RTRIM FROM v)",
        "CREATE TABLE made AS SELECT * FROM v",
        "SELECT sql FROM sqlite_master WHERE name = 'made'",
    ],
    "a CTE inside of a CTE of the same name does not make that recursive": [
        "WITH w (n) AS (SELECT (SELECT max(n) FROM (WITH w (n) AS (SELECT 1) SELECT n FROM w))"
        " UNION ALL SELECT 2) SELECT n FROM w",
        "WITH w (n) AS (SELECT 2 UNION ALL SELECT (WITH w (n) AS (SELECT 1) SELECT n FROM w)) SELECT n FROM w",
        "WITH w (n) AS (SELECT 2 UNION SELECT n + 1 FROM"
        " (WITH w (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM w WHERE n < 3) SELECT n FROM w)) SELECT n FROM w",
        "WITH w (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM w WHERE n < 5"
        " AND n IN (WITH w (n) AS (SELECT 2 UNION SELECT 3) SELECT n FROM w)) SELECT n FROM w",
        "WITH w (n) AS (SELECT 1 UNION ALL SELECT (WITH v (n) AS (SELECT 9) SELECT n FROM w) FROM w LIMIT 3)"
        " SELECT n FROM w",
    ],
    "VALUES of one row may have aggregates and windows, as a SELECT without FROM": [
        *_TABLES,
        "VALUES (count(*))",
        "VALUES (max(1), group_concat('x'), abs(-1))",
        "VALUES (row_number() OVER ())",
        "SELECT * FROM (VALUES (count(*), 2)) LIMIT 1",
        "VALUES (1) UNION ALL VALUES (count(*))",
        "SELECT (VALUES (count(t.a))), a FROM t GROUP BY a",
        "SELECT (VALUES (count(a))) FROM t",
        "SELECT a, a IN (VALUES (abs(t.a))) FROM t",
        "INSERT INTO t (a) SELECT * FROM (VALUES (count(*)))",
        "INSERT INTO t (a) VALUES (count(*))",
        "SELECT a FROM t",
        "CREATE VIEW v AS VALUES (upper('x'), count(*))",
        "SELECT * FROM v",
    ],
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_queries_are_answered_as_by_sqlite3(script: list[str]) -> None:
    same_answers(*script)


def test_the_order_of_rows_is_nothing_to_min_and_max() -> None:
    engine = KvshEngine()
    engine.execute("CREATE TABLE t (a, b)")
    engine.execute("INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    assert engine.execute("SELECT max(a ORDER BY b), min(a ORDER BY b DESC), b FROM t") == [
        (2, 1, "x")
    ]
    with pytest.raises(EngineError, match="ORDER BY may not be used with non-aggregate abs"):
        engine.execute("SELECT abs(a ORDER BY b) FROM t")
    engine.close()


def test_a_row_of_a_large_integer_stays_in_its_frame() -> None:
    engine = KvshEngine()
    engine.execute("CREATE TABLE t (a INTEGER)")
    engine.execute("INSERT INTO t VALUES (3578824042033200656), (3029012920382354029)")
    for order, frame, count in (
        ("a DESC", "0.3 PRECEDING AND 10 FOLLOWING", 1),
        ("a", "0.3 PRECEDING AND 0.1 FOLLOWING", 1),
        ("a", "0.3 PRECEDING AND 0.1 PRECEDING", 0),
        ("a", "1e18 PRECEDING AND 1e18 FOLLOWING", 2),
    ):
        query = f"SELECT count(*) OVER (ORDER BY {order} RANGE BETWEEN {frame}) FROM t"
        assert engine.execute(query) == [(count,), (count,)]
    engine.close()


@pytest.mark.parametrize("outer", ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
@pytest.mark.parametrize("inner", ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
def test_a_join_in_parentheses_sees_its_own_relations_alone(outer: str, inner: str) -> None:
    same_answers(
        *(f"CREATE TABLE t{n} (a, b{n})" for n in range(1, 5)),
        "INSERT INTO t1 VALUES (1, 1), (2, 2), (3, 3)",
        "INSERT INTO t2 VALUES (1, 1), (4, 2), (6, 3)",
        "INSERT INTO t3 VALUES (1, 1), (3, 2), (4, 3), (5, 4)",
        "INSERT INTO t4 VALUES (2, 1), (1, 2), (6, 3), (5, 4)",
        f"SELECT * FROM t1 {outer} (t2 {inner} t3 USING (a)) USING (a) ORDER BY 1, 2, 3, 4",
        f"SELECT t1.a, t2.a, t3.a, a FROM t1 {outer} (t2 {inner} t3 USING (a)) USING (a) ORDER BY 1, 2, 3",
        f"SELECT t1.a, t2.a, t3.a FROM t1 {outer} (t2 {inner} t3 ON t2.a = t3.a) ON t1.a = t2.a"
        " ORDER BY 1, 2, 3",
        f"SELECT * FROM t1 NATURAL {outer} (t2 NATURAL {inner} t3) ORDER BY 1, 2, 3, 4",
        f"SELECT * FROM t1 {outer} (t2 {inner} (t3 {outer} t4 USING (a)) USING (a)) USING (a)"
        " ORDER BY 1, 2, 3, 4, 5",
        f"SELECT b1, b2, b3, b4 FROM (t1 {inner} t2 USING (a)) {outer} (t3 {inner} t4 USING (a)) USING (a)"
        " ORDER BY 1, 2, 3, 4",
    )


@pytest.mark.parametrize("options", ["", " WITHOUT ROWID"])
@pytest.mark.parametrize("rows", [3, 300])
def test_an_aggregate_of_what_a_query_around_knows_is_none_of_the_column_at_its_place(
    options: str, rows: int
) -> None:
    """The first column of t was taken for the first of u, where a subquery in FROM shows it."""
    calls = ["min(v)", "max(v)", "sum(v)", "total(v)", "avg(v)", "count(v)", "group_concat(v)"]
    calls += [
        "max(v) + min(v)",
        "sum(v) + sum(b)",
        "count(DISTINCT v)",
        "max(v) FILTER (WHERE b > 1)",
    ]
    same_answers(
        "CREATE TABLE t (a)",
        "INSERT INTO t VALUES (1), ('x'), (2.5), (NULL)",
        f"CREATE TABLE u (b REAL, c, PRIMARY KEY (b, c)){options}",
        f"WITH s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s LIMIT {rows}) INSERT INTO u SELECT i, i % 5 FROM s",
        *(
            f"SELECT (SELECT {call} FROM (SELECT t.a AS v, b FROM u{where})) FROM t"
            for call in calls
            for where in ("", " WHERE c < 3", " WHERE c = t.a")
        ),
        "SELECT (WITH w (v) AS (SELECT t.a FROM u) SELECT min(v) FROM w) FROM t",
    )


@pytest.mark.parametrize("frame", ["1 FOLLOWING AND CURRENT ROW", "CURRENT ROW AND 1 PRECEDING"])
def test_a_frame_that_ends_before_it_starts_is_an_error_also_where_no_call_uses_it(
    frame: str,
) -> None:
    same_answers(
        "CREATE TABLE t (a)",
        "INSERT INTO t VALUES (1), (2)",
        f"SELECT a FROM t WINDOW w AS (ORDER BY a ROWS BETWEEN {frame})",
        f"SELECT sum(a) OVER v FROM t WINDOW v AS (ORDER BY a), w AS (v GROUPS BETWEEN {frame})",
        f"SELECT sum(a) OVER (ORDER BY a RANGE BETWEEN {frame}) FROM t",
    )


def test_two_calls_compared_with_constants_in_a_table_without_rows() -> None:
    """Their share of a sample that has no rows was a division by zero."""
    same_answers(
        "CREATE TABLE t (a, b)",
        "SELECT a FROM t WHERE (abs(b), length(b)) = (1, 2)",
        "SELECT a FROM t WHERE abs(b) = 1 AND length(a) = 2 AND lower(b) = 'x'",
        "DELETE FROM t WHERE abs(b) = 1 AND length(a) = 2",
    )


def test_what_an_index_is_asked_for_may_be_the_truth_of_an_in() -> None:
    """It was taken for the IN's own list of values: a failed assertion, or the rows of other keys."""
    same_answers(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, x, y)",
        "CREATE TABLE b (id INTEGER PRIMARY KEY, x, y)",
        "CREATE INDEX b_x ON b (x)",
        "CREATE TABLE w (x, y, PRIMARY KEY (x, y)) WITHOUT ROWID",
        *[
            f"INSERT INTO {table} WITH n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99) SELECT i, i % 7, {y} FROM n"
            for table, y in (("a", "nullif(i % 3, 0)"), ("b", "i % 4"))
        ],
        "INSERT INTO w SELECT x % 3, id FROM a",
        "SELECT a.id, b.id FROM a JOIN b ON b.x = (a.x IN (1, 2)) ORDER BY 1, 2",
        "SELECT a.id, b.id FROM a LEFT JOIN b ON b.id = (a.y IN (1, 2)) ORDER BY 1, 2",
        "SELECT a.id, b.id FROM a JOIN b ON b.id = (a.y IN (SELECT y FROM w WHERE x = 2)) ORDER BY 1, 2",
        "SELECT a.id, b.id FROM a JOIN b ON b.x = (a.y IN (SELECT y FROM w WHERE x = a.x)) WHERE a.id < 9 ORDER BY 1, 2",
        "SELECT id FROM b WHERE x = (3 IN (1, 2)) ORDER BY 1",
        "SELECT id FROM b WHERE x = (3 IN (SELECT x FROM a)) ORDER BY 1",
        "SELECT id FROM b WHERE id = (3 IN (SELECT x FROM a))",
        "SELECT a.id, b.id FROM a JOIN b ON b.id = (a.x IN (1, 2)) OR b.x = (a.x NOT IN (4, 1, 2)) WHERE a.id < 20 ORDER BY 1, 2",
        "SELECT a.id, w.y FROM a JOIN w ON w.x = (a.x IN (1, 2)) AND w.y = a.id ORDER BY 1",
        "DELETE FROM b WHERE id = (2 IN (1, 2))",
        "UPDATE b SET y = 9 WHERE x = (2 IN (SELECT x FROM a))",
        "SELECT * FROM b ORDER BY id",
    )


def test_a_star_over_two_relations_of_one_name() -> None:
    """It gave the columns of both, of which no other name could tell which is which."""
    same_answers(
        "CREATE TABLE t (a, b)",
        "INSERT INTO t VALUES (1, 2)",
        "SELECT * FROM t, t",
        "SELECT t.* FROM t, main.t",
        "SELECT q.* FROM t AS q, t AS Q",
        "SELECT * FROM (SELECT 1 AS x) AS a, (SELECT 2 AS x) AS a",
        "SELECT * FROM (SELECT 1 AS x) AS a, (SELECT 2 AS y) AS a",
        "WITH k AS (SELECT 1 AS x) SELECT * FROM k, k",
        "INSERT INTO t SELECT * FROM t AS u, t AS u",
        "SELECT * FROM t JOIN t USING (a)",
        "SELECT * FROM t JOIN t USING (a, b)",
        "SELECT * FROM t NATURAL JOIN t",
        "SELECT * FROM (SELECT 1 AS x), (SELECT 2 AS x)",
        "SELECT * FROM t, (SELECT a FROM t) AS t",
        "SELECT count(*) FROM t, t",
        "CREATE TEMP TABLE t (a)",
        "SELECT * FROM main.t, temp.t",
    )


def test_unbounded_is_said_of_a_frames_start_backwards_and_of_its_end_forwards() -> None:
    """The other way round it was a frame that is not supported, and no syntax error."""
    same_answers(
        "SELECT sum(1) OVER (ROWS UNBOUNDED FOLLOWING)",
        "SELECT sum(1) OVER (ROWS UNBOUNDED PRECEDING)",
        "SELECT sum(1) OVER (ROWS BETWEEN UNBOUNDED FOLLOWING AND UNBOUNDED FOLLOWING)",
        "SELECT sum(1) OVER (ROWS BETWEEN 1 PRECEDING AND UNBOUNDED PRECEDING)",
        "SELECT sum(1) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
    )


def test_a_column_of_returning_names_no_database() -> None:
    same_answers(
        "CREATE TABLE t (a)",
        "INSERT INTO t VALUES (1) RETURNING main.t.a",
        "INSERT INTO t VALUES (1) RETURNING t.a, abs(main.t.a) AS k",
        "INSERT INTO t VALUES (1), (2) RETURNING t.a, (SELECT count(main.t.a) FROM main.t WHERE main.t.a < 2) AS k",
        "UPDATE t SET a = a RETURNING main.t.a",
        "DELETE FROM t RETURNING main.t.a",
        "SELECT * FROM t",
    )
