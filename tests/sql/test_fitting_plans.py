"""A query whose parameters find many more rows than those that its plan was made for, or many fewer, gets a plan of its own."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import kvsh
from sql.compile import query as queries

ROWS = 40_000


def fill(con: Any) -> None:
    con.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, tag INTEGER, kind TEXT, price REAL)")
    con.execute("CREATE INDEX by_tag ON item(tag)")
    con.execute("CREATE INDEX by_kind ON item(kind, price)")
    draw = random.Random(3)
    rows = [
        (n, draw.randrange(ROWS), "rare" if n % 5000 == 0 else "often", n % 97 / 4)
        for n in range(ROWS)
    ]
    con.executemany("INSERT INTO item VALUES (?, ?, ?, ?)", rows)
    con.commit()


@pytest.fixture
def con() -> Any:
    con = kvsh.connect(":memory:")
    fill(con)
    yield con
    con.close()


def plan_of(con: Any, sql: str, *types: type) -> Any:
    return con._session._plans[(sql, types)]


SUM = "SELECT count(*), sum(price) FROM item WHERE tag < ?"


def test_few_rows_behind_many(con: Any) -> None:
    many = con.execute(SUM, (ROWS,)).fetchall()
    scan = plan_of(con, SUM, int)._compiled
    assert scan.is_dear and "by_tag" not in scan.source
    few = con.execute(SUM, (3,)).fetchall()
    plan = plan_of(con, SUM, int)
    lookup = plan._compiled
    assert lookup is not scan
    for _ in range(3):
        assert con.execute(SUM, (ROWS,)).fetchall() == many
        assert plan._compiled is scan
        assert con.execute(SUM, (3,)).fetchall() == few
        assert plan._compiled is lookup
    assert plan._replans == 1


def test_many_rows_behind_few(con: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries.CompiledQuery, "long_s", -1.0)
    few = con.execute(SUM, (3,)).fetchall()
    plan = plan_of(con, SUM, int)
    lookup = plan._compiled
    many = con.execute(SUM, (ROWS,)).fetchall()  # is seen to have taken long
    assert plan._compiled is lookup and lookup.is_dear
    for _ in range(3):
        assert con.execute(SUM, (ROWS,)).fetchall() == many
        assert plan._compiled is not lookup
        assert con.execute(SUM, (3,)).fetchall() == few
        assert plan._compiled is lookup
    assert plan._replans == 1


def test_a_plan_that_fits_is_kept(con: Any) -> None:
    for bound in range(1, 40):
        con.execute(SUM, (ROWS - bound,)).fetchall()
    assert plan_of(con, SUM, int)._replans == 0


def test_what_the_schema_changes_concerns_all_plans(con: Any) -> None:
    expected = [con.execute(SUM, (bound,)).fetchall() for bound in (ROWS, 3)]
    assert plan_of(con, SUM, int)._fitting
    con.execute("DROP INDEX by_tag")
    for bound, rows in zip((3, ROWS, 3, ROWS), (expected * 2)[::-1], strict=True):
        assert con.execute(SUM, (bound,)).fetchall() == rows


def test_no_more_plans_than_can_pay(con: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from sql import session_plans

    monkeypatch.setattr(session_plans, "_REPLANS_MAX", 3)
    monkeypatch.setattr(session_plans, "_FITTING_MAX", 1)
    monkeypatch.setattr(queries, "DEAR_NS", 0.0)
    expected = {}
    for bound in (ROWS, 3, 3000, 30_000) * 3:
        found = con.execute(SUM, (bound,)).fetchall()
        assert expected.setdefault(bound, found) == found
    plan = plan_of(con, SUM, int)
    assert plan._replans == 3 and len(plan._fitting) == 1


@pytest.mark.parametrize("change", ["UPDATE item SET price = price + 1", "DELETE FROM item"])
def test_changes_of_few_rows_and_of_many(change: str, tmp_path: Path) -> None:
    sql = f"{change} WHERE tag BETWEEN ? AND ?"
    ours, theirs = (
        kvsh.connect(str(tmp_path / "a.db"), durability="off"),
        sqlite3.connect(":memory:"),
    )
    queries_run = []
    for con in (ours, theirs):
        fill(con)
    for low, high in ((5, 9), (100, ROWS // 3), (ROWS // 3 + 1, ROWS), (10, 14), (15, 19)):
        for con in (ours, theirs):
            con.execute(sql, (low, high))
        queries_run.append(ours._session._plans[sql]._plan.query)
        found, expected = (
            con.execute("SELECT count(*), sum(price), sum(id) FROM item").fetchall()
            for con in (ours, theirs)
        )
        assert [pytest.approx(row) for row in expected] == found
    few, surprised, many, few_again, last = queries_run
    assert few is surprised is not many is not few_again is last
    ours.close()


QUERIES: list[tuple[str, str]] = [
    (SUM, "t"),
    ("SELECT count(*) FROM item WHERE tag BETWEEN ? AND ?", "tt"),
    ("SELECT id FROM item WHERE tag > ? AND price > 3 ORDER BY id LIMIT 20", "t"),
    ("SELECT id, price FROM item WHERE tag < ? ORDER BY price, id LIMIT 5", "t"),
    ("SELECT sum(price) FROM item WHERE id BETWEEN ? AND ?", "tt"),
    ("SELECT count(*), sum(id) FROM item WHERE kind = ? AND price < 5", "k"),
    ("SELECT kind, count(*) FROM item WHERE tag < ? GROUP BY kind", "t"),
    ("SELECT sum(id) FROM item WHERE kind = ? AND price < ? AND tag > ?", "ktt"),
    ("SELECT count(*) FROM item WHERE kind LIKE ? AND tag > 5", "l"),
    ("SELECT sum(b.price) FROM item a JOIN item b ON b.id = a.tag WHERE a.tag < ?", "t"),
    ("SELECT count(*) FROM item a WHERE a.id < ? AND EXISTS (SELECT 1 FROM item b WHERE b.tag = a.id)", "t"),
    ("SELECT count(*) FROM item WHERE tag < ? UNION ALL SELECT sum(id) FROM item WHERE id > ?", "tt"),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_answers_whatever_the_plan(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries.CompiledQuery, "long_s", -1.0)
    if seed % 2:
        monkeypatch.setattr(queries, "DEAR_NS", 0.0)
    draw = random.Random(seed)
    ours, theirs = (
        kvsh.connect(str(tmp_path / "a.db"), durability="off"),
        sqlite3.connect(":memory:"),
    )
    for con in (ours, theirs):
        fill(con)
    choices = {
        "t": (0, 1, 3, 50, 1000, ROWS - 10, ROWS, ROWS // 2, None, 2.5, "x"),
        "k": ("rare", "often", "never", None),
        "l": ("r%", "of%", "%a%", "zz%", None),
    }
    replans = 0
    for _ in range(150):
        sql, kinds = draw.choice(QUERIES)
        values = tuple(draw.choice(choices[kind]) for kind in kinds)
        if draw.random() < 0.05:
            change = f"UPDATE item SET tag = tag / 2 WHERE id % 100 = {draw.randrange(100)}"
            for con in (ours, theirs):
                con.execute(change)
                if draw.random() < 0.5:
                    con.commit()
        expected = theirs.execute(sql, values).fetchall()
        found = ours.execute(sql, values).fetchall()
        if "GROUP BY" in sql:
            expected, found = sorted(expected), sorted(found)
        assert [pytest.approx(row) for row in expected] == found, (sql, values)
    for plan in ours._session._plans.values():
        replans += getattr(plan, "_replans", 0)
    assert replans > 5
    ours.close()
