"""Random writes, definitions and transactions over three databases, answered as by sqlite3."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

import kvsh

DATABASES = ("main", "aux", "third")
STEPS = 250
ROWS = [f"SELECT * FROM {database}.t ORDER BY id" for database in DATABASES]


def _start() -> Iterator[str]:
    for database in DATABASES[1:]:
        yield f"ATTACH '{database}.db' AS {database}"
    yield "PRAGMA foreign_keys = on"
    for database in DATABASES:
        yield (
            f"CREATE TABLE {database}.t (id INTEGER PRIMARY KEY, a INT UNIQUE, b TEXT,"
            " up REFERENCES t ON DELETE CASCADE, z DEFAULT 0)"
        )
        yield f"CREATE INDEX {database}.by_b ON t (b)"
        yield f"CREATE TABLE {database}.log_{database} (id INTEGER PRIMARY KEY AUTOINCREMENT, what)"
        yield (
            f"CREATE TRIGGER {database}.logged AFTER INSERT ON t BEGIN"
            f" INSERT INTO log_{database} (what) VALUES (NEW.id); END"
        )
    yield (
        "CREATE TEMP TRIGGER across AFTER DELETE ON aux.t BEGIN"
        " INSERT INTO log_main (what) VALUES (-OLD.id); SELECT RAISE(ABORT, 'kept') WHERE OLD.a = 7; END"
    )


def _statement(chance: random.Random) -> str:
    at, other = (chance.choice(DATABASES) for _ in range(2))
    name = chance.choice((f"{at}.t", f"{at}.t", "t"))
    number, small = chance.randrange(40), chance.randrange(12)
    kinds = [
        f"INSERT INTO {name} (id, a, b, up) VALUES ({number}, {chance.randrange(60)}, 'b{small}', NULL)",
        f"INSERT OR REPLACE INTO {name} (id, a, b, up) VALUES ({number}, {small}, 'b{small}', {small}) RETURNING *",
        f"INSERT OR IGNORE INTO {name} (id, a, b, up) SELECT id + {small}, a + {small}, b, up FROM {other}.t",
        f"INSERT INTO {name} (id, a, b, up) SELECT id, a + 100, b, NULL FROM {other}.t WHERE id > {number}"
        " ON CONFLICT DO UPDATE SET b = excluded.b",
        f"UPDATE {name} SET a = a + 1 WHERE id > {number}",
        f"UPDATE OR REPLACE {name} SET a = {small}, b = 'c{small}' WHERE id % 5 = {small % 5}",
        f"UPDATE {at}.t SET b = o.b FROM {other}.t AS o WHERE o.id = t.id + 1",
        f"DELETE FROM {name} WHERE id = {number}",
        f"DELETE FROM {name} WHERE b IN (SELECT b FROM {other}.t WHERE id < {small})",
        f"SELECT x.id, y.b FROM {at}.t AS x JOIN {other}.t AS y ON x.a = y.a ORDER BY 1, 2",
        f"SELECT * FROM {name} WHERE b = 'b{small}' ORDER BY id",
        f"SELECT * FROM log_{at}",
        f"CREATE TABLE {at}.made AS SELECT * FROM {other}.t",
        "DROP TABLE IF EXISTS made",
        f"DROP TABLE IF EXISTS {at}.made",
        "SELECT count(*), sum(a) FROM made",
        f"ALTER TABLE {at}.t RENAME COLUMN z TO z2",
        f"ALTER TABLE {at}.t RENAME COLUMN z2 TO z",
        f"PRAGMA {at}.user_version = {number}",
        f"PRAGMA {at}.user_version",
        f"PRAGMA {at}.foreign_key_check",
    ]
    controls = ["BEGIN", "BEGIN IMMEDIATE", "COMMIT", "COMMIT", "ROLLBACK", "SAVEPOINT s"]
    controls += ["ROLLBACK TO s", "RELEASE s", "DETACH third", "ATTACH 'third.db' AS third"]
    return chance.choice(controls if chance.random() < 0.25 else kinds)


@pytest.mark.parametrize("seed", range(12))
def test_random_statements_answer_as_in_sqlite(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    steps = [*_start(), *[_statement(chance) for _ in range(STEPS)]]
    answers: list[list[str]] = []
    for name, connect in (("sqlite", sqlite3.connect), ("kvsh", kvsh.connect)):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        connection = connect("main.db", isolation_level=None, cached_statements=0)
        found = []
        for step in steps:
            for text in (step, *ROWS, "SELECT changes(), total_changes(), last_insert_rowid()"):
                try:
                    answer = str(connection.execute(text).fetchall())
                except (sqlite3.Error, kvsh.Error) as error:
                    answer = str(error)
                found.append(f"{step} / {text}: {answer}")
        for database in DATABASES:
            try:
                found.append(
                    str(connection.execute(f"PRAGMA {database}.integrity_check").fetchall())
                )
            except (sqlite3.Error, kvsh.Error) as error:
                found.append(str(error))
        connection.close()
        answers.append(found)
    assert answers[1] == answers[0]
