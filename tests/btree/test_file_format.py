"""docs/file-format.md says what is in a file: a reader written from it finds what the trees hold."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import kvsh
from tests.btree.plain_reader import PlainFile

_TABLES = """
CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b TEXT, r REAL);
CREATE TABLE n (a, b);
CREATE TABLE w (k TEXT, m INT, v, PRIMARY KEY (k, m)) WITHOUT ROWID;
CREATE TABLE long (id INTEGER PRIMARY KEY, n INT, body TEXT);
CREATE TABLE few (a, b);
CREATE INDEX ta ON t (a);
CREATE INDEX tb ON t (b DESC, r);
CREATE INDEX nc ON t (b COLLATE NOCASE);
CREATE UNIQUE INDEX wm ON w (m);
"""
_CHANGES = """
ALTER TABLE t ADD COLUMN z DEFAULT 'zz';
DELETE FROM t WHERE id % 9 = 0;
UPDATE t SET a = a + 1 WHERE id % 6 = 1;
UPDATE long SET n = -1 WHERE id = 7;
UPDATE long SET body = 'short' WHERE id = 8;
DELETE FROM n WHERE b = 5;
INSERT INTO n VALUES ('last', x'00');
CREATE TABLE late (a);
INSERT INTO late VALUES (1), (2);
ALTER TABLE late ADD COLUMN b DEFAULT 3;
INSERT INTO late VALUES (3, 4);
CREATE TABLE gone (a);
DROP TABLE gone;
DELETE FROM few;
"""


def filled(path: Path) -> kvsh.Connection:
    """A connection to a new database with trees of all kinds and leaves of all forms."""
    draw = random.Random(2)
    connection = kvsh.connect(path, isolation_level=None, durability="off")
    connection.executescript(_TABLES)
    texts = [None, "", "x", "X", "é" * 40]
    rows = [
        (3 * n, draw.choice([None, draw.getrandbits(draw.randrange(60))]), draw.choice(texts))
        for n in range(20_000)
    ]
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO t VALUES (?, ?, ?, 1.5)", rows)
    mixed = [(draw.choice([1, 1.5, "t", b"b", None]), n) for n in range(2000)]
    connection.executemany("INSERT INTO n VALUES (?, ?)", mixed)
    clustered = [(f"k{n % 100}", n, None if n % 3 else n / 2) for n in range(2000)]
    connection.executemany("INSERT INTO w VALUES (?, ?, ?)", clustered)
    long = [(n, 2 * n, f"{n} " * draw.choice([1, 10, 3000])) for n in range(100)]
    connection.executemany("INSERT INTO long VALUES (?, ?, ?)", long)
    connection.execute("INSERT INTO few VALUES (1, 2), (3, ?)", ("y" * 5000,))
    keys = [(f"key{n:05}".encode(), b"v" * (n % 50)) for n in range(2000)]
    connection.executemany("INSERT INTO kv VALUES (?, ?)", [*keys, (b"large", b"V" * 70_000)])
    connection.execute("COMMIT")
    return connection


def expected(connection: kvsh.Connection) -> dict[str, Any]:
    """What the trees hold by their tables and indexes, as SQL tells it."""
    asked = {
        "t": "SELECT id, * FROM t",
        "n": "SELECT rowid, * FROM n",
        "long": "SELECT id, * FROM long",
        "few": "SELECT rowid, * FROM few",
        "late": "SELECT rowid, * FROM late",
        "w": "SELECT * FROM w",
        "ta": "SELECT a, id FROM t ORDER BY 1, 2",
        "tb": "SELECT b, r, id FROM t ORDER BY 1, 2, 3",
        "nc": "SELECT lower(b), id FROM t ORDER BY 1, 2",
        "wm": "SELECT m, k, m FROM w ORDER BY 1",
    }
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
    return {name: connection.execute(asked[name]).fetchall() for name in names}


def assert_same(path: Path, connection: kvsh.Connection) -> PlainFile:
    """A file holds what SQL finds; what was read of it."""
    read = PlainFile(path.read_bytes())
    wanted = expected(connection)
    raw = connection.execute(
        "SELECT CAST(key AS BLOB), CAST(value AS BLOB) FROM kv ORDER BY key"
    ).fetchall()
    assert sorted(read.trees.pop(1).items()) == raw
    objects = {row[3]: row[1] for row in read.trees.pop(2).values() if row[0] != "setting"}
    assert {objects[tree] for tree in read.trees} == set(wanted)
    for tree, entries in read.trees.items():
        kind = read.kinds[tree]
        if kind == 2:
            found: list[Any] = sorted([(key, *row) for key, row in entries.items()])
        elif kind == 3:
            assert all(key == row[:2] for key, row in entries.items())
            found = list(entries.values())
        else:
            found = list(entries)
        assert found == wanted[objects[tree]], objects[tree]
    return read


def test_a_reader_written_from_the_document_finds_everything(tmp_path: Path) -> None:
    path = tmp_path / "db"
    connection = filled(path)
    assert_same(path, connection)
    connection.executescript(_CHANGES)
    read = assert_same(path, connection)
    connection.close()
    closed = kvsh.connect(path, readonly=True)
    last = assert_same(path, closed)
    closed.close()
    assert all(read.records[kind] for kind in (1, 2, 3, 4)) and last.records[5]
    forms = read.forms | last.forms
    assert {kind for kind, _ in forms} == {1, 2, 3, 4}
    bits = {form & bit for _, form in forms for bit in (128, 64, 32)}
    assert bits >= {32, 64, 128} and {form & 31 for _, form in forms} >= {0, 1, 2, 3}


def test_its_numbers_are_those_of_the_document() -> None:
    text = (Path(__file__).parents[2] / "docs" / "file-format.md").read_text()
    assert re.search(
        r"\| 1 \| PAGE .*\n\| 2 \| DELETE .*\n\| 3 \| PAGES .*\n\| 4 \| REDO .*\n\| 5 \| TABLE",
        text,
    )
    assert re.search(
        r"leaf, RAW \| 1 .*\n\| leaf, TABLE \| 2 .*\n\| leaf, CLUSTERED \| 3 .*\n\| leaf, INDEX \| 4",
        text,
    )
