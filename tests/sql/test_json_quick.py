"""JSON values at one path: the quick way of many documents beside the long way, and both beside sqlite3."""

import json
import random
import sqlite3
from typing import Any

import pytest

import kvsh
from sql.errors import SqlError
from sql.functions.json_functions import json_extract
from sql.functions.json_quick import UNKNOWN, children, reader
from sql.functions.json_rows import each_rows

DOCUMENTS: list[Any] = [
    '{"a": 1}',
    ' {"a" : {"b": [1, "x", null, true, 2.50]}, "c": -0} ',
    '{"a": 1, "a": 2}',
    '{"a": {"a": 2}}',
    '{"a": "a"}',
    '{"a": "\\u0041", "b": 1}',
    '{"\\u0061": 5, "b": 1}',
    '{"a": 9223372036854775807, "b": 9223372036854775808, "c": -9223372036854775809}',
    '{"a": 1e400, "b": 1E2, "c": -0.0}',
    '{"b": [[1, 2], {"x": "1:2"}], "a": {"x:y": 1, "z": {"q": 2}}}',
    '{"a": {"k": 1, "k": 2}}',
    '{"a": {"k": {"m": 1, "m": 2}}}',
    '{"a": "x\\ny"}',
    '{"a": "é — 漢", "b": "\x7f"}',
    '{"a": "x\ny"}',
    '{"a": 01}',
    '{"a": 1} x',
    '{"a": 1,}',
    '{"z": nul, "a": 1}',
    '{"z": [1, 2,], "a": 1}',
    '{"a": 1}\x00rest',
    '{"a": NaN}',
    '{"a": []}',
    '{"a": {}}',
    '{"a": [1, 2]}',
    "[1, [2, 3]]",
    "[]",
    '{"a": [1, 12345678901234567890, -5, 1.5, 1e3, "t", false]}',
    '{"a": [ "b" , [ 1 , 2 ] , { "c" : 3 } ]}',
    '{"a": [ 1 , -0 , 9223372036854775807 ], "b": ["x", "", "é:"], "c": null}',
    '{"a": [9223372036854775808, 1], "b": [9223372036854775807, 1.5, -0.0, 1e-400], "c": [null, 1]}',
    '{"a": [1e19, 1], "b": [1, 1e400], "c": [true, 1]}',
    '["a", "b"]',
    "[1.5, 2]",
    "7",
    '"a"',
    "null",
    "",
    None,
    5,
    1.5,
    b'{"a": 3}',
]
PATHS = (
    "$.a",
    "$.a.b",
    "$.a.k",
    "$.a.k.m",
    "$.b",
    "$.c",
    "$.a[0]",
    "$.a[3]",
    "$.a.b[1]",
    "$.b[0][1]",
    "$.b[1].x",
    '$."a"',
    '$."x y"',
    "$.a[#-1]",
    "$",
    "$[0]",
    "$[1][0]",
)
ODD_PATHS = ("$.", "$[x]", "$.a[", 'a"', "", "$..a", '$.""')


def outcome(call: Any, *arguments: Any) -> Any:
    try:
        value = call(*arguments)
    except SqlError as error:
        return str(error)
    return (type(value).__name__, repr(value))


@pytest.mark.parametrize("path", [*PATHS, *ODD_PATHS])
def test_the_quick_way_gives_what_the_long_way_does(path: str) -> None:
    read = reader(path)
    if read is None:
        return
    for document in DOCUMENTS:
        found = read(document)
        if found is not UNKNOWN:
            assert outcome(lambda found=found: found) == outcome(json_extract, document, path)


@pytest.mark.parametrize("path", PATHS)
def test_children_are_those_of_json_each(path: str) -> None:
    read = children(path)
    if read is None:
        return
    for document in DOCUMENTS:
        found = read(document)
        if found is not None:
            long_way = [row[:4] for row in each_rows(document, path)]
            assert repr(found) == repr(long_way), document


