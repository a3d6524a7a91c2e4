"""Which statements are guarded on a terminal, and what is asked."""

from __future__ import annotations

import pytest

from kvsh.guard import Danger, danger_of


@pytest.mark.parametrize(
    ("statement", "danger"),
    [
        ("DELETE FROM t", Danger("delete", "table", "t")),
        ("delete from main.[my table];", Danger("delete", "table", "my table", "", "main")),
        ("UPDATE t SET a = 1", Danger("update", "table", "t")),
        ("UPDATE OR IGNORE t SET a = (SELECT 1 WHERE 0)", Danger("update", "table", "t")),
        ("WITH x AS (SELECT 1 WHERE 1) DELETE FROM t", Danger("delete", "table", "t")),
        ("DROP TABLE t", Danger("drop", "table", "t")),
        ('DROP TABLE IF EXISTS "t u"', Danger("drop", "table", "t u")),
        ("DROP INDEX main.i", Danger("drop", "index", "i", "", "main")),
        ("ALTER TABLE t DROP COLUMN a", Danger("drop", "column", "t", "a")),
        ("ALTER TABLE t DROP a", Danger("drop", "column", "t", "a")),
        ("/* DELETE */ DELETE /* WHERE */ FROM t -- WHERE", Danger("delete", "table", "t")),
    ],
)
def test_what_is_hard_to_take_back_is_guarded(statement: str, danger: Danger) -> None:
    assert danger_of(statement) == danger


@pytest.mark.parametrize(
    "statement",
    [
        "",
        ";",
        "SELECT 'DELETE FROM t'",
        "DELETE FROM t WHERE a = 1",
        "DELETE FROM t LIMIT 3",
        "UPDATE t SET a = 1 WHERE b",
        "WITH x AS (SELECT 1) DELETE FROM t WHERE a IN x",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "INSERT INTO t SELECT * FROM u",
        "ALTER TABLE t RENAME TO u",
        "ALTER TABLE t ADD COLUMN dropped",
        "DROP",
        "DELETE",
        "UPDATE",
        "WITH",
    ],
)
def test_everything_else_is_not(statement: str) -> None:
    assert danger_of(statement) is None
