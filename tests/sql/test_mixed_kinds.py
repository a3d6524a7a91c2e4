"""Random queries over columns that hold values of all kinds, against sqlite3.

Values that are equal but not the same (1 and 1.0, 'a' and 'A' under NOCASE, 0.0 and -0.0), text beside
blobs, and numbers beside text that spells them: what DISTINCT, GROUP BY and compounds show of equals, and
how all of it orders.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sql.engines import EngineError, KvshEngine, SqliteEngine

QUERIES = 60
SEEDS = range(5)
VALUES = [
    "NULL",
    "0",
    "0.0",
    "-0.0",
    "1",
    "1.0",
    "'1'",
    "'1.0'",
    "2",
    "2.5",
    "'2.5'",
    "-1",
    "'a'",
    "'A'",
    "'b'",
    "''",
    "x''",
    "x'61'",
    "x'41'",
    "x'31'",
    "9007199254740993",
    "9007199254740992.0",
    "9223372036854775807",
    "9223372036854775807.0",
    "1e300",
    "'a '",
]
COLUMNS = ["x", "n TEXT COLLATE NOCASE", "i INTEGER", "r REAL", "m NUMERIC", "b BLOB", "s TEXT"]
NAMES = [column.split()[0] for column in COLUMNS]
OPERATORS = ["=", "<>", "<", "<=", ">", ">=", "IS", "IS NOT"]


class Queries:
    """A source of random queries whose answers have one order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def any(self, items: list[str]) -> str:
        return self.random.choice(items)

    def column(self) -> str:
        return self.any(NAMES)

    def operand(self) -> str:
        return self.any(
            [
                self.column(),
                self.column(),
                self.any(VALUES),
                f"{self.column()} COLLATE NOCASE",
                f"+{self.column()}",
                f"CAST({self.column()} AS {self.any(['INTEGER', 'TEXT', 'REAL', 'NUMERIC', 'BLOB'])})",
                f"coalesce({self.column()}, {self.any(VALUES)})",
                f"({self.column()} || {self.column()})",
                f"({self.column()} {self.any(['+', '-', '*', '/', '%'])} {self.any(VALUES)})",
            ]
        )

    def condition(self) -> str:
        kind = self.random.randrange(6)
        if kind == 0:
            items = ", ".join(self.any(VALUES) for _ in range(self.random.randrange(1, 5)))
            return f"{self.operand()} {self.any(['IN', 'NOT IN'])} ({items})"
        if kind == 1:
            return f"{self.column()} BETWEEN {self.any(VALUES)} AND {self.operand()}"
        if kind == 2:
            return f"{self.column()} IN (SELECT {self.column()} FROM u)"
        if kind == 3:
            return f"{self.condition()} {self.any(['AND', 'OR'])} NOT {self.condition()}"
        return f"{self.operand()} {self.any(OPERATORS)} {self.operand()}"

    def query(self) -> str:
        where = f"WHERE {self.condition()}" if self.random.randrange(2) else ""
        one, two, value = self.column(), self.column(), self.operand()
        way = self.any(["", " DESC", " DESC NULLS FIRST", " NULLS LAST", " COLLATE NOCASE DESC"])
        return self.any(
            [
                f"SELECT k, {one}, {value} FROM t {where} ORDER BY {one}{way}, k",
                f"SELECT k, {value} FROM t {where} ORDER BY {value}{way}, k LIMIT 7 OFFSET 2",
                f"SELECT DISTINCT {one} FROM t {where}",
                f"SELECT DISTINCT {one}, {two} FROM t {where}",
                f"SELECT {one}, count(*), sum({two}), min({two}), max({two}) FROM t {where} "
                f"GROUP BY {one} ORDER BY {one}",
                f"SELECT count(DISTINCT {one}), min({value}), max({value}), total({one}) "
                f"FROM t {where}",
                f"SELECT {one}, {self.any(['min', 'max'])}({two}) FROM t {where} "
                f"GROUP BY {one} ORDER BY {one}",
                f"SELECT length(group_concat({one})), avg({two}) FROM t {where}",
                f"SELECT {one} FROM t {where} UNION SELECT {two} FROM u ORDER BY 1",
                f"SELECT {one} FROM t INTERSECT SELECT {two} FROM u ORDER BY 1",
                f"SELECT {one} FROM t {where} EXCEPT SELECT {two} FROM u ORDER BY 1",
                f"SELECT t.k, u.k FROM t JOIN u ON t.{one} = u.{two} ORDER BY t.k, u.k",
                f"SELECT t.k, u.k, u.{two} FROM t LEFT JOIN u ON t.{one} = u.{two} "
                f"AND u.{one} > t.{two} ORDER BY t.k, u.k",
                f"SELECT k FROM t WHERE ({one}, {two}) {self.any(['=', '<', '>='])} "
                f"({self.any(VALUES)}, {value}) ORDER BY k",
                f"SELECT CASE {one} WHEN {self.any(VALUES)} THEN 1 WHEN {two} THEN 2 END, "
                f"max({one}, {two}), nullif({one}, {two}), {one} IS {two} FROM t ORDER BY k",
                f"SELECT k, rank() OVER (PARTITION BY {one} ORDER BY {two}{way}) FROM t ORDER BY k",
                f"SELECT k, (SELECT count(*) FROM u WHERE u.{two} <= t.{one}) FROM t ORDER BY k",
            ]
        )


def tables(seed: int) -> Iterator[str]:
    source = random.Random(seed)
    for table, rows in (("t", 40), ("u", 15)):
        yield f"CREATE TABLE {table} (k INTEGER PRIMARY KEY, {', '.join(COLUMNS)})"
        for _ in range(rows):
            items = ", ".join(source.choice(VALUES) for _ in COLUMNS)
            yield f"INSERT INTO {table} ({', '.join(NAMES)}) VALUES ({items})"
        if seed % 2:
            for name in NAMES:
                yield f"CREATE INDEX {table}_{name} ON {table} ({name})"


def shown(rows: list[tuple[Any, ...]], *, ordered: bool) -> list[str]:
    """Rows with their kinds.  Sums of REALs depend on the order of the rows, which is nobody's to say;
    and zeros have no sign, since SQLite stores none and yet computes some."""
    texts = [repr([_rounded(value) for value in row]) for row in rows]
    return texts if ordered else sorted(texts)


def _rounded(value: Any) -> Any:
    return float(f"{value:.12g}") + 0.0 if isinstance(value, float) else value


@pytest.mark.parametrize("seed", SEEDS)
def test_queries_over_mixed_kinds_answer_as_sqlite3_does(seed: int) -> None:
    kvsh, oracle, source = KvshEngine(), SqliteEngine(), Queries(seed)
    for statement in tables(seed):
        kvsh.execute(statement)
        oracle.execute(statement)
    for _ in range(QUERIES):
        query = source.query()
        answers = []
        for engine in (kvsh, oracle):
            try:
                answers.append(shown(engine.execute(query), ordered="ORDER BY" in query))
            except EngineError as error:
                answers.append([str(error)])
        assert answers[0] == answers[1], query
    kvsh.close()
    oracle.close()