def test_plain_documents_are_read_the_quick_way() -> None:
    read, listed = reader("$.a.b[1]"), children("$.a")
    assert read is not None and listed is not None
    assert read(DOCUMENTS[1]) == "x"
    assert read('{"z": 1}') is None
    assert listed('{"a": {"x": [1, 2], "y": "z"}}') == [
        ("x", "[1,2]", "array", None),
        ("y", "z", "text", "z"),
    ]
    assert [reader(path) for path in ("$", "$[0]", "$.a[#-1]", "$.a[0].b", "$.")] == [None] * 5


@pytest.mark.parametrize("path", [*PATHS, *ODD_PATHS, None, 3, "a", "0", "[1]"])
@pytest.mark.parametrize("bound", [False, True])
def test_extracts_are_those_of_sqlite(path: Any, *, bound: bool) -> None:
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    literal = (
        "?"
        if bound
        else "NULL"
        if path is None
        else repr(path).replace("\\'", "''")
        if isinstance(path, int)
        else "'" + path.replace("'", "''") + "'"
    )
    for con in (ours, theirs):
        con.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, d)")
        con.executemany("INSERT INTO t (d) VALUES (?)", [(d,) for d in DOCUMENTS])
    for call in (f"json_extract(d, {literal})", f"d ->> {literal}", f"d -> {literal}"):
        for number in range(1, len(DOCUMENTS) + 1):
            if "\x00" in str(DOCUMENTS[number - 1]):
                continue
            query = f"SELECT typeof({call}), {call} FROM t WHERE id = {number}"
            given = (path, path) if bound else ()
            found = []
            for con in (ours, theirs):
                try:
                    found.append(repr(con.execute(query, given).fetchall()))
                except (sqlite3.Error, kvsh.Error) as error:
                    found.append(str(error))
            assert found[0] == found[1], (query, DOCUMENTS[number - 1])


def made(draw: random.Random, depth: int = 0) -> Any:
    """A random document."""
    kind = draw.randrange(8 if depth < 3 else 6)
    if kind == 6:
        return [made(draw, depth + 1) for _ in range(draw.randrange(4))]
    if kind == 7 or depth == 0:
        names = draw.sample(["a", "b", "c", "d:e", "a b"], draw.randrange(5))
        return {name: made(draw, depth + 1) for name in names}
    return draw.choice([None, True, draw.randrange(-5, 1000), 1.25, "a", "b:c", "é"])


@pytest.mark.parametrize("seed", range(4))
def test_json_each_of_random_documents_is_that_of_sqlite(seed: int) -> None:
    draw = random.Random(seed)
    rows = []
    for number in range(150):
        spaces = draw.choice([(",", ":"), (", ", ": "), (" , ", " : ")])
        text = json.dumps(made(draw), separators=spaces, ensure_ascii=draw.random() < 0.2)
        rows.append((number, text))
    ours, theirs = kvsh.connect(":memory:"), sqlite3.connect(":memory:")
    for con in (ours, theirs):
        con.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, d TEXT)")
        con.executemany("INSERT INTO t VALUES (?, ?)", rows)
    for path in ("", ", '$.a'", ", '$.a.b'", ", '$.b[0]'", ", '$.c'"):
        for columns in ("e.key, e.value", "e.value, e.type, e.atom", "count(*)", "e.fullkey, e.id"):
            query = f"SELECT t.id, {columns} FROM t, json_each(d{path}) e"
            query += " GROUP BY t.id" if columns == "count(*)" else ""
            for where in ("", " WHERE e.type <> 'null'", " WHERE t.id = 7"):
                asked = query.replace(" GROUP BY", f"{where} GROUP BY")
                asked = asked if "GROUP" in asked else query + where
                assert ours.execute(asked).fetchall() == theirs.execute(asked).fetchall(), asked
    query = "SELECT t.id, e.key, e.value FROM t LEFT JOIN json_each(d, '$.a') e"
    assert ours.execute(query).fetchall() == theirs.execute(query).fetchall()
    query = "SELECT t.id FROM t WHERE EXISTS (SELECT 1 FROM json_each(t.d) e WHERE e.value = 'a')"
    assert ours.execute(query).fetchall() == theirs.execute(query).fetchall()
