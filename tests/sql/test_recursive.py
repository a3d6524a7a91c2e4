"""Recursive queries against sqlite3: kinds of value that change on the way, trees, chains, and early ends."""

from __future__ import annotations

import sqlite3

import pytest

import kvsh

QUERIES = (
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 3000) SELECT sum(x), count(*) FROM n",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x || 'a' FROM n WHERE length(x) < 9) SELECT x, typeof(x) FROM n",
    "WITH RECURSIVE n(x) AS (SELECT 'a' UNION ALL SELECT length(x) + 1 FROM n WHERE x < 5 OR x = 'a' LIMIT 9) SELECT x, typeof(x) FROM n",
    "WITH RECURSIVE n(x, y) AS (SELECT 1, NULL UNION ALL SELECT x * 1.5, x FROM n WHERE x < 90) SELECT x, y, typeof(x) FROM n",
    "WITH RECURSIVE n(x) AS (SELECT 9223372036854775800 UNION ALL SELECT x + 5 FROM n LIMIT 5) SELECT x, typeof(x) FROM n",
    "WITH RECURSIVE n(x) AS (VALUES (1), (2) UNION SELECT (x * 7 + 3) % 101 FROM n) SELECT count(*), sum(x), max(x) FROM n",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT nullif(x + 1, 7) FROM n WHERE x IS NOT NULL) SELECT x FROM n",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n LIMIT 70",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n WHERE x % 9 = 0 LIMIT 5 OFFSET 40",
    "WITH RECURSIVE n(x) AS (SELECT -6 UNION ALL SELECT CASE x WHEN 1 THEN abs(-9223372036854775807 - 1) ELSE x + 1 END FROM n) SELECT x FROM n LIMIT 8",
    "WITH RECURSIVE t(id, d) AS (SELECT 3, 0 UNION ALL SELECT tree.id, d + 1 FROM tree JOIN t ON tree.parent = t.id) SELECT * FROM t ORDER BY id",
    "WITH RECURSIVE t(id, d) AS (SELECT 0, 0 UNION ALL SELECT tree.id, d + 1 FROM t JOIN tree ON tree.parent = t.id WHERE d < 4) SELECT d, count(*) FROM t GROUP BY d",
    "WITH RECURSIVE t(id, parent) AS (SELECT id, parent FROM tree WHERE id = 2999 UNION ALL SELECT tree.id, tree.parent FROM tree JOIN t ON tree.id = t.parent) SELECT id FROM t",
    "WITH RECURSIVE t(id) AS (SELECT 0 UNION ALL SELECT tree.id FROM tree, t WHERE tree.parent = t.id ORDER BY 1 DESC) SELECT id FROM t LIMIT 200",
    "WITH RECURSIVE t(id) AS (SELECT 5 UNION SELECT tree.id FROM tree, t WHERE tree.parent = t.id UNION SELECT tree.parent FROM tree, t WHERE tree.id = t.id) SELECT count(*), sum(id) FROM t",
    "SELECT id, (WITH RECURSIVE t(up) AS (SELECT parent FROM tree WHERE id = o.id UNION ALL SELECT parent FROM tree JOIN t ON id = up) SELECT count(*) FROM t) FROM tree o WHERE id % 500 = 7",
)


@pytest.mark.parametrize("sql", QUERIES)
def test_recursive_queries_are_those_of_sqlite(sql: str) -> None:
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    for con in (ours, theirs):
        con.execute("CREATE TABLE tree(id INTEGER PRIMARY KEY, parent INT)")
        con.executemany(
            "INSERT INTO tree VALUES (?, ?)",
            [(i, None if i == 0 else (i - 1) // 3) for i in range(3000)],
        )
        con.execute("CREATE INDEX tree_parent ON tree(parent)")
    for _ in range(2):
        assert ours.execute(sql).fetchall() == theirs.execute(sql).fetchall()


def test_an_error_comes_after_the_rows_before_it() -> None:
    con = kvsh.connect(":memory:")
    sql = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT CASE x WHEN 50 THEN"
        " abs(-9223372036854775807 - 1) ELSE x + 1 END FROM n) SELECT x FROM n"
    )
    assert len(con.execute(f"{sql} LIMIT 50").fetchall()) == 50
    with pytest.raises(kvsh.OperationalError, match="integer overflow"):
        con.execute(f"{sql} LIMIT 51").fetchall()
