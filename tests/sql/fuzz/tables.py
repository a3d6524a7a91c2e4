"""Random data for random queries: small tables whose columns hold everything from clean integers to a mix of
all kinds, JSON and dates, and views over them."""

from __future__ import annotations

import random
from typing import Any

TEXTS = (
    "",
    "a",
    "A",
    "b",
    "abc",
    "ABC",
    "aBc ",
    "abd",
    "10",
    "2",
    " 7",
    "1e1",
    "x'y",
    "ä",
    "Ä",
    "z%_",
)
DOCUMENTS = (
    "{}",
    "[]",
    '{"a": 1, "b": [1, 2.5, "x"]}',
    '{"a": null, "b": {"c": "abc", "d": [true, false, null]}}',
    '[1, [2, 3], {"a": "10"}]',
    '{"a": "ä\\u00e4\\n", "b": []}',
    '"text"',
    "12",
    "-3.5e2",
    '{"b": [{"a": 7}, {"a": "7"}], "a": 1e3}',
    "null",
)
DAYS = (
    "2024-02-29",
    "2023-12-31 23:59:59",
    "1999-01-01T00:00",
    "2000-03-01 12:30:15.250",
    "12:00",
    "2460000.5",
    "not a day",
    "0001-01-01",
    "9999-12-31 23:59:59.999",
    "2024-03-10 02:30+02:00",
)

COLUMNS = {
    "t0": {"id": "i", "a": "i", "b": "i", "c": "r", "d": "t"},
    "t1": {"a": "i", "b": "t", "c": "m", "d": "m", "e": "m"},
    "t2": {"k": "t", "n": "i", "v": "m", "w": "r"},
    "t3": {"id": "i", "t0_id": "i", "x": "i", "y": "t"},
    "t4": {"id": "i", "doc": "j", "day": "d", "at": "r"},
    "v0": {"id": "i", "s": "i", "d": "t"},
    "v1": {"g": "i", "n": "i", "top": "r"},
    "v2": {"x": "i", "y": "t"},
}
"""Kinds of columns: i(nteger), r(eal), t(ext), m(ixed), j(son), d(ay)."""

KEYS = {"t0": ("id",), "t1": ("rowid",), "t2": ("k", "n"), "t3": ("id",), "t4": ("id",)}
"""What tells a table's rows apart."""


_LARGE = {29: 2**63 - 1, 28: 2**53 + 1, -20: -(2**63) + 1, -19: 2**62}
"""Integers at the ends of 64 bits and of what a REAL tells apart, in the place of these: seeds keep their statements."""


def value(rng: random.Random, kinds: str = "nirtb") -> Any:
    """A value of one of `kinds`: n(ull) i(nteger) r(eal) t(ext) b(lob)."""
    kind = rng.choice(kinds)
    if kind == "n":
        return None
    if kind == "i":
        number = rng.choice((0, 1, 2, 3, 5, 7, 10, -1, -4, 100, rng.randrange(-20, 30)))
        return _LARGE.get(number, number)
    if kind == "r":
        return rng.choice((0.0, 0.5, 1.0, 2.5, -1.5, 10.0, 3.25, 7.0))
    if kind == "t":
        return rng.choice(TEXTS)
    return rng.choice((b"", b"\0", b"a", b"ab", b"10"))


def quoted(item: Any) -> str:
    """The value as a literal."""
    if item is None:
        return "NULL"
    if isinstance(item, str):
        return "'" + item.replace("'", "''") + "'"
    if isinstance(item, int) and item in (100, 2**62):
        return hex(item)  # so that there are such literals, too
    return f"x'{item.hex()}'" if isinstance(item, bytes) else repr(item)


def literal(rng: random.Random, kinds: str = "nirtb") -> str:
    """A literal of one of `kinds`."""
    return quoted(value(rng, kinds))


def make_tables(rng: random.Random, rows: int = 25) -> list[str]:
    """Statements that make the tables: typed columns, clean or mixed, with and without NULLs and indexes."""
    made = [
        "CREATE TABLE t0(id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, c REAL, d TEXT)",
        "CREATE TABLE t1(a INT, b TEXT COLLATE NOCASE, c, d NUMERIC, e BLOB)",
        "CREATE TABLE t2(k TEXT, n INTEGER, v, w REAL NOT NULL, PRIMARY KEY (k, n)) WITHOUT ROWID",
        "CREATE TABLE t3(id INTEGER PRIMARY KEY, t0_id INTEGER, x INTEGER UNIQUE, y TEXT)",
        "CREATE TABLE t4(id INTEGER PRIMARY KEY, doc TEXT, day TEXT, at REAL,"
        " first AS (doc ->> '$.a'), month TEXT AS (substr(day, 1, 7)) STORED)",
        "CREATE VIEW v0 AS SELECT id, a + b AS s, d FROM t0 WHERE b IS NOT NULL",
        "CREATE VIEW v1(g, n, top) AS SELECT a, count(*), max(c) FROM t0 GROUP BY a",
        "CREATE VIEW v2 AS SELECT id AS x, y FROM t3 UNION ALL SELECT n, k FROM t2",
        "CREATE VIEW v3 AS SELECT a FROM t0",
    ]
    indexes = [
        "CREATE INDEX t0_a ON t0(a)",
        "CREATE INDEX t0_bd ON t0(b, d DESC)",
        "CREATE INDEX t0_expr ON t0(a + b)",
        "CREATE INDEX t0_d ON t0(d COLLATE NOCASE)",
        "CREATE INDEX t1_b ON t1(b)",
        "CREATE INDEX t1_c ON t1(c, a)",
        "CREATE INDEX t1_part ON t1(d) WHERE d IS NOT NULL",
        "CREATE INDEX t1_few ON t1(a, e) WHERE a > 2",
        "CREATE INDEX t2_v ON t2(v)",
        "CREATE INDEX t3_t0 ON t3(t0_id, y)",
        "CREATE INDEX t3_low ON t3(lower(y))",
        "CREATE INDEX t4_day ON t4(month, at)",
        "CREATE INDEX t4_first ON t4(first)",
    ]
    made += [index for index in indexes if rng.random() < 0.5]
    for number in range(rows):
        a, b = rng.randrange(8), rng.choice(("NULL", str(rng.randrange(5)), str(rng.randrange(5))))
        made.append(
            f"INSERT INTO t0 VALUES ({number + 1}, {a}, {b}, {rng.randrange(40) / 4!r}, {literal(rng, 't')})"
        )
        made.append(
            f"INSERT INTO t1 VALUES ({literal(rng, 'nii')}, {literal(rng, 'nttt')}, {literal(rng)},"
            f" {literal(rng, 'nirt')}, {literal(rng, 'nbt')})"
        )
        made.append(
            f"INSERT OR IGNORE INTO t2 VALUES ({literal(rng, 't')}, {rng.randrange(4)}, {literal(rng)}, {rng.randrange(9)})"
        )
        made.append(
            f"INSERT OR IGNORE INTO t3 VALUES ({number * 2}, {rng.choice(('NULL', str(rng.randrange(30))))},"
            f" {rng.choice(('NULL', str(rng.randrange(60))))}, {literal(rng, 'ntt')})"
        )
        if number % 2:
            made.append(
                f"INSERT INTO t4 VALUES ({number}, {quoted(rng.choice(DOCUMENTS))},"
                f" {quoted(rng.choice(DAYS))}, {rng.choice(('NULL', '2451545.25', '1e9', '0', '2460310.75'))})"
            )
    return made
