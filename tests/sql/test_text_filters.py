"""LIKE and GLOB with a parameter as pattern, which filter whole batches, against sqlite3."""

from __future__ import annotations

import random
import sqlite3
from typing import Any

import pytest

import kvsh
from sql.compile.patterns import glob, like
from sql.compile.text_filters import text_finder
from tests.sql.engines import KvshEngine, SqliteEngine

TEXTS = [
    *("", "a", "A", "ab", "AB", "abc", "ABC", "xabcx", "b", "%", "_", "a%c", "a_c", "10", "10%"),
    *(
        "\u212aelvin",
        "kelvin",
        "KELVIN",
        "\u00c4b",
        "\u00e4b",
        "\u0130abc",
        "abc\u0130",
        "\u212a",
        "a\nb",
        "[a]",
    ),
    None,
]
PATTERNS = [
    *(
        "",
        "%",
        "a",
        "A%",
        "%C",
        "%b%",
        "ab%",
        "%%",
        "_b",
        "a_c",
        "a%c",
        "10%",
        "%0",
        "10",
        "k%",
        "%K",
        "kelvin",
    ),
    *(
        "%kel%",
        "\u00e4%",
        "\u00c4b",
        "*",
        "a*",
        "*c",
        "*b*",
        "[a-b]*",
        "?b",
        "[[]a]",
        "\u212a%",
        10,
        1.0,
        None,
        b"a",
    ),
]


@pytest.mark.parametrize("nulls", [False, True])
@pytest.mark.parametrize("operator", ["LIKE", "GLOB", "NOT LIKE"])
def test_a_parameter_as_pattern_matches_what_sqlite_matches(operator: str, nulls: bool) -> None:
    ours, oracle = KvshEngine(leaf_limit=4), SqliteEngine()
    for engine in (ours, oracle):
        engine.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT, n INTEGER)")
        for number, text in enumerate(TEXTS):
            if text is not None or nulls:
                engine.execute("INSERT INTO t VALUES (?, ?, ?)", (number, text, number % 3))
    for query in (
        f"SELECT id FROM t WHERE s {operator} ? ORDER BY id",
        f"SELECT count(*), max(id), sum(n) FROM t WHERE n < 2 AND s {operator} ?",
        f"SELECT s FROM t WHERE s {operator} ? ORDER BY id DESC LIMIT 3",
    ):
        for pattern in PATTERNS:
            expected = oracle.execute(query, (pattern,))
            assert ours.execute(query, (pattern,)) == expected, (query, pattern)
    ours.close()
    oracle.close()


def test_rows_that_an_index_finds_in_several_leaves_are_filtered_by_their_texts() -> None:
    ours = KvshEngine(leaf_limit=8)
    ours.execute("CREATE TABLE t (k INT, s TEXT)")
    ours.execute("CREATE INDEX t_k ON t (k)")
    ours.execute("INSERT INTO t SELECT value % 40, 'x' || value FROM generate_series(1, 2000)")
    query = "SELECT count(*) FROM t WHERE k = 1 AND s LIKE '%7%'"
    assert "index t_k" in ours.execute(f"EXPLAIN {query}")[-1][0]
    assert ours.execute(query) == [(4,)]
    ours.close()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("long", [False, True])
def test_searches_at_once_find_what_each_text_alone_does(seed: int, long: bool) -> None:
    """Texts with the separator in them, with letters that fold to ASCII, and NULLs among them; and long ones."""
    rng = random.Random(seed)
    more = ("", "-" * 900, "-" * 3000) if long else ("",)
    odd = ("\0", "\u00e9", "\u212a", "K", "[", "*", "?", "%", "_")
    for _ in range(700):
        size = rng.choice((1, 3, 60))
        texts = [
            "".join(rng.choice("abcABC") for _ in range(rng.randrange(7))) for _ in range(size)
        ]
        if rng.random() < 0.5:
            texts = [text + rng.choice((*odd, "", "")) + "a" * rng.randrange(2) for text in texts]
        texts = [rng.choice(("{0}{1}", "{1}{0}")).format(text, rng.choice(more)) for text in texts]
        values: list[Any] = [None if rng.random() < 0.1 else text for text in texts]
        for op, many, one, match in (("LIKE", "%", "_", like), ("GLOB", "*", "?", glob)):
            parts = (many, many, one, "a", "b", "A", "c", "abc", "k", "\0")
            pattern = "".join(rng.choice(parts) for _ in range(rng.randrange(5)))
            expected = [place for place, text in enumerate(values) if match(text, pattern)]
            assert list(text_finder(op, pattern)(values)) == expected, (op, pattern, values)


