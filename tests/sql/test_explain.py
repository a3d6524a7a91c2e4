"""Plans, as EXPLAIN draws them, held by golden files; and what its other modes say.

`KVSH_WRITE_GOLDEN=1 pytest tests/sql/test_explain.py` writes the files anew: read the difference."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from sql.explain import expression_text
from sql.expressions import (
    Affinity,
    And,
    Arithmetic,
    ColumnRef,
    Compare,
    Expression,
    InList,
    Literal,
    Match,
    Not,
    Or,
    Parameter,
    Unary,
)
from tests.sql.engines import KvshEngine

GOLDEN = Path(__file__).parent / "golden"

SCHEMA = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c REAL)",
    "CREATE INDEX t_ab ON t(a, b)",
    "CREATE TABLE u(k INT, v TEXT, t_id INT)",
    "CREATE TABLE w(x TEXT PRIMARY KEY, y INT) WITHOUT ROWID",
    "CREATE TABLE e(n INT, email TEXT UNIQUE)",
    "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
    " SELECT i, i % 100, 'b' || i, i * 0.5 FROM n",
    "INSERT INTO u SELECT id % 50, b, id FROM t WHERE id <= 500",
    "INSERT INTO w SELECT b, id FROM t",
    "INSERT INTO e SELECT id, 'e' || id FROM t",
)

QUERIES = {
    "access": (
        "SELECT * FROM t",
        "SELECT * FROM t WHERE id = 5",
        "SELECT * FROM t WHERE id BETWEEN 5 AND 10 ORDER BY id DESC",
        "SELECT * FROM t WHERE a = 5 AND b > 'b3'",
        "SELECT a, b FROM t WHERE a > 95",
        "SELECT * FROM t WHERE id IN (1, 2, 3) OR a = 7",
        "SELECT * FROM t WHERE a IS NULL",
        "SELECT * FROM t WHERE c > 100 AND b LIKE '%7'",
        "SELECT * FROM w WHERE x = 'b5'",
        "SELECT * FROM w WHERE x >= 'b5' AND x < 'b6'",
        "SELECT * FROM e WHERE email = 'e77'",
        "SELECT * FROM t ORDER BY a, b LIMIT 3",
        "SELECT count(*) FROM t",
        "SELECT max(a) FROM t",
        "SELECT 1",
        "VALUES (1), (2)",
    ),
    "joins": (
        "SELECT t.b, u.v FROM u JOIN t ON t.id = u.t_id WHERE u.k = 3",
        "SELECT * FROM t LEFT JOIN u ON u.k = t.a AND u.v > 'b' WHERE t.id < 20",
        "SELECT * FROM t FULL JOIN u ON t.id = u.t_id",
        "SELECT * FROM u AS x, u AS y WHERE x.k = y.k AND x.t_id < y.t_id",
        "SELECT * FROM e JOIN w ON w.x = e.email WHERE e.n < 5",
        "SELECT u.v, t.b FROM u JOIN t ON t.id = u.t_id WHERE u.k > 0",
        "SELECT t.a, s.c FROM t JOIN t AS s ON s.id = t.a WHERE t.a BETWEEN 20 AND 40",
        "SELECT t.b, s.c FROM t JOIN t AS s ON s.id = t.id WHERE t.id > 1500",
        "SELECT w.x, s.y FROM w JOIN w AS s ON s.x = w.x WHERE w.x > 'b7'",
        "SELECT u.v, t.c FROM u JOIN t ON t.a = u.k AND t.b = u.v",
        "SELECT u.v, t.c FROM u LEFT JOIN t ON t.a = u.k AND t.b = u.v AND t.c > 3",
    ),
    "stages": (
        "SELECT a, count(*), sum(c) FROM t WHERE id < 100 GROUP BY a HAVING count(*) > 1"
        " ORDER BY 2 DESC LIMIT 3",
        "SELECT DISTINCT v FROM u ORDER BY k",
        "SELECT avg(c), count(DISTINCT a) FROM t",
        "SELECT a, sum(c) OVER (PARTITION BY a ORDER BY id ROWS 1 PRECEDING) FROM t WHERE id < 50",
        "SELECT b FROM t ORDER BY c DESC NULLS LAST, b COLLATE NOCASE LIMIT 5 OFFSET 2",
    ),
    "subqueries": (
        "SELECT * FROM t WHERE a > (SELECT avg(k) FROM u)",
        "SELECT (SELECT count(*) FROM u WHERE u.t_id = t.id) FROM t WHERE id < 5",
        "SELECT * FROM t WHERE a IN (SELECT k FROM u) AND NOT EXISTS (SELECT 1 FROM w WHERE y = t.id)",
        "SELECT * FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.t_id = t.id)",
        "SELECT * FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.t_id = t.id AND u.v > t.b)",
        "SELECT * FROM u WHERE EXISTS (SELECT 1 FROM t WHERE t.a = u.k AND t.b = u.v AND t.c > u.k)",
        "SELECT * FROM u WHERE v IN (SELECT b FROM t WHERE t.id = u.t_id)",
        "WITH n AS (SELECT a, count(*) AS c FROM t GROUP BY a) SELECT * FROM n x JOIN n y ON x.a = y.c",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) SELECT * FROM n",
        "SELECT a FROM t UNION SELECT k FROM u ORDER BY 1 LIMIT 5",
        "SELECT a FROM t UNION ALL SELECT k FROM u UNION ALL SELECT y FROM w",
    ),
}


@pytest.fixture(scope="module")
def engine() -> KvshEngine:
    made = KvshEngine()
    for statement in SCHEMA:
        made.execute(statement)
    made.execute("ANALYZE")
    return made


def plan(engine: KvshEngine, mode: str, query: str) -> list[str]:
    rows = engine.execute(f"EXPLAIN {mode} {query}")
    return [" | ".join(map(str, row)) for row in rows]


def held(name: str, text: str) -> None:
    """Compare with the golden file, or write it."""
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("KVSH_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", QUERIES)
def test_plans_are_the_golden_ones(engine: KvshEngine, name: str) -> None:
    lines = []
    for query in QUERIES[name]:
        lines += [query, *[f"    {line}" for line in plan(engine, "", query)]]
        lines += [f"    {line}" for line in plan(engine, "QUERY PLAN", query)] + [""]
    held(name, "\n".join(lines))


@pytest.mark.parametrize("name", QUERIES)
def test_an_analysed_query_has_the_tree_and_the_rows_of_the_plain_one(
    engine: KvshEngine, name: str
) -> None:
    for query in QUERIES[name]:
        lines = plan(engine, "ANALYZE", query)
        rows = len(engine.execute(query))
        assert re.match(rf"{rows:,} rows? in [\d.]+ ms, [\d,]+ pages? read$", lines[-1]), lines
        drawn = [re.split(r" {3}~?\d|; | {3}never run", line)[0] for line in lines[:-1]]
        wanted = [re.split(r" {3}~\d|; ", line)[0] for line in plan(engine, "", query)]
        assert drawn == wanted


def figures(lines: list[str], title: str) -> str:
    """What stands behind the one line that has `title` in it."""
    found = [line.split(title, 1)[1] for line in lines if title in line]
    assert len(found) == 1, lines
    return found[0]


def test_each_operator_counts_what_it_gave(engine: KvshEngine) -> None:
    lines = plan(
        engine,
        "ANALYZE",
        "SELECT t.a, count(*) FROM u JOIN t ON t.id = u.t_id WHERE u.k < 10 GROUP BY t.a"
        " ORDER BY 2, 1 LIMIT 4",
    )
    assert "; 100 rows" in figures(lines, "Filter u.k < 10")
    assert "; 500 rows" in figures(lines, "Scan u")
    assert "; 100 rows" in figures(lines, "Search t by primary key (id = u.t_id)")
    assert " 20 rows" in figures(lines, "Group by t.a: count(*)")
    assert " 4 rows" in figures(lines, "Limit 4")


def test_a_cte_that_is_used_twice_runs_once(engine: KvshEngine) -> None:
    query = "WITH n AS (SELECT a, count(*) AS c FROM t GROUP BY a) SELECT * FROM n x, n y"
    lines = plan(engine, "ANALYZE", query)
    assert "loops" not in figures(lines, "Group by t.a: count(*)")
    assert "; 2,000 rows" in figures(lines, "Scan t")


def test_an_operator_that_is_not_reached_never_runs(engine: KvshEngine) -> None:
    query = "SELECT * FROM u WHERE k < 0 AND t_id = (SELECT max(c) FROM t WHERE b > 'x')"
    lines = plan(engine, "ANALYZE", query)
    assert lines[-1].startswith("0 rows in ")
    assert any("never run" in line for line in lines)


def test_a_lookup_reads_pages_by_the_depth_of_the_tree(engine: KvshEngine) -> None:
    lookup = plan(engine, "ANALYZE", "SELECT * FROM t WHERE id = 1000")[-1]
    scan = plan(engine, "ANALYZE", "SELECT * FROM t")[-1]
    pages = [int(re.findall(r"([\d,]+) pages? read", line)[0]) for line in (lookup, scan)]
    assert pages[0] <= 4 < 20 < pages[1]


def test_the_code_is_the_python_that_runs(engine: KvshEngine) -> None:
    lines = plan(engine, "CODE", "SELECT a FROM t WHERE c > 1")
    assert lines[0] == "def run(ctx):"
    compile("\n".join(lines), "code", "exec")


def column(name: str) -> ColumnRef:
    return ColumnRef(1, 0, name, "", Affinity.BLOB, "BINARY", 31)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (Arithmetic("*", Arithmetic("+", column("a"), Literal(1)), Literal(2)), "(a + 1) * 2"),
        (Arithmetic("-", column("a"), Arithmetic("-", column("b"), Literal(1))), "a - (b - 1)"),
        (Arithmetic("+", Arithmetic("+", column("a"), column("b")), Literal(1)), "a + b + 1"),
        (And((Or((column("a"), column("b"))), Not(column("c")))), "(a or b) and not c"),
        (Or((And((column("a"), column("b"))), column("c"))), "a and b or c"),
        (Compare("=", column("a"), Parameter(0)), "a = ?1"),
        (Compare("IS NOT", column("a"), Literal(None)), "a is not null"),
        (Compare("<", Compare("=", column("a"), Literal(1)), Literal(2)), "(a = 1) < 2"),
        (Unary("-", Arithmetic("+", column("a"), Literal(1))), "-(a + 1)"),
        (InList(column("a"), (Literal(1), Literal("it's")), negated=True), "a not in (1, 'it''s')"),
        (InList(column("a"), tuple(map(Literal, range(20)))), "a in (0, 1, 2, 3, 4, 5, ... 20 values)"),
        (Match("LIKE", column("a"), Literal("x%"), Literal("!")), "a like 'x%' escape '!'"),
        (Literal(b"\x01\xff"), "x'01ff'"),
        (Literal(1.5), "1.5"),
    ],
)  # fmt: skip
def test_expressions_read_as_sql(expression: Expression, text: str) -> None:
    assert expression_text(expression) == text
