"""EXISTS asks for one row, and no more are looked at than it takes to find one; against sqlite3."""

from __future__ import annotations

import pytest

from tests.sql.engines import KvshEngine, SqliteEngine, filled

_ASKED = (
    "SELECT 1 FROM b WHERE b.t LIKE '%' || a.id || '%'",
    "SELECT 1 FROM b WHERE b.n > a.n",
    "SELECT 1 FROM b WHERE b.n > a.n ORDER BY b.t DESC",
    "SELECT b.t FROM b WHERE b.n = a.n LIMIT 0",
    "SELECT b.t FROM b WHERE b.n < a.n LIMIT -1",
    "SELECT b.t FROM b WHERE b.n < a.n LIMIT 2 OFFSET 30",
    "SELECT DISTINCT b.t FROM b WHERE b.n < a.n",
    "SELECT count(*) FROM b WHERE b.n < a.n",
    "SELECT count(*) FROM b WHERE b.n < a.n HAVING count(*) > 20",
    "SELECT n, count(*) FROM b WHERE b.n < a.n GROUP BY n HAVING count(*) > 3",
    "SELECT row_number() OVER (ORDER BY t) FROM b WHERE b.n = a.n",
    "SELECT 1 FROM b LEFT JOIN a x ON x.id = b.n WHERE x.id IS NULL AND b.n > a.n",
    "SELECT n FROM b WHERE n = a.n UNION ALL SELECT id FROM b WHERE id = a.n * 2",
    "SELECT n FROM b WHERE n > a.n UNION SELECT 1 WHERE 0",
    "VALUES (NULL)",
    "SELECT 1 FROM empty",
    "SELECT max(x) FROM empty",
    "SELECT 1 WHERE a.n",
)


@pytest.fixture(scope="module")
def engines() -> tuple[KvshEngine, SqliteEngine]:
    schema = (
        "CREATE TABLE a (id INTEGER PRIMARY KEY, n INT)",
        "CREATE TABLE b (id INTEGER PRIMARY KEY, n INT, t TEXT)",
        "CREATE TABLE empty (x)",
    )
    filling = {
        "INSERT INTO a VALUES (?, ?)": [(at, at % 9 or None) for at in range(60)],
        "INSERT INTO b (n, t) VALUES (?, ?)": [(at % 7 or None, f"t{at}") for at in range(5000)],
    }
    return filled(schema, filling, leaf_limit=64)


@pytest.mark.parametrize("word", ["EXISTS", "NOT EXISTS"])
@pytest.mark.parametrize("asked", _ASKED)
def test_the_rows_are_sqlites(
    asked: str, word: str, engines: tuple[KvshEngine, SqliteEngine]
) -> None:
    ours, oracle = engines
    for sql in (
        f"SELECT id FROM a WHERE {word} ({asked})",
        f"SELECT id, {word} ({asked}) FROM a WHERE id < 12",
        f"SELECT id FROM a WHERE n = 3 OR {word} ({asked}) LIMIT 7 OFFSET 2",
    ):
        assert ours.execute(sql) == oracle.execute(sql)


def test_a_scan_ends_at_the_first_row(engines: tuple[KvshEngine, SqliteEngine]) -> None:
    """It began with a batch of thousands for each row that asked."""
    sql = f"EXPLAIN CODE SELECT id FROM a WHERE EXISTS ({_ASKED[0]})"
    code = "\n".join(row[0] for row in engines[0].execute(sql))
    assert "few_by_column(" in code
    assert "limited(" not in code  # what gives one row needs no other end