def test_like_folds_ascii_letters_alone_among_others() -> None:
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    words = [
        "Ärger",
        "ärger",
        "ARGER",
        "\u212aelvin",
        "Kelvin",
        "İstanbul",
        "istanbul",
        "STRASSE",
        "straße",
        "",
        "日本Go",
    ]
    rows = [(i, f"{words[i % 11]} {words[i % 7]}") for i in range(6000)]
    for con in (ours, theirs):
        con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT NOT NULL, other INT)")
        con.executemany("INSERT INTO t VALUES (?, ?, 1)", rows)
    for pattern in (
        "%ärger%",
        "%ÄRGER",
        "%k%",
        "\u212a%",
        "%go %",
        "%本g%",
        "i%",
        "İ%",
        "%ss_%",
        "_rger%",
        "%STRA%",
        "%ß%",
    ):
        for op in ("LIKE", "NOT LIKE", "GLOB"):
            sql = f"SELECT count(*), sum(id) FROM t WHERE name {op} ?"
            values = (pattern.replace("%", "*") if op == "GLOB" else pattern,)
            for _ in range(2):
                assert (
                    ours.execute(sql, values).fetchall() == theirs.execute(sql, values).fetchall()
                )


_ESCAPES = [None, "a", "%", "\\", "", "ab", 5]


@pytest.mark.parametrize("operator", ["LIKE", "GLOB"])
@pytest.mark.parametrize("column", ["t", "o", "x"])
def test_patterns_that_are_made_once_a_run_judge_rows_as_sqlite_does(
    operator: str, column: str
) -> None:
    """Beside OR, in results and in ON no batch is filtered: each row is asked.  `t` holds texts, `o` NULLs, too, `x` anything."""
    kvsh_rows, sqlite_rows = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    texts = [text for text in TEXTS if text is not None]
    values = [*TEXTS, 10, 10.5, -1, b"abc", b"", 1e300]
    for connection in (kvsh_rows, sqlite_rows):
        connection.execute("CREATE TABLE r (id INTEGER PRIMARY KEY, t TEXT, o TEXT, x)")
        connection.executemany(
            "INSERT INTO r (t, o, x) VALUES (?, ?, ?)",
            [
                (texts[n % len(texts)], TEXTS[n % len(TEXTS)], values[n % len(values)])
                for n in range(80)
            ],
        )
    escapes = [""] if operator == "GLOB" else ["", " ESCAPE ?2"]
    for escape in escapes:
        test = f"{column} {operator} ?1{escape}"
        negated = f"{column} NOT {operator} ?1{escape}"
        for sql in (
            f"SELECT id FROM r WHERE {test} OR id = 3",
            f"SELECT id FROM r WHERE {negated} OR id = 3",
            f"SELECT id, {test}, {negated} FROM r",
            f"SELECT count(*), sum({test}) FROM r GROUP BY {negated} ORDER BY 1, 2",
            f"SELECT a.id FROM r a LEFT JOIN r b ON b.id = a.id AND b.{test} WHERE b.id IS NULL",
        ):
            for pattern in [*PATTERNS, None, 10, 1.5, b"abc", "%" * 60_000]:
                for single in _ESCAPES if escape else [None]:
                    parameters = (pattern, single) if escape else (pattern,)
                    found = []
                    for connection in (kvsh_rows, sqlite_rows):
                        try:
                            found.append(sorted(connection.execute(sql, parameters), key=repr))
                        except (kvsh.OperationalError, sqlite3.OperationalError) as error:
                            found.append([str(error)])
                    assert found[0] == found[1], (sql, parameters)
